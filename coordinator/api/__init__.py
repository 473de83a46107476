"""The routes of the coordinator: HTTP, events from Dapr, health and numbers.

What a request leads to is decided in `runs`, `steps` and `audit`.
"""
