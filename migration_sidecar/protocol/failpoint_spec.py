"""The failpoints of a migration, and how a test asks for them.

`MIGRATION_FAILPOINTS=name:action@nth,…` with the actions kill, stop, raise, drop and delay:milliseconds. All processes
that share the file `MIGRATION_FAILPOINTS_LOG` count together how often they reach a failpoint. The file also lists
every action that was taken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

NAMES = {
    "attempt_written": "F08: the attempt's row is committed, the lock is not taken",
    "lock_taken": "F09: the migration lock is taken, the revisions are not yet listed",
    "revision_begun": "F10: before a revision's first statement",
    "between_statements": "F11: a revision calls this one itself",
    "statements_done": "F12: after a revision's last statement, before the version row changes",
    "version_moved": "F13: after the version row changed, before the journal row",
    "journal_written": "F14: after the journal row, before COMMIT",
    "commit_sent": "F15: COMMIT is sent, its answer is not read",
    "autocommit_begins": "F16: before an autocommit_block",
    "autocommit_inside": "F17: inside one, after its beginning (1st) and before its end (2nd)",
    "all_done": "F18: after the last revision; a transaction for the whole run is not yet committed",
}
_POINT = re.compile(r"(?P<name>[a-z_]+):(?P<action>kill|stop|raise|drop|delay:\d+)@(?P<nth>\d+)")


@dataclass(frozen=True)
class Failpoint:
    """The action to take when the failpoint is reached for the nth time."""

    name: str
    action: str
    nth: int


class InvalidFailpoints(ValueError):
    """A variable of the environment that cannot be used, and why."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key, self.reason = key, reason


def parse_failpoints(environment: Mapping[str, str]) -> tuple[Failpoint, ...]:
    """The failpoints that the environment asks for, mostly none.

    Raises InvalidFailpoints when it asks outside a test, or when the text is wrong.
    """
    text = environment.get("MIGRATION_FAILPOINTS", "")
    if not text:
        return ()
    if environment.get("MIGRATION_TEST") != "1":
        raise InvalidFailpoints("MIGRATION_FAILPOINTS", "it is for tests only, and MIGRATION_TEST=1 is not set")
    if not environment.get("MIGRATION_FAILPOINTS_LOG"):
        raise InvalidFailpoints("MIGRATION_FAILPOINTS_LOG", "it must name a file")
    return tuple(_parse(part) for part in text.split(","))


def _parse(part: str) -> Failpoint:
    match = _POINT.fullmatch(part.strip())
    if match is None or match["name"] not in NAMES:
        raise InvalidFailpoints("MIGRATION_FAILPOINTS", "it is not like lock_taken:kill@1")
    return Failpoint(match["name"], match["action"], int(match["nth"]))
