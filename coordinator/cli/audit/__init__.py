"""`coordinator audit`: one module for each command; `commands` is what the coordinator's app takes in."""
