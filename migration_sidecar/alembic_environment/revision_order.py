"""The order in which Alembic walks down through a history, so that a plan shows what will really come first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass


@dataclass
class _End:
    """One end that the walk stands at, and everything at or under it."""

    revision: str
    under: set[str]


def walk_down(
    wanted: Collection[str],
    ends: Iterable[str],
    below: Mapping[str, tuple[str, ...]],
    under: Callable[[Iterable[str]], set[str]],
) -> list[str]:
    """The wanted revisions, each before all it builds on: one line as far as it goes, then the next.

    `below` keeps the order in which Alembic loaded the files, because that decides between lines.
    """
    left = set(wanted)
    place = {revision: number for number, revision in enumerate(below)}
    standing = [_End(each, under([each])) for each in sorted(set(ends) & left, key=place.__getitem__)]
    walked: list[str] = []
    at = 0
    while standing:
        here = standing[at]
        first = next((n for n, end in enumerate(standing) if n != at and here.revision in end.under), None)
        if first is not None:
            at = first  # another line builds on this revision, so that one goes on
            continue
        if here.revision in left:
            walked.append(here.revision)
            left.remove(here.revision)
        occupied = {end.revision for end in standing}
        further = [each for each in below[here.revision] if each in left and each not in occupied]
        if further and len(below[here.revision]) == 1:
            # Down a plain line only this one revision is left behind: counting anew would cost as much as all the rest.
            here.under.discard(here.revision)
            standing[at] = _End(further[0], here.under)
        elif further:
            standing[at] = _End(further[0], under(further[:1]))
            standing += [_End(each, under([each])) for each in further[1:]]
        else:
            del standing[at]
            at = max(at - 1, 0)
    return walked
