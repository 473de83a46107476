"""Settings from files, the environment and command-line options. Nothing here opens a database."""
