"""Writes a copy of dapr.yaml and components/ with other ports, servers and folders."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from sqlalchemy import URL, make_url

from scripts.infrastructure import call_keys, ports, private
from scripts.infrastructure.call_keys import COORDINATOR
from scripts.infrastructure.catalog import members
from scripts.infrastructure.dapr_tokens import ENV_FILE
from scripts.infrastructure.databases import COORDINATOR_DATABASE
from scripts.infrastructure.ports import LOOPBACK
from scripts.infrastructure.render_secrets import SecretFiles
from scripts.infrastructure.role_passwords import RolePasswords, role_of
from scripts.infrastructure.settings import ROOT, Settings

AUDIT = "cas-audit"
PORT_KEYS = ("appPort", "daprHTTPPort", "daprGRPCPort", "daprInternalGRPCPort", "metricsPort")


@dataclass(frozen=True)
class Rendering:
    """What a copy changes.

    `root` is the folder that contains services/. `environment` is added for every application, `of` for single ones
    by app id.
    """

    settings: Settings
    root: Path = ROOT
    free_ports: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    of: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def render_fleet(into: Path, rendering: Rendering) -> Path:
    """Writes the copy and returns its dapr.yaml, which can be started from any folder.

    No file contains the user's password.
    """
    here = into.absolute()
    secrets = SecretFiles(here, rendering.settings.postgres, spared=has_all_roles(rendering.settings))
    _components(here / "components", rendering.settings, secrets)
    secrets.write(COORDINATOR_DATABASE)
    for source in ROOT.glob("dapr-config*.yaml"):
        configuration = yaml.safe_load(source.read_text())
        configuration["spec"]["nameResolution"]["configuration"]["connectionString"] = str(here / "names.db")
        if secrets.needed:
            secrets.deny(configuration)
        _write(here / source.name, configuration)
    return _write(here / "dapr.yaml", _dapr_file(here, rendering, secrets))


def _components(folder: Path, settings: Settings, secrets: SecretFiles) -> None:
    private.make_folder(folder)
    for source in sorted((ROOT / "components").glob("*.yaml")):
        documents = [_component(document, settings) for document in yaml.safe_load_all(source.read_text())]
        if secrets.needed and not _passwords(settings).exists(role_of(COORDINATOR_DATABASE)):
            for document in documents:
                secrets.refer(document)
        private.write(folder / source.name, yaml.safe_dump_all(documents, sort_keys=False))
    secret_store = folder / "secrets.yaml"
    if secrets.needed:
        _write(secret_store, secrets.component())
    else:
        secret_store.unlink(missing_ok=True)


def read_fleet(file: Path) -> dict[str, dict[str, Any]]:
    """The applications of a dapr.yaml by app id."""
    return {application["appID"]: application for application in yaml.safe_load(file.read_text())["apps"]}


def read_common(file: Path) -> dict[str, Any]:
    """The settings for all applications of a dapr.yaml."""
    common: dict[str, Any] = yaml.safe_load(file.read_text())["common"]
    return common


def configuration_of(file: Path, name: str) -> Path:
    """The configuration file of an application's sidecar; `file` is the dapr.yaml."""
    own = read_fleet(file).get(name, {}).get("configFilePath")
    return Path(file.parent, own or read_common(file)["configFilePath"]).resolve()


def _write(path: Path, document: Any) -> Path:
    return private.write(path, yaml.safe_dump(document, sort_keys=False, width=1000))


def _component(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    values = {
        "connectionString": _state_store(settings),
        "redisHost": f"{settings.redis_host}:{settings.redis_port}",
        "secretsFile": str(settings.redis_access.of_dapr.absolute()),
    }
    for entry in document["spec"].get("metadata", ()):
        if entry["name"] in values:
            entry["value"] = values[entry["name"]]
    return document


def _dapr_file(into: Path, rendering: Rendering, secrets: SecretFiles) -> dict[str, Any]:
    fleet: dict[str, Any] = yaml.safe_load((ROOT / "dapr.yaml").read_text())
    plane, keys = rendering.settings.control_plane, rendering.settings.keys_folder
    fleet["common"]["env"] |= call_keys.of_application(keys, COORDINATOR, fleet["common"]["env"])
    fleet["common"] |= {
        "configFilePath": str(into / "dapr-config.yaml"),
        "runtimePath": str(ROOT / fleet["common"]["runtimePath"]),
        "resourcesPaths": [str(into / "components")],
        "placementHostAddress": f"{LOOPBACK}:{plane.placement}",
        "schedulerHostAddress": f"{LOOPBACK}:{plane.scheduler}",
    }
    applications = fleet["apps"]
    for application in applications:
        if "configFilePath" in application:
            application["configFilePath"] = str(into / application["configFilePath"])
    chosen = iter(ports.choose(len(applications) * len(PORT_KEYS)) if rendering.free_ports else ())
    for application in applications:
        _application(application, rendering, secrets)
        if rendering.free_ports:
            _move(application, {key: next(chosen) for key in PORT_KEYS})
    return fleet


def _application(application: dict[str, Any], rendering: Rendering, secrets: SecretFiles) -> None:
    committed: dict[str, Any] = application.get("env", {})
    own_key = call_keys.of_application(rendering.settings.keys_folder, application["appID"], committed)
    environment = {**committed, **own_key, **rendering.environment, **rendering.of.get(application["appID"], {})}
    application["appDirPath"] = str(rendering.root.absolute())
    application["command"][0] = sys.executable
    if "DATABASE_URL" in committed:
        _log_in(application, environment, rendering.settings, secrets)
    # Into the one log of `dapr run`, not into the source folder.
    application["appLogDestination"] = application["daprdLogDestination"] = "console"
    if ENV_FILE in committed:
        tokens = rendering.settings.dapr_tokens
        environment[ENV_FILE] = str(tokens.environment_file(application["appID"]).absolute())
    if application["appID"] == AUDIT and rendering.settings.state != Settings.state:
        environment.setdefault("AUDIT_FOLDER", str(rendering.settings.audit_folder.absolute()))
    if environment:
        application["env"] = environment


def _log_in(application: dict[str, Any], environment: dict[str, str], settings: Settings, secrets: SecretFiles) -> None:
    """With the role of its database if there is one, and otherwise as the administrator."""
    here, passwords = make_url(environment["DATABASE_URL"]), _passwords(settings)
    role = role_of(here.database or "")
    user, password = role, None
    if passwords.exists(role):
        environment["PGPASSFILE"] = str(passwords.file(role).absolute())
    else:
        environment.pop("PGPASSFILE", None)
        user, password = settings.postgres.user, None if secrets.needed else settings.postgres.password
        if secrets.needed:
            application["command"] = secrets.lend(application["command"])
    server = settings.postgres
    moved = URL.create(here.drivername, user, password, server.host, server.port, here.database, here.query)
    environment["DATABASE_URL"] = moved.render_as_string(hide_password=False)


def _state_store(settings: Settings) -> str:
    role, passwords, server = role_of(COORDINATOR_DATABASE), _passwords(settings), settings.postgres
    if not passwords.exists(role):
        return server.url(COORDINATOR_DATABASE)
    query = {"passfile": str(passwords.file(role).absolute())}
    own = URL.create("postgresql", role, None, server.host, server.port, COORDINATOR_DATABASE, query)
    return own.render_as_string(hide_password=False)


def has_all_roles(settings: Settings) -> bool:
    """Whether every service, and Dapr's state, has a role of its own on this server. The committed files need that."""
    databases = [COORDINATOR_DATABASE, *(member.database for member in members())]
    return all(_passwords(settings).exists(role_of(name)) for name in databases)


def _passwords(settings: Settings) -> RolePasswords:
    return RolePasswords(settings.passwords_folder)


def _move(application: dict[str, Any], numbers: dict[str, int]) -> None:
    command = application["command"]
    command[command.index("--port") + 1] = str(numbers["appPort"])
    application |= numbers
