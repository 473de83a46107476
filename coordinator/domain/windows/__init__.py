"""When a step may start: maintenance windows and freezes of fleet.toml, and the times of a request.

Pure: the caller brings the time. Nothing here waits, and nothing starts a step.
"""
