"""The revision files: loaded, checked, and told as data. Nothing here connects to a database."""
