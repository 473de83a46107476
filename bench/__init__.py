"""Measures how long things take. Asserts nothing about time."""
