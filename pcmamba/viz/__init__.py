"""Pictures of clouds and predictions."""
