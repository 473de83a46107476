"""What an adoption does inside the migration process: stamps, or builds the revisions in a schema.

It is decided in the service's `adoption`.
"""
