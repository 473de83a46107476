"""One fleet for all tests that leave it standing; those that need another start their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.accounting import require_accounted_for
from tests.end_to_end.ground import Ground, standing

SLOW_SECONDS = 4


@pytest.fixture(scope="session")
def standing_ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Started with MIGRATE_ON_STARTUP=check: the event does the work."""
    with standing(tmp_path_factory.mktemp("fleet"), "check") as ground:
        yield ground


@pytest.fixture
def fresh_ground(standing_ground: Ground) -> Ground:
    """The fleet with nine empty databases."""
    standing_ground.empty_databases()
    return standing_ground


@pytest.fixture
def ground(fresh_ground: Ground) -> Iterator[Ground]:
    """The same; whatever a test makes of it must in the end be in the audit, exactly once and as it was."""
    yield fresh_ground
    require_accounted_for(fresh_ground)


@pytest.fixture
def slow_product(ground: Ground) -> Iterator[Ground]:
    """The fifth service has one more revision, slow enough to be hit."""
    file = ground.add_revision("product_service", "slow", f'op.execute("SELECT pg_sleep({SLOW_SECONDS})")')
    yield ground
    file.unlink()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a process that a test starts again writes."""
    return tmp_path / "started-again.log"
