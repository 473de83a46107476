"""The cds-relationship service and its database."""
