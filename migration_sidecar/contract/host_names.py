"""By which names an application may be called: this machine's own, and those that a setting allows."""

from __future__ import annotations

import re

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HOST = re.compile(r"(?:\[(?P<six>[0-9a-f:.]{2,45})\]|(?P<name>[a-z0-9._-]{1,253}))(?::\d{1,5})?", re.ASCII | re.I)
NAME = re.compile(r"[a-z0-9._-]{1,253}|(?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15}", re.ASCII)


def host_name(header: str) -> str | None:
    """The name that a Host header calls, in lower case and without the port; None where it is no plain host."""
    match = HOST.fullmatch(header)
    return None if match is None else (match["six"] or match["name"]).lower()


def allowed_hosts(text: str) -> frozenset[str]:
    """What a setting lists, separated by commas; raises ValueError for what is no name. A port is not looked at."""
    names = [name.strip().lower().removeprefix("[").removesuffix("]") for name in text.split(",") if name.strip()]
    if not all(NAME.fullmatch(name) for name in names):
        raise ValueError("it must list host names or addresses, separated by commas, without ports")
    return frozenset(names)
