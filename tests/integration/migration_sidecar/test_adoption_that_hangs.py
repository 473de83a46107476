"""An env.py may be well while the database is compared, and hang when it is to be stamped."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import migration_sidecar.adoption.stamp
from migration_sidecar.adoption.catalog_diff import exclusions
from migration_sidecar.adoption.stamp import AdoptionProof, StampExecutor
from migration_sidecar.contract.errors import NotAdopted
from tests.integration.databases import Database
from tests.integration.migration_sidecar.conftest import StartEngine
from tests.integration.migration_sidecar.environments import Environment, rows

WAITS = """
import os, time
while os.path.exists({marker!r}):
    time.sleep(0.05)
"""


async def test_an_env_file_that_never_configures_does_not_keep_the_person_waiting(
    environment: Environment,
    start_engine: StartEngine,
    database: Database,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marker, env = tmp_path / "hangs", environment.folder / "alembic" / "env.py"
    environment.revision("a1")
    env.write_text(WAITS.format(marker=str(marker)) + env.read_text())
    monkeypatch.setattr(migration_sidecar.adoption.stamp, "CONFIGURES_SECONDS", 1.0)
    engine = start_engine(environment)
    proof = AdoptionProof(["a1"], "0" * 64, 0, exclusions(await engine.target_database.records()), "nowhere")
    marker.touch()
    with pytest.raises(NotAdopted, match=r"CM-407 .* did not get to context.configure within 1 s"):
        async with asyncio.timeout(60):
            await StampExecutor(engine, "ada", print).execute(proof)
    assert rows(database, "SELECT state FROM migration_sidecar.operations") == [("failed",)]
    assert rows(database, "SELECT to_regclass('alembic_version')") == [(None,)]
