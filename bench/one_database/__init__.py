"""Measures the engine on one database; asserts nothing about time."""
