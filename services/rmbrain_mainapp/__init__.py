"""The rmbrain-mainapp service and its database."""
