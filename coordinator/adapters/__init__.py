"""Implementations of the ports: Dapr's state, workflow and pub/sub, and HTTP to services and to the audit.

No decision is made here.
"""
