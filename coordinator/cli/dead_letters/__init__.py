"""`coordinator dead-letters`: one module for each command. `group` puts them together."""
