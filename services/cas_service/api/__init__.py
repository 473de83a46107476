"""The HTTP routes of the audit: one module for events, one for their evidence. No SQL is written here."""
