"""Migrates a fleet of databases in order, as one Dapr service."""
