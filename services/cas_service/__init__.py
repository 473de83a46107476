"""The cas-audit service and its database."""
