"""`coordinator audit`: one module for each command. `cli.app` registers them."""
