"""How many connections a process may hold, and what it says when it can take no more."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from contextlib import suppress
from typing import Any

from migration_sidecar.http_server.rate_limited_warnings import RareWarnings

# Each open file costs the kernel memory, and a hard limit may be a thousand times more than anybody needs.
MOST = 65_536
USED_UP = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


def allow_many() -> None:
    """Raises the soft limit as far as the hard one allows; a shell's 1024 is used up by idle connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # a kernel may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def tell_rarely_when_used_up(loop: asyncio.AbstractEventLoop) -> None:
    """asyncio reports each connection that it cannot accept with a traceback, thousands of them in a second."""
    warnings = RareWarnings(log)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in USED_UP and "socket" in context:
            warnings.warn("connections_cannot_be_accepted", kind=errno.errorcode[error.errno], why=str(error))
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
