"""The targets of a migration that may be asked for, alike in a request, in the catalog and at an endpoint."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints

ENDS = ("head", "heads")  # of a history, or of one branch: its one head, or all of them

_REVISION = "[A-Za-z0-9_.]{1,255}"
_BRANCH = r"[^@\x00-\x1f\x7f-\x9f]{1,255}"  # a branch label, or a full revision id

Revision = Annotated[str, StringConstraints(pattern=f"^{_REVISION}$")]
# head, heads, BRANCH@head, BRANCH@heads, base or a full id. Never relative: a repeat must not go further.
RequestableTarget = Annotated[str, StringConstraints(pattern=f"^({_REVISION}|{_BRANCH}@heads?)$")]
# By hand also any revision or base of one branch.
Target = Annotated[str, StringConstraints(pattern=f"^({_BRANCH}@)?{_REVISION}$")]


def is_end(target: str) -> bool:
    """Whether it is an end of the history or of a branch: only the service can tell which revisions it means."""
    return target.rpartition("@")[2] in ENDS
