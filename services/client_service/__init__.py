"""The cds-client service and its database."""
