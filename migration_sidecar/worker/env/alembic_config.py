"""Makes Alembic's Config exactly as its own command line does, and puts the process where `alembic` would be."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from inspect import signature
from pathlib import Path
from typing import Any

from alembic.config import Config

from migration_sidecar.protocol.jobs import Job
from migration_sidecar.worker.refusal import Refusal

TOML_NAME = "pyproject.toml"


def configuration_of(job: Job, parser: ArgumentParser) -> Config:
    """Changes the working directory; with a `url` in the job, every connection goes there from now on."""
    named = Path(job["config_file"])
    os.chdir(named.parent)
    words = ["-c", str(named), "-n", job["section"]]
    words += [word for pair in job["x"] for word in ("-x", pair)]
    words += [job["action"], job["target"]] if job["kind"] == "migrate" else ["current"]
    # env.py files read config.cmd_opts, so it is made by Alembic's own parser.
    config = Config(cmd_opts=parser.parse_args(words), ini_section=job["section"], **_files(named))
    _stand_where_people_start_it(config, Path(job["directory"]))
    if job["url"]:
        from migration_sidecar.worker.env.engine_url import send_to

        send_to(job["url"], config)
    return config


def _files(named: Path) -> dict[str, Any]:
    is_toml = named.name == TOML_NAME
    ini = named.with_name("alembic.ini") if is_toml else named
    if "toml_file" in signature(Config.__init__).parameters:
        return {"file_": str(ini), "toml_file": str(named.with_name(TOML_NAME))}
    if is_toml and not ini.exists():
        raise Refusal(
            "CM-701",
            "The configuration cannot be used",
            f"{TOML_NAME} can be read by Alembic 1.16 and newer, and this interpreter has an older one.",
            "Upgrade Alembic there, or write an alembic.ini.",
        )
    return {"file_": str(ini)}


def _stand_where_people_start_it(config: Config, directory: Path) -> None:
    """Alembic takes relative paths from where it is started: mostly the file's own folder, else a folder above.

    What is imported is looked for in both, the file's folder first.
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
