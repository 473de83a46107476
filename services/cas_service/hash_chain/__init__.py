"""The chain of hashes over all events: where it stands, and the check of one range of it."""
