"""Verifies an export of the audit; trusts nothing but the public key."""
