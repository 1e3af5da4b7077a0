"""Differentiable operators: meaning, checks, reference and dispatch."""
