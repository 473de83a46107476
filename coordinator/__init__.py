"""The Dapr service that migrates a fleet; import its rooms by name, nothing loads unseen."""
