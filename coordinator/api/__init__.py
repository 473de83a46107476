"""The routes of the coordinator: HTTP API, pub/sub subscriptions, health and metrics.

The decisions about a request are in `runs`, `steps` and `audit`.
"""
