"""The session that migrates, on the connection that env.py opened: lock, checks, journal rows."""
