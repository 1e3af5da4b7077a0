"""Data: files, sets, transforms and loaders."""
