"""What files, the environment and options say. Nothing here opens a database."""
