"""The cds-interaction service and its database."""
