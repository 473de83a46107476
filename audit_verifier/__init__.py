"""Verifies an export of the audit. Trusts only the public key."""
