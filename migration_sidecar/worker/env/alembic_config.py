"""Makes Alembic's Config, working directory and arguments as the command line `alembic` does."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from inspect import signature
from pathlib import Path
from typing import Any

from alembic.config import Config

from migration_sidecar.protocol.jobs import Job
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.worker.refusal import MigrationRefused

TOML_NAME = "pyproject.toml"


def make_config(job: Job, parser: ArgumentParser, report: SendReport) -> Config:
    """The Config for a job. Changes working directory and sys.argv, and with a `url` the target of every connection.

    Raises MigrationRefused (CM-701) for a pyproject.toml that this version of Alembic cannot read.
    """
    flask = job["flask"]
    if flask is not None:
        from migration_sidecar.worker.env.engine_url import redirect_engines
        from migration_sidecar.worker.env.flask_application import flask_config

        if job["url"]:
            redirect_engines(job["url"])  # the application may connect while it is loaded
        return flask_config(job, flask, report)
    os.chdir(job["directory"])
    config = _config(job, job["given_config"], parser)
    folder = Path(job["config_file"]).parent
    if not _is_script_location_here(config, folder):
        os.chdir(folder)
        config = _config(job, job["config_file"], parser)
    elif folder != Path.cwd():
        sys.path.extend(str(folder / entry) for entry in _entries(config))
    if job["url"]:
        from migration_sidecar.worker.env.engine_url import override_engine_url

        override_engine_url(job["url"], config)
    return config


def _config(job: Job, named: str | None, parser: ArgumentParser) -> Config:
    words = [*(("-c", named) if named else ()), *(("-n", job["section"]) if job["section"] != "alembic" else ())]
    words += [word for pair in job["x"] for word in ("-x", pair)]
    words += [job["action"], job["target"]] if job["kind"] in ("look", "migrate") else ["upgrade", "head"]
    sys.argv = [str(Path(sys.executable).with_name("alembic")), *words]
    # env.py files read config.cmd_opts, so it is made by Alembic's own parser.
    return Config(cmd_opts=parser.parse_args(words), ini_section=job["section"], **_files(job, named))


def _files(job: Job, named: str | None) -> dict[str, Any]:
    """As Alembic: one file is named, or else ALEMBIC_CONFIG; the other kind of file is in the working directory.

    If that is not there or says nothing for Alembic, the one beside the named file is taken.
    """
    names = [name for name in (named, os.environ.get("ALEMBIC_CONFIG")) if name]
    ini = next((name for name in names if Path(name).name != TOML_NAME), "alembic.ini")
    toml = next((name for name in names if Path(name).name == TOML_NAME), TOML_NAME)
    used = Path(job["config_file"])
    if ini not in names and not Path(ini).exists():
        ini = _beside(used, ini)
    if "toml_file" in signature(Config.__init__).parameters:
        if toml not in names and not Config(toml_file=toml).toml_alembic_config:
            toml = _beside(used, toml)
        return {"file_": ini, "toml_file": toml}
    if used.name == TOML_NAME and not Path(ini).exists():
        raise MigrationRefused(
            "CM-701",
            f"{TOML_NAME} can be read by Alembic 1.16 and newer, and this interpreter has an older one.",
            "Upgrade Alembic there, or write an alembic.ini.",
        )
    return {"file_": ini}


def _beside(used: Path, name: str) -> str:
    beside = used.with_name(name)
    return str(beside) if beside.exists() else name


def _is_script_location_here(config: Config, folder: Path) -> bool:
    """False if Alembic would find the scripts only in the folder of the file: then it is always started there."""
    option = getattr(config, "get_alembic_option", config.get_main_option)
    location = option("script_location") or ""
    is_package = ":" in location and not os.path.isabs(location)  # noqa: PTH117
    return bool(not location or is_package or Path(location).exists() or not (folder / location).exists())


def _entries(config: Config) -> list[str]:
    if hasattr(config, "get_prepend_sys_paths_list"):
        return [str(entry) for entry in config.get_prepend_sys_paths_list() or []]
    return (config.get_main_option("prepend_sys_path") or "").replace(":", " ").replace(",", " ").split()
