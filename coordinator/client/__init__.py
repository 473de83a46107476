"""The coordinator's HTTP API as a program sees it: requests, answers, errors. Nothing here writes to a terminal."""
