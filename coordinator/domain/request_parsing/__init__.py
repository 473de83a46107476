"""Reads a request out of JSON or a CloudEvent, and says what its sender did wrong.

What a request is, is in `domain.request`.
"""
