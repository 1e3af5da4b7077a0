"""Recipes: one YAML file for each data set and model."""
