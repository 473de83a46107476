"""The cds-document service and its database."""
