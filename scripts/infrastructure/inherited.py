"""Which environment variables a program inherits: only those it needs, because any other may be a secret."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# Variables that any program on Linux may read.
ANY_PROGRAM = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "COLUMNS", "NO_COLOR", "FORCE_COLOR", "TMPDIR"),
    *("LANG", "LANGUAGE", "LC_*", "TZ", "TZDIR", "XDG_*", "LD_LIBRARY_PATH", "LD_PRELOAD", "SSL_CERT_*"),
)
# `dapr run` passes its environment to every application and every daprd, so no server password belongs here.
FLEET = (
    *("MIGRATE_ON_STARTUP", "MIGRATION_*", "COORDINATOR_*", "AUDIT_*", "ALEMBIC_CONFIG", "APP_API_TOKEN", "DAPR_*"),
    *("LOG_FORMAT", "LOG_LEVEL"),
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    *("PGSSL*", "PGCONNECT_TIMEOUT", "PGTARGETSESSIONATTRS", "PGGSSENCMODE", "PGKRBSRVNAME", "KRB5*"),
    *("PYTHON*", "VIRTUAL_ENV", "GOMAXPROCS", "GOMEMLIMIT", "GODEBUG"),
    # cas-audit pushes anchors with git.
    *("GIT_SSH*", "GIT_CONFIG*", "GIT_AUTHOR_*", "GIT_COMMITTER_*", "SSH_AUTH_SOCK"),
)
# Names of further variables, separated by spaces, that the user wants to pass to every application.
PASS_VARIABLE = "RMBRAIN_PASS"


def inherited(names: Sequence[str] = (), environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables that any program may have, and those that match these names or patterns."""
    variables = os.environ if environment is None else environment
    allowed = (*ANY_PROGRAM, *names)
    return {name: value for name, value in variables.items() if any(fnmatchcase(name, each) for each in allowed)}


def of_a_fleet(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The names and patterns of the variables that `dapr run` inherits."""
    variables = os.environ if environment is None else environment
    return (*FLEET, *variables.get(PASS_VARIABLE, "").split())
