"""Makes Alembic's Config as the command line `alembic` does."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from inspect import signature
from pathlib import Path
from typing import Any

from alembic.config import Config

from migration_sidecar.protocol.jobs import Job
from migration_sidecar.worker.refusal import MigrationRefused

TOML_NAME = "pyproject.toml"


def make_config(job: Job, parser: ArgumentParser) -> Config:
    """The Config for a job. Changes the working directory, and with a `url` in the job the target of every connection.

    Raises MigrationRefused (CM-701) for a pyproject.toml that this version of Alembic cannot read.
    """
    named = Path(job["config_file"])
    os.chdir(named.parent)
    words = ["-c", str(named), "-n", job["section"]]
    words += [word for pair in job["x"] for word in ("-x", pair)]
    words += [job["action"], job["target"]] if job["kind"] == "migrate" else ["current"]
    # env.py files read config.cmd_opts, so it is made by Alembic's own parser.
    config = Config(cmd_opts=parser.parse_args(words), ini_section=job["section"], **_files(named))
    _choose_working_directory(config, Path(job["directory"]))
    if job["url"]:
        from migration_sidecar.worker.env.engine_url import override_engine_url

        override_engine_url(job["url"], config)
    return config


def _files(named: Path) -> dict[str, Any]:
    is_toml = named.name == TOML_NAME
    ini = named.with_name("alembic.ini") if is_toml else named
    if "toml_file" in signature(Config.__init__).parameters:
        return {"file_": str(ini), "toml_file": str(named.with_name(TOML_NAME))}
    if is_toml and not ini.exists():
        raise MigrationRefused(
            "CM-701",
            f"{TOML_NAME} can be read by Alembic 1.16 and newer, and this interpreter has an older one.",
            "Upgrade Alembic there, or write an alembic.ini.",
        )
    return {"file_": str(ini)}


def _choose_working_directory(config: Config, directory: Path) -> None:
    """Alembic reads relative paths from its working directory: mostly the file's own folder, else one above it.

    Modules are imported from both, from the file's folder first.
    """
    option = getattr(config, "get_alembic_option", config.get_main_option)
    location = option("script_location") or ""
    is_package = ":" in location and not os.path.isabs(location)  # noqa: PTH117
    if location and not is_package and not os.path.exists(location) and (directory / location).exists():  # noqa: PTH110
        os.chdir(directory)
    elif directory != Path.cwd():
        sys.path.extend(str(directory / entry) for entry in _entries(config))


def _entries(config: Config) -> list[str]:
    if hasattr(config, "get_prepend_sys_paths_list"):
        return [str(entry) for entry in config.get_prepend_sys_paths_list() or []]
    return (config.get_main_option("prepend_sys_path") or "").replace(":", " ").replace(",", " ").split()
