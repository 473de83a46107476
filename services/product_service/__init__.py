"""The cds-product service and its database."""
