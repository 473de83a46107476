"""Rehearses an upgrade: a fleet of an earlier commit leaves runs and an audit, and this checkout goes on with them."""
