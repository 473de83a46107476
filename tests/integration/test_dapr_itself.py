"""What of Dapr this project works around or relies on, asked of the real daprd: the day it changes is noticed here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml

from scripts.infrastructure import loopback, ports
from scripts.infrastructure.databases import COORDINATOR_DATABASE, prepare_state_store
from scripts.infrastructure.postgres import Address, PostgresServer
from scripts.infrastructure.render import Rendering, render_fleet
from scripts.infrastructure.role_passwords import RolePasswords, role_of
from scripts.infrastructure.settings import Settings
from scripts.infrastructure.supervise import Program, dying_with_us

DAPRD = Path(sys.prefix) / "dapr" / ".dapr" / "bin" / "daprd"
CLEAN_UP_SECONDS = 20
SECRET = "Cnry: back\\slash 100%41 @/?# at the end "

StartSidecar = Callable[..., tuple[Program, int]]


@pytest.fixture
def start_sidecar() -> Iterator[StartSidecar]:
    """The coordinator's daprd over a rendered fleet; gives its HTTP port too."""
    with ExitStack() as stack:

        def start(folder: Path, resources: str = "components") -> tuple[Program, int]:
            http, grpc, internal, metrics = ports.choose(4)
            command = [
                *(str(DAPRD), "--app-id", "migration-coordinator", "--config", str(folder / "dapr-config.yaml")),
                *("--resources-path", str(folder / resources), "--dapr-listen-addresses", ports.LOOPBACK),
                *("--dapr-http-port", str(http), "--dapr-grpc-port", str(grpc), "--metrics-port", str(metrics)),
                *("--dapr-internal-grpc-port", str(internal)),
            ]
            address = {"DAPR_HOST_IP": ports.LOOPBACK}
            program = Program("daprd", dying_with_us(command), folder / "sidecar", environment=address)
            stack.callback(program.stop)
            program.start()
            program.wait_until(lambda: answer(http, "healthz/outbound") == 204, "its outbound health", 60)
            return program, http

        yield start


def answer(http: int, path: str) -> int:
    return ask(http, path)[0]


def ask(http: int, path: str) -> tuple[int, str]:
    try:
        with loopback.call(f"http://{ports.LOOPBACK}:{http}/v1.0/{path}", timeout_seconds=5) as answered:
            return int(answered.status), answered.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


def rendered(folder: Path, settings: Settings, clean_up: str | None = None) -> Path:
    """Without actors, which need placement, and without the broker."""
    render_fleet(folder, Rendering(settings, free_ports=True))
    configuration = yaml.safe_load((folder / "dapr-config.yaml").read_text())
    if clean_up is not None:
        configuration["spec"]["nameResolution"]["configuration"]["cleanupInterval"] = clean_up
    (folder / "dapr-config.yaml").write_text(yaml.safe_dump(configuration))
    for name in ("broker-secrets", "pubsub", "resiliency"):
        (folder / "components" / f"{name}.yaml").unlink()
    component = yaml.safe_load((folder / "components" / "statestore.yaml").read_text())
    metadata = [entry for entry in component["spec"]["metadata"] if entry["name"] != "actorStateStore"]
    component["spec"]["metadata"] = metadata
    (folder / "components" / "statestore.yaml").write_text(yaml.safe_dump(component))
    (folder / "none").mkdir()
    return folder


def test_daprs_clean_up_of_names_still_ends_a_healthy_sidecar_and_ours_is_spared(
    tmp_path: Path, start_sidecar: StartSidecar
) -> None:
    """When this fails, Dapr has mended its clean-up, and `cleanupInterval: 0s` in dapr-config.yaml can go."""
    ours, _ = start_sidecar(rendered(tmp_path / "ours", Settings()), "none")
    theirs, _ = start_sidecar(rendered(tmp_path / "theirs", Settings(), f"{CLEAN_UP_SECONDS}s"), "none")
    give_up = time.monotonic() + 3 * CLEAN_UP_SECONDS
    while theirs.process() is not None:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert "Host registration lost" in theirs.log.read_text()
    assert ours.process() is not None


@pytest.fixture
def state_store(postgres: PostgresServer) -> Address:
    """A server whose administrator has a password with every odd sign."""
    with postgres.address.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS odd_state")
        connection.execute("CREATE ROLE odd_state SUPERUSER LOGIN")
        connection.pgconn.exec_(b"ALTER ROLE odd_state PASSWORD " + quoted(SECRET))
    address = Address(postgres.address.host, postgres.address.port, "odd_state", SECRET)
    prepare_state_store(address)
    return address


@pytest.fixture
def state_role(postgres: PostgresServer, tmp_path: Path) -> Settings:
    """Dapr's state has a role of its own, as after `infra up`."""
    settings = Settings(state=tmp_path / "a state", postgres=postgres.address)
    prepare_state_store(postgres.address)
    role = role_of(COORDINATOR_DATABASE)
    password = RolePasswords(settings.passwords_folder).make(role)
    with postgres.address.connect() as connection:
        connection.execute(f"DROP ROLE IF EXISTS {role}")
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    with postgres.address.connect(COORDINATOR_DATABASE) as connection:
        connection.execute("DROP SCHEMA dapr CASCADE")
        connection.execute(f"CREATE SCHEMA dapr AUTHORIZATION {role}")
    return settings


def test_the_state_store_logs_in_with_a_role_that_owns_nothing_but_its_schema(
    tmp_path: Path, start_sidecar: StartSidecar, state_role: Settings, postgres: PostgresServer
) -> None:
    """daprd makes its tables itself, and reads the password from the passfile that the component names."""
    program, http = start_sidecar(rendered(tmp_path / "fleet", state_role))
    assert answer(http, "state/statestore/any") == 204
    with postgres.address.connect(COORDINATOR_DATABASE) as connection:
        owners = connection.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'dapr'").fetchall()
    assert owners == [("migration_coordinator",)]
    password = RolePasswords(state_role.passwords_folder).make("migration_coordinator")
    process = program.process()
    assert process is not None
    assert password not in str(process.environ()) + str(process.cmdline()) + program.log.read_text()
    program.stop()
    with postgres.address.connect() as connection:
        connection.execute("DROP DATABASE migration_coordinator WITH (FORCE)")
        connection.execute("DROP ROLE migration_coordinator")


def quoted(text: str) -> bytes:
    return b"E'" + text.replace("\\", "\\\\").replace("'", "''").encode() + b"'"


def test_the_state_store_takes_a_password_that_no_file_of_daprs_and_no_caller_sees(
    tmp_path: Path, start_sidecar: StartSidecar, state_store: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_PASSWORD", SECRET)
    program, http = start_sidecar(rendered(tmp_path / "fleet", Settings(postgres=state_store)))
    assert answer(http, "state/statestore/any") == 204
    assert answer(http, "secrets/secrets/stateStore") == 403
    assert not [path for path in ("secrets/secrets/bulk", "metadata") if "Cnry" in ask(http, path)[1]]
    process = program.process()
    assert process is not None
    assert SECRET not in str(process.environ()) + str(process.cmdline())
    assert "Cnry" not in program.log.read_text()
    for file in (tmp_path / "fleet").rglob("*.yaml"):
        assert "Cnry" not in file.read_text()
