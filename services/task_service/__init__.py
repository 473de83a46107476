"""The cds-task service and its database."""
