"""The `coordinator` command: talks to the coordinator over HTTP and imports nothing of its insides."""
