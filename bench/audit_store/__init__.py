"""Measures the audit store on its own PostgreSQL server."""
