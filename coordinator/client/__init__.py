"""A client of the coordinator's HTTP API: requests, answers, errors. Nothing here writes to a terminal."""
