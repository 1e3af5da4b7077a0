"""File readers, one format each."""
