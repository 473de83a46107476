"""SQL for what a journal row says: whoever may write to the table may write what no program can read.

PostgreSQL holds 44 BC, the year 20000 and infinity, and a gigabyte in one field; one such row would keep a whole answer
from being read.
"""

from __future__ import annotations

# A year away from what Python can hold, so that any time zone fits.
FIRST, LAST = "'0002-01-01 00:00+00'", "'9998-12-31 00:00+00'"
# None where it cannot be read: such a row is shown and set aside, not told with another time.
WHEN = f"CASE WHEN at BETWEEN {FIRST} AND {LAST} THEN at END"
# For what needs a moment whatever the row says.
MOMENT = f"greatest({FIRST}, least({LAST}, at))"
# Many times the largest that we write: the names of ten thousand revisions fit in.
DETAIL = "CASE WHEN octet_length(detail::text) <= 524288 THEN detail END AS detail"
LONGEST_WORD = 1000


def word(column: str) -> str:
    """Far longer than any that we write; the rest of a longer one is left out."""
    return f"left({column}, {LONGEST_WORD}) AS {column}"
