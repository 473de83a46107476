"""The cds-riskprofile service and its database."""
