"""Sends what it is given, as another user of the machine where we may become one. Run as a process of its own."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - needed to connect; the other user may not be able to read the library
import http.client
import json
import os
import sys
from typing import Any
from urllib.parse import urlsplit

NOBODY = 65534
TIMEOUT_SECONDS = 20
NO_ANSWER = 0


def become_nobody() -> str:
    """Gives up every right of this process for ever. Returns whom it runs as."""
    if os.geteuid() != 0:
        return f"uid {os.geteuid()}, the same as the fleet's"
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    return f"uid {NOBODY}"


def send(method: str, url: str, headers: dict[str, str], content: str, times: int) -> int:
    """The status of the last answer; 0 where nothing answers. Nothing is added to the headers but the length."""
    status = NO_ANSWER
    for _ in range(times):
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
        try:
            connection.putrequest(method, target, skip_host="host" in headers, skip_accept_encoding=True)
            body = content.encode()
            for name, value in {**headers, **({"content-length": str(len(body))} if method != "GET" else {})}.items():
                connection.putheader(name, value)
            connection.endheaders(body if method != "GET" else None)
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException):
            status = NO_ANSWER
        finally:
            connection.close()
    return status


def main() -> None:
    """Reads a list of requests from stdin, and writes whom it ran as and the statuses, in order, to stdout."""
    requests: list[list[Any]] = json.load(sys.stdin)
    who = become_nobody()
    json.dump({"who": who, "statuses": [send(*each) for each in requests]}, sys.stdout)


if __name__ == "__main__":
    main()
