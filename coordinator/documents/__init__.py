"""The coordinator's documents in Dapr state: their keys, and what is done with a damaged one.

Their content is in `domain`.
"""
