"""The session that migrates: its lock, its checks, its journal rows. env.py opens the connection."""
