"""Orders of points, one file each."""
