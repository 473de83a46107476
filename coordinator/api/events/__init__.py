"""What comes by pub/sub: requests, dead letters, and commands. The HTTP status is always 200; the body decides."""
