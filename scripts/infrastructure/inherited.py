"""Which variables of the shell a program is given: those it needs, because all the others may be secrets."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# What any program on Linux may look at.
ANY_PROGRAM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TMPDIR"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "XDG_*", "LD_LIBRARY_PATH", "LD_PRELOAD", "SSL_CERT_*"),
)
# `dapr run` gives what it has to every application and every daprd: no password of a server belongs here.
FLEET = (
    *("MIGRATE_ON_STARTUP", "MIGRATION_*", "COORDINATOR_*", "AUDIT_*", "ALEMBIC_CONFIG", "APP_API_TOKEN", "DAPR_*"),
    *("LOG_FORMAT", "LOG_LEVEL"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("PGSSL*", "PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS", "PGGSSENCMODE", "PGKRBSRVNAME", "KRB5*"),
    *("PYTHON*", "VIRTUAL_ENV", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG"),
    # cas-audit pushes anchors with git.
    *("GIT_SSH*", "GIT_CONFIG*", "GIT_AUTHOR_*", "GIT_COMMITTER_*", "SSH_AUTH_SOCK"),
)
# Names, separated by blanks, that its owner wants every application to have all the same.
MORE = "RMBRAIN_PASS"


def inherited(names: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """What any program may have, and what these names or patterns allow."""
    given = os.environ if environment is None else environment
    allowed = (*ANY_PROGRAM, *names)
    return {name: value for name, value in given.items() if any(fnmatchcase(name, each) for each in allowed)}


def of_a_fleet(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names that `dapr run` may have."""
    given = os.environ if environment is None else environment
    return (*FLEET, *given.get(MORE, "").split())
