"""Requests, plans, steps, outcomes and audit as data; nothing here does I/O, reads a clock or knows Dapr."""
