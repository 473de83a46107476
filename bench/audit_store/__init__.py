"""Measures the audit store, on a server of its own."""
