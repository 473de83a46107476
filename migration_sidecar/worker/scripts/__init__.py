"""Loads, checks and describes revision files. Nothing here connects to a database."""
