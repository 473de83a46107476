"""Measures; asserts nothing about time."""
