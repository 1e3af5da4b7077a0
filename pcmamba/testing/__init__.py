"""Assertions and inputs shared by tests and tools."""
