"""The coordinator's documents in Dapr state: their keys, and how it handles a damaged one.

Their content is in `domain`.
"""
