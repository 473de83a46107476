"""The `coordinator` command: arguments, terminal output, exit codes.

Its HTTP is in `client`, its words in `presentation`.
"""
