"""The committed Dapr files agree with the catalog, and a rendered copy moves everything that has to move."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from sqlalchemy import make_url

from scripts.infrastructure.catalog import members
from scripts.infrastructure.postgres import Address
from scripts.infrastructure.render import (
    PORT_KEYS,
    Rendering,
    configuration_of,
    has_all_roles,
    read_fleet,
    render_fleet,
)
from scripts.infrastructure.role_passwords import RolePasswords, role_of
from scripts.infrastructure.settings import ROOT, ControlPlanePorts, Settings

COMMITTED = ROOT / "dapr.yaml"
CONFIGURATIONS = ("dapr-config.yaml", "dapr-config-coordinator.yaml")
ELSEWHERE = Settings(
    postgres=Address("db.example", 6543, "admin", "p@ss:/word"),
    redis_host="broker.example",
    redis_port=7000,
    control_plane=ControlPlanePorts(placement=1001, scheduler=1002),
)


def with_roles(state: Path, server: Address) -> Settings:
    """As after `infra up`: each service has a role of its own."""
    settings = Settings(state=state, postgres=server)
    for name in ("migration_coordinator", *(member.database for member in members())):
        RolePasswords(settings.passwords_folder).make(role_of(name))
    return settings


def documents(folder: Path) -> dict[str, dict[str, Any]]:
    files = sorted((folder / "components").glob("*.yaml"))
    return {each["metadata"]["name"]: each for file in files for each in yaml.safe_load_all(file.read_text())}


def committed_documents() -> dict[str, dict[str, Any]]:
    """As a rendered copy has them, which can be started from any folder."""
    found = documents(ROOT)
    [secrets_file] = found["broker-secrets"]["spec"]["metadata"]
    secrets_file["value"] = str(ROOT / secrets_file["value"])
    return found


def metadata(component: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in component["spec"]["metadata"] if "value" in entry}


def every_port(file: Path) -> list[int]:
    return [application[key] for application in read_fleet(file).values() for key in PORT_KEYS]


def test_every_service_with_a_database_is_an_application_with_its_url() -> None:
    urls = {name: application.get("env", {}).get("DATABASE_URL") for name, application in read_fleet(COMMITTED).items()}
    databases = {name: make_url(url).database for name, url in urls.items() if url}
    assert databases == {member.name: member.database for member in members()}


def test_the_fleet_starts_in_the_order_it_migrates() -> None:
    assert list(read_fleet(COMMITTED)) == ["migration-coordinator", *(member.name for member in members())]


def test_no_two_ports_of_the_committed_fleet_are_the_same() -> None:
    ports = [*every_port(COMMITTED), *vars(ControlPlanePorts()).values(), 5432, 6379]
    assert len(set(ports)) == len(ports)


def test_every_port_of_the_committed_fleet_is_below_those_of_outgoing_connections() -> None:
    """From 32768 on Linux takes the ports of outgoing connections: starts used to fail when one was there first."""
    assert max(*every_port(COMMITTED), *vars(ControlPlanePorts()).values()) < 32_768


def test_an_application_listens_where_its_sidecar_looks_for_it() -> None:
    for application in read_fleet(COMMITTED).values():
        command = application["command"]
        assert command[command.index("--port") + 1] == str(application["appPort"])
        assert command[command.index("--host") + 1] == "127.0.0.1"


def test_dapr_repeats_no_call_to_any_application_by_itself() -> None:
    """An entry per application, even with only a timeout, switches Dapr's built-in retries of a POST off."""
    targets = documents(ROOT)["rmbrain"]["spec"]["targets"]["apps"]
    assert set(targets) == set(read_fleet(COMMITTED))


def test_an_event_that_fails_is_tried_again_for_less_time_than_the_broker_waits() -> None:
    inbound = documents(ROOT)["rmbrain"]["spec"]["policies"]["retries"]["inbound"]
    assert metadata(documents(ROOT)["pubsub"])["processingTimeout"] == "5m"
    assert inbound["maxRetries"] * int(inbound["duration"].removesuffix("s")) < 300


@pytest.mark.parametrize("component", ["statestore", "pubsub", "broker-secrets"])
def test_only_the_coordinator_sees(component: str) -> None:
    assert documents(ROOT)[component]["scopes"] == ["migration-coordinator"]


def test_a_rendered_fleet_uses_the_servers_it_is_told_to(tmp_path: Path) -> None:
    fleet = read_fleet(render_fleet(tmp_path, Rendering(ELSEWHERE)))
    url = make_url(fleet["cds-task"]["env"]["DATABASE_URL"])
    assert (url.drivername, url.host, url.port, url.database) == ("postgresql+asyncpg", "db.example", 6543, "cds_task")
    assert (url.username, url.password) == ("admin", None)
    assert (tmp_path / "secrets" / "database-password").read_text() == "p@ss:/word"
    [state] = json.loads((tmp_path / "secrets" / "dapr.json").read_text()).values()
    server = make_url(state)
    assert (server.host, server.database, server.password) == ("db.example", "migration_coordinator", "p@ss:/word")
    assert metadata(documents(tmp_path)["pubsub"])["redisHost"] == "broker.example:7000"


def test_the_committed_fleet_logs_in_with_the_role_of_each_database_and_has_no_password() -> None:
    for application in read_fleet(COMMITTED).values():
        if "DATABASE_URL" in application.get("env", {}):
            url = make_url(application["env"]["DATABASE_URL"])
            assert (url.username, url.password) == (role_of(url.database or ""), None)
            assert ROOT / application["env"]["PGPASSFILE"] == Settings().passwords_folder / (url.username or "")
    state = make_url(metadata(documents(ROOT)["statestore"])["connectionString"])
    assert (state.username, state.password) == (role_of("migration_coordinator"), None)
    assert ROOT / str(state.query["passfile"]) == Settings().passwords_folder / "migration_coordinator"


@pytest.mark.parametrize("server", [Address(), Address("::1", 6543, "admin", "p@ss:/word")])
def test_a_rendered_fleet_logs_in_with_roles_where_they_are_and_knows_no_administrator(
    tmp_path: Path, server: Address
) -> None:
    settings = with_roles(tmp_path / "a state", server)
    fleet = read_fleet(render_fleet(tmp_path / "fleet", Rendering(settings)))
    environment = fleet["cds-task"]["env"]
    url = make_url(environment["DATABASE_URL"])
    assert (url.drivername, url.username, url.password) == ("postgresql+asyncpg", "cds_task", None)
    assert (url.host, url.port) == (server.host, server.port)
    assert environment["PGPASSFILE"] == str(settings.passwords_folder / "cds_task")
    state = make_url(metadata(documents(tmp_path / "fleet")["statestore"])["connectionString"])
    assert (state.username, state.password, state.host) == ("migration_coordinator", None, server.host)
    assert state.query["passfile"] == str(settings.passwords_folder / "migration_coordinator")
    assert not (tmp_path / "fleet" / "secrets").exists()
    for file in (tmp_path / "fleet").rglob("*.yaml"):
        assert not [word for word in ("admin@", "postgres:postgres", "p@ss", "p%40ss") if word in file.read_text()]


def test_a_service_without_a_role_logs_in_as_the_administrator_beside_others_that_have_one(tmp_path: Path) -> None:
    settings = with_roles(tmp_path / "state", ELSEWHERE.postgres)
    RolePasswords(settings.passwords_folder).file("cds_task").unlink()
    fleet = read_fleet(render_fleet(tmp_path / "fleet", Rendering(settings)))
    users = {name: make_url(fleet[name]["env"]["DATABASE_URL"]).username for name in ("cds-task", "cds-client")}
    assert users == {"cds-task": "admin", "cds-client": "cds_client"}
    assert "PGPASSFILE" not in fleet["cds-task"]["env"]
    assert "scripts.infrastructure.with_password" in fleet["cds-task"]["command"]
    assert "scripts.infrastructure.with_password" not in fleet["cds-client"]["command"]


def test_the_committed_files_are_not_used_while_a_role_is_missing(tmp_path: Path) -> None:
    settings = with_roles(tmp_path, Address())
    assert has_all_roles(settings)
    RolePasswords(settings.passwords_folder).file("migration_coordinator").unlink()
    assert not has_all_roles(settings)


def test_the_password_of_the_users_own_server_is_only_in_files_that_nobody_else_reads(tmp_path: Path) -> None:
    """Before, dapr.yaml and components/statestore.yaml had it, and everybody on the machine could read them."""
    for loose in (tmp_path / "components", tmp_path / "secrets"):
        loose.mkdir(mode=0o755)
    (tmp_path / "dapr.yaml").touch(mode=0o644)
    render_fleet(tmp_path, Rendering(ELSEWHERE))
    having = set()
    for file in (each for each in tmp_path.rglob("*") if each.is_file()):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        text = file.read_text()
        if any(spelling in text for spelling in ("p@ss:/word", "p%40ss", quote("p@ss:/word"))):
            having.add(file.relative_to(tmp_path).as_posix())
    assert having == {"secrets/database-password", "secrets/dapr.json"}


def test_a_secret_of_an_earlier_rendering_goes_when_it_is_not_needed_any_more(tmp_path: Path) -> None:
    render_fleet(tmp_path, Rendering(ELSEWHERE))
    render_fleet(tmp_path, Rendering(with_roles(tmp_path / "state", Address())))
    assert not (tmp_path / "secrets").exists()
    assert "secrets" not in documents(tmp_path)


def test_no_sidecar_gives_a_secret_away(tmp_path: Path) -> None:
    """Its HTTP port is open to every user of the machine."""
    render_fleet(tmp_path, Rendering(ELSEWHERE))
    stores = [name for name, each in documents(tmp_path).items() if "secretstores" in each["spec"].get("type", "")]
    denied = [{"storeName": name, "defaultAccess": "deny"} for name in stores]
    assert stores == ["broker-secrets", "secrets"]
    for name in CONFIGURATIONS:
        assert yaml.safe_load((tmp_path / name).read_text())["spec"]["secrets"]["scopes"] == denied
    assert all(documents(tmp_path)[name]["scopes"] == ["migration-coordinator"] for name in stores)


def test_no_committed_file_has_the_password_of_the_broker() -> None:
    pubsub = documents(ROOT)["pubsub"]
    assert not {"redisUsername", "redisPassword"} & metadata(pubsub).keys()
    assert pubsub["auth"] == {"secretStore": "broker-secrets"}


def test_an_application_that_is_lent_the_password_is_otherwise_started_as_before(tmp_path: Path) -> None:
    committed = read_fleet(COMMITTED)
    for name, application in read_fleet(render_fleet(tmp_path, Rendering(ELSEWHERE))).items():
        same = len(committed[name]["command"]) - 2
        assert application["command"][-same:] == committed[name]["command"][-same:]


def test_a_rendered_fleet_can_be_started_from_any_folder(tmp_path: Path) -> None:
    file = render_fleet(tmp_path, Rendering(ELSEWHERE, root=tmp_path / "tree"))
    common = yaml.safe_load(file.read_text())["common"]
    assert common["configFilePath"] == str(tmp_path / "dapr-config.yaml")
    assert common["resourcesPaths"] == [str(tmp_path / "components")]
    assert (common["placementHostAddress"], common["schedulerHostAddress"]) == ("127.0.0.1:1001", "127.0.0.1:1002")
    for application in read_fleet(file).values():
        assert application["appDirPath"] == str(tmp_path / "tree")
        assert application["command"][0] == sys.executable


def test_only_the_coordinators_sidecar_is_closed_to_all_other_sidecars(tmp_path: Path) -> None:
    """The two files are the same but for that, and each sidecar has its own."""
    file = render_fleet(tmp_path, Rendering(ELSEWHERE))
    for fleet in (COMMITTED, file):
        of_services, of_coordinator = (yaml.safe_load((fleet.parent / name).read_text()) for name in CONFIGURATIONS)
        assert of_coordinator["spec"].pop("accessControl") == {"defaultAction": "deny"}
        assert of_coordinator == of_services
        for name in read_fleet(fleet):
            own = CONFIGURATIONS[name == "migration-coordinator"]
            assert configuration_of(fleet, name) == (fleet.parent / own).resolve()


def test_sidecars_of_two_rendered_fleets_do_not_find_each_other(tmp_path: Path) -> None:
    names = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        render_fleet(folder, Rendering(Settings()))
        configuration = yaml.safe_load((folder / "dapr-config.yaml").read_text())
        names.append(configuration["spec"]["nameResolution"]["configuration"]["connectionString"])
    assert names == [str(tmp_path / "one" / "names.db"), str(tmp_path / "two" / "names.db")]


def test_no_sidecar_cleans_up_the_names_of_the_others(tmp_path: Path) -> None:
    """The clean-up deletes what was renewed just now, and a daprd that misses its own name ends."""
    render_fleet(tmp_path, Rendering(Settings(), free_ports=True))
    for file in (folder / name for folder in (ROOT, tmp_path) for name in CONFIGURATIONS):
        configuration = yaml.safe_load(file.read_text())
        assert configuration["spec"]["nameResolution"]["configuration"]["cleanupInterval"] == "0s"


def test_free_ports_are_all_different_and_none_is_a_committed_one(tmp_path: Path) -> None:
    moved = every_port(render_fleet(tmp_path, Rendering(Settings(), free_ports=True)))
    assert len(set(moved)) == len(moved)
    assert not set(moved) & set(every_port(COMMITTED))


def test_environment_reaches_all_applications_or_only_the_one_named(tmp_path: Path) -> None:
    rendering = Rendering(Settings(), environment={"COLOUR": "red"}, of={"cds-task": {"COLOUR": "blue"}})
    fleet = read_fleet(render_fleet(tmp_path, rendering))
    assert fleet["cds-client"]["env"]["COLOUR"] == "red"
    assert fleet["cds-task"]["env"]["COLOUR"] == "blue"


def test_the_committed_fleet_looks_for_placement_and_scheduler_where_they_are_started() -> None:
    common, own = yaml.safe_load(COMMITTED.read_text())["common"], ControlPlanePorts()
    assert common["placementHostAddress"] == f"127.0.0.1:{own.placement}"
    assert common["schedulerHostAddress"] == f"127.0.0.1:{own.scheduler}"


def test_a_fleet_of_its_own_keeps_key_and_anchors_in_its_own_folder(tmp_path: Path) -> None:
    rendered = read_fleet(render_fleet(tmp_path, Rendering(Settings.private(tmp_path / "state"))))
    assert rendered["cas-audit"]["env"]["AUDIT_FOLDER"] == str(tmp_path / "state" / "audit")


def test_rendering_with_the_defaults_changes_no_server(tmp_path: Path) -> None:
    """Only paths become absolute."""
    settings = with_roles(tmp_path / "state", Address())
    committed, rendered = read_fleet(COMMITTED), read_fleet(render_fleet(tmp_path / "fleet", Rendering(settings)))
    assert documents(tmp_path / "fleet").keys() == documents(ROOT).keys()
    for name, application in committed.items():
        environment = {key: value.replace(".rmbrain", str(settings.state)) for key, value in application["env"].items()}
        own_audit = {"AUDIT_FOLDER": str(settings.audit_folder)} if name == "cas-audit" else {}
        assert rendered[name]["env"] == environment | own_audit
        assert {key: rendered[name][key] for key in PORT_KEYS} == {key: application[key] for key in PORT_KEYS}
