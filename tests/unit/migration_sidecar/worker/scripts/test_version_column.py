"""Whether a revision file may make the version column wider, told from its text."""

from __future__ import annotations

import pytest

from migration_sidecar.worker.scripts.source_tree import SourceTree
from migration_sidecar.worker.scripts.version_column import may_widen_version_column


@pytest.mark.parametrize(
    ("text", "may_widen"),
    [
        ("from alembic import op\nimport sqlalchemy as sa\nfrom datetime import datetime\n", False),
        ("op.alter_column('alembic_version', 'version_num', type_=sa.String(99))\n", True),
        ("from shop.migrations import widen\n", True),
        ("from . import widen\n", True),
        ("import shop\n", True),
        ("op.execute(open('widen.sql').read())\n", True),
        ("op.execute(Path('widen.sql').read_text())\n", True),
        ("\0", True),
    ],
)
def test_a_file_may_widen_the_column_if_it_names_it_or_runs_what_is_not_in_it(text: str, may_widen: bool) -> None:
    assert may_widen_version_column(text.encode(), SourceTree.parsed(text.encode())) is may_widen
