"""What is known about an environment: its configuration, and what its env.py connects to."""
