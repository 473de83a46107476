"""Measures the engine on one database. Asserts nothing about time."""
