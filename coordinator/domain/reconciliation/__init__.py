"""Compares what services, run records and the audit say of the same migrations; pure, and fed page by page."""
