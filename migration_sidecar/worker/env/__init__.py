"""The environment's env.py and configuration: run up to its first connection, and told what it connects to."""
