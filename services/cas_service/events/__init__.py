"""Audit events as rows: how they are stored, asked for and read."""
