"""Accepts operations, executes them, retries them, and decides their result by what the database says.

Plans are in `planning`.
"""
