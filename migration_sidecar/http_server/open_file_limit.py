"""Raises the limit of open files, and logs when no more connections can be accepted."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from contextlib import suppress
from typing import Any

from migration_sidecar.http_server.rate_limited_warnings import RateLimitedWarnings

# Each open file costs kernel memory, and a hard limit may be far above what is needed.
MAX_OPEN_FILES = 65_536
RESOURCE_ERRNOS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = logging.getLogger(__name__)


def raise_open_file_limit() -> None:
    """Raises the soft limit up to the hard limit, at most to MAX_OPEN_FILES. A shell's 1024 is too few connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # a kernel may allow less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def warn_when_exhausted(loop: asyncio.AbstractEventLoop) -> None:
    """Logs one warning per minute. By default asyncio logs a traceback per refused connection, thousands per second."""
    warnings = RateLimitedWarnings(log)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in RESOURCE_ERRNOS and "socket" in context:
            warnings.warn("connections_cannot_be_accepted", kind=errno.errorcode[error.errno], why=str(error))
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
