"""SQL that reads columns of the journal within limits, because other programs may write to the table.

PostgreSQL accepts times such as 44 BC and infinity, and a gigabyte in one field. One such row would make a whole answer
unreadable.
"""

from __future__ import annotations

# One year within Python's limits, so that every time zone is possible.
FIRST, LAST = "'0002-01-01 00:00+00'", "'9998-12-31 00:00+00'"
# NULL for a time that Python cannot hold. Such a row is shown and not sent, and never gets another time.
WHEN = f"CASE WHEN at BETWEEN {FIRST} AND {LAST} THEN at END"
# Never NULL: the nearest time that Python can hold.
MOMENT = f"greatest({FIRST}, least({LAST}, at))"
# Much more than the largest detail that we write; the names of ten thousand revisions have room.
DETAIL = "CASE WHEN octet_length(detail::text) <= 524288 THEN detail END AS detail"
MAX_TEXT_BYTES = 1000


def word(column: str) -> str:
    """A text column cut at MAX_TEXT_BYTES characters, which is much more than we ever write."""
    return f"left({column}, {MAX_TEXT_BYTES}) AS {column}"
