"""What the version table holds after a step, as Alembic changes its rows.

`below` has what each revision follows and depends on; `under` returns revisions with all that they build on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

Below = Mapping[str, tuple[str, ...]]
Under = Callable[[Iterable[str]], set[str]]


def rows_after_upgrade(rows: set[str], revision: str, below: Below, under: Under) -> set[str]:
    """The rows after the revision was applied."""
    replaced = rows.intersection(below[revision])
    if len(replaced) > 1:
        replaced -= under(rows.difference(below[revision]))
    return rows - replaced | {revision}


def rows_after_downgrade(rows: set[str], revision: str, below: Below, under: Under) -> set[str]:
    """The rows after the revision was reverted."""
    others, restored = rows - {revision}, set(below[revision])
    implied = under(others) if others else under(lower for each in restored for lower in below[each])
    return others | (restored - implied)
