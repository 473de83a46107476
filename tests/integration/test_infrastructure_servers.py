"""All servers together, for real, on ports of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request

import psutil
import pytest

from scripts.infrastructure import loopback, ports
from scripts.infrastructure.control_plane import EMPTIED
from scripts.infrastructure.infrastructure import Infrastructure
from scripts.infrastructure.settings import ROOT, Settings
from scripts.infrastructure.status import status


@pytest.fixture(scope="module")
def infrastructure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    whole = Infrastructure(Settings.private(tmp_path_factory.mktemp("infrastructure")))
    try:
        whole.up()
        yield whole
    finally:
        whole.down()


def states(infrastructure: Infrastructure) -> dict[str, str]:
    return {row.name: row.state for row in status(infrastructure)}


def infra(infrastructure: Infrastructure, *command: str) -> subprocess.CompletedProcess[str]:
    """As from another shell, which knows no more than where the state is."""
    environment = {**os.environ, "RMBRAIN_STATE_DIR": str(infrastructure.settings.state)}
    script = [ROOT / "scripts" / "infra", *command]
    return subprocess.run(script, capture_output=True, text=True, env=environment, check=False)


ALL_HEALTHY = dict.fromkeys(("postgres", "redis", "placement", "scheduler"), "healthy")


def test_everything_is_healthy_when_up_returns(infrastructure: Infrastructure) -> None:
    assert states(infrastructure) == ALL_HEALTHY


def test_up_again_starts_nothing_anew(infrastructure: Infrastructure) -> None:
    before = [program.process() for program in infrastructure.programs]
    infrastructure.up()
    assert [program.process() for program in infrastructure.programs] == before


def test_the_state_store_finds_its_schema_and_nothing_else_is_in_the_way(infrastructure: Infrastructure) -> None:
    with infrastructure.settings.postgres.connect("migration_coordinator") as connection:
        schemas = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information'").fetchall()
    assert {name for (name,) in schemas} == {"dapr", "public"}


def test_postgresql_and_redis_answer_for_nothing_that_is_not_on_disk(infrastructure: Infrastructure) -> None:
    with infrastructure.settings.postgres.connect() as connection:
        settings = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        assert connection.execute(settings).fetchone() == ("on", "on")
    configuration = infrastructure.redis.access.configuration.read_text().splitlines()
    assert {"appendonly yes", "appendfsync always"} <= set(configuration)
    with infrastructure.redis.client() as client:
        assert client.info("persistence")["aof_enabled"] == 1


def test_nothing_but_two_health_routes_listens_beyond_loopback(infrastructure: Infrastructure) -> None:
    """Dapr 1.18 ignores its own --healthz-listen-address; those routes tell only that they are there."""
    running = [process for program in infrastructure.programs if (process := program.process()) is not None]
    beyond = [
        connection.laddr.port
        for process in running
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and not connection.laddr.ip.startswith("127.")
    ]
    numbers = infrastructure.settings.control_plane
    assert len(running) == 4
    assert sorted(beyond) == sorted([numbers.placement_healthz, numbers.scheduler_healthz])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has more than one loopback address")
def test_no_web_page_finds_the_database_of_the_scheduler(infrastructure: Infrastructure, tmp_path: Path) -> None:
    """Any request could delete all jobs, and did so from a web page."""
    number = infrastructure.settings.control_plane.scheduler_etcd_client
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ports.LOOPBACK, number))
    scheduler = infrastructure.control_plane.scheduler.process()
    assert scheduler is not None
    listening = scheduler.net_connections("tcp")
    [address] = {each.laddr.ip for each in listening if each.status == psutil.CONN_LISTEN and each.laddr.port == number}
    assert address.split(".")[0] == "127"
    other = Infrastructure(Settings.private(tmp_path)).control_plane
    other._choose_etcd_address()
    assert other._etcd_address != address


def test_a_scheduler_whose_database_was_emptied_is_shown_and_brought_back_by_up(infrastructure: Infrastructure) -> None:
    plane = infrastructure.control_plane
    before = plane.scheduler.process()
    assert before is not None
    infrastructure.up()
    assert plane.scheduler.process() == before
    url = f"http://{plane._etcd_address}:{plane.ports.scheduler_etcd_client}/v3/kv/deleterange"
    loopback.call(Request(url, data=b'{"key":"AA==","range_end":"AA=="}'), timeout_seconds=5).close()
    assert states(infrastructure) == ALL_HEALTHY | {"scheduler": "unhealthy"}
    assert [row.why for row in status(infrastructure) if row.name == "scheduler"] == [EMPTIED]
    infrastructure.up()
    assert states(infrastructure) == ALL_HEALTHY
    assert plane.scheduler.process() != before


def test_a_server_that_was_killed_is_shown_as_stopped_and_brought_back_by_up(infrastructure: Infrastructure) -> None:
    process = infrastructure.redis.program.process()
    assert process is not None
    process.kill()
    process.wait()
    assert states(infrastructure) == ALL_HEALTHY | {"redis": "stopped"}
    infrastructure.up()
    assert states(infrastructure) == ALL_HEALTHY


def test_a_named_server_is_used_and_never_started_or_stopped_by_us(
    infrastructure: Infrastructure, tmp_path: Path
) -> None:
    theirs = infrastructure.settings
    named = {
        "RMBRAIN_STATE_DIR": str(tmp_path),
        "POSTGRES_HOST": ports.LOOPBACK,
        "POSTGRES_PORT": str(theirs.postgres.port),
        "REDIS_HOST": f"{ports.LOOPBACK}:{theirs.redis_port}",
        "REDIS_USERNAME": "operator",
        "REDIS_PASSWORD": theirs.redis_access.password("operator"),
    }
    guest = Infrastructure(Settings.from_environment(named))
    assert not guest.postgres_is_ours
    assert not guest.redis_is_ours
    assert [row.state for row in status(guest)][:2] == ["yours", "yours"]
    guest.down()
    guest.reset()
    assert states(infrastructure) == ALL_HEALTHY


@pytest.mark.parametrize(
    ("command", "end"), [(("down",), "./scripts/infra down --yes\n"), (("reset", "--yes"), "Nothing was deleted.\n")]
)
def test_no_server_is_stopped_under_a_fleet_that_somebody_started_by_hand(
    infrastructure: Infrastructure, command: tuple[str, ...], end: str
) -> None:
    """Its sidecars are connected to the scheduler, as this test is here; no pid file knows them."""
    assert infrastructure.control_plane.users() == []
    with socket.create_connection((ports.LOOPBACK, infrastructure.settings.control_plane.scheduler)):
        refused = infra(infrastructure, *command)
    assert refused.returncode == 3
    assert f"A fleet runs on these servers: {ports.describe(os.getpid())}. End it first" in refused.stderr
    assert refused.stderr.endswith(end)
    assert states(infrastructure) == ALL_HEALTHY


def test_somebody_who_only_looks_into_redis_is_not_taken_for_a_fleet(
    infrastructure: Infrastructure,
) -> None:
    with socket.create_connection((ports.LOOPBACK, infrastructure.settings.redis_port)):
        assert infrastructure.control_plane.users() == []


def test_down_and_reset_are_safe_while_nothing_runs(tmp_path: Path) -> None:
    idle = Infrastructure(Settings.private(tmp_path))
    idle.down()
    idle.reset()
    assert set(states(idle).values()) == {"stopped"}


def test_reset_deletes_our_data_and_nothing_beside_it(tmp_path: Path) -> None:
    whole = Infrastructure(Settings.private(tmp_path))
    beside = tmp_path / "postgres" / "notes.txt"
    whole.postgres.data.mkdir(parents=True)
    beside.write_text("mine")
    whole.reset()
    assert not whole.postgres.data.exists()
    assert beside.read_text() == "mine"


def test_reset_keeps_the_anchors_of_the_deleted_audit_and_leaves_the_next_one_to_make_a_key(tmp_path: Path) -> None:
    whole = Infrastructure(Settings.private(tmp_path))
    whole.postgres.data.mkdir(parents=True)
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "signing-key.pem").write_text("key")
    whole.reset()
    assert [file.read_text() for file in tmp_path.glob("audit*/signing-key.pem")] == ["key"]
    assert not (tmp_path / "audit").exists()
