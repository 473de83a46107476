"""The `coordinator` command: arguments, terminal output, exit codes.

It calls the coordinator with `client`, and formats values with `presentation`.
"""
