"""Formats values as text for people. The command and the report both use it.

Tables are in `cli`, pages are in `report`.
"""
