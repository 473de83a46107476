"""Runs PostgreSQL, Redis and Dapr's control plane on this machine, without root, containers or system packages."""
