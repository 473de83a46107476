"""Makes Alembic's Config as `flask db` does: loads the Flask application, and asks its Flask-Migrate."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError

from migration_sidecar.protocol.jobs import FlaskApplication, Job
from migration_sidecar.protocol.reports import SendReport
from migration_sidecar.protocol.server_words import hide_secrets
from migration_sidecar.worker.no_commit import discard_commits
from migration_sidecar.worker.refusal import MigrationRefused
from migration_sidecar.worker.time_limit import time_limit

if TYPE_CHECKING:
    from alembic.config import Config

COMMAND = "db"  # of Flask-Migrate
NAME_IT = "Name it with --app or FLASK_APP, as for flask, and start in the folder where flask is started."


def flask_config(job: Job, flask: FlaskApplication, report: SendReport) -> Config:
    """The Config of the application's Flask-Migrate. From now on this process is in the application's context.

    Raises MigrationRefused (CM-303, CM-701) if there is no such application, or the application's own error.
    """
    _require_flask_migrate(flask)
    with _loading(job, report):
        _become_flask(job)
        application = _load(flask["app"])
        application.app_context().push()
    extension = getattr(application, "extensions", {}).get("migrate")
    if extension is None:
        raise _unusable(
            f"The Flask application {application.name} has no Flask-Migrate.", "Call Migrate(app, db) in it."
        )
    config: Config = extension.migrate.get_config(flask["directory"], x_arg=list(job["x"]))
    if job["section"] != "alembic":
        config.config_ini_section = job["section"]
    if not Path(config.config_file_name or "").is_file():
        raise MigrationRefused(
            "CM-303",
            f"There is no alembic.ini in {Path(extension.directory).name}, the folder that Flask-Migrate names.",
            "Put the folder into the image; flask db init makes one.",
        )
    return config


def _require_flask_migrate(flask: FlaskApplication) -> None:
    if find_spec("flask_migrate") is not None:
        return
    if flask["app"] is None and "FLASK_APP" not in os.environ:
        detail = "There is no alembic.ini here, and the interpreter lacks Flask-Migrate, which would need none."
        raise MigrationRefused("CM-303", detail, "Name the file with --config, or the interpreter with --python.")
    raise _unusable("The interpreter lacks Flask-Migrate.", "Name the service's own interpreter with --python.")


def _become_flask(job: Job) -> None:
    """What an application can see of the process is what it sees under `flask db`."""
    from flask.cli import load_dotenv
    from flask.helpers import get_load_dotenv

    os.chdir(job["directory"])
    words = [job["action"], job["target"]] if job["kind"] in ("look", "migrate") else ["upgrade", "head"]
    x = [word for pair in job["x"] for word in ("-x", pair)]
    sys.argv = [str(Path(sys.executable).with_name("flask")), COMMAND, *x, *words]
    os.environ["FLASK_RUN_FROM_CLI"] = "true"  # makes app.run() in the application's module do nothing
    if get_load_dotenv():
        load_dotenv()


@contextmanager
def _loading(job: Job, report: SendReport) -> Iterator[None]:
    """A job that only looks gets a time limit, and commits nothing that the application writes while it is made."""
    if job["kind"] == "migrate" and "rehearsal" not in job:
        yield
        return
    seconds: Any = job.get("seconds", 0)
    with time_limit(seconds, lambda where: _took_too_long(where, seconds), report), discard_commits():
        yield


def _load(named: str | None) -> Any:
    from flask.cli import NoAppException, ScriptInfo

    # Before Flask 2.2 this class reads the variable, and since then flask's option does.
    named = named or os.environ.get("FLASK_APP")
    try:
        return ScriptInfo(app_import_path=named).load_app()
    except NoAppException as error:
        where = f"by the name {named}" if named else "in wsgi.py or app.py"
        said = hide_secrets(str(error.format_message())).strip().splitlines()[-1].rstrip(".")
        raise _unusable(f"Flask finds no application {where}.", NAME_IT, said) from None
    except (MigrationRefused, SQLAlchemyError, OSError):
        raise
    except Exception as error:
        raise MigrationRefused(
            "CM-407",
            f"{_place(error)}: it raised {type(error).__name__} while the Flask application was made;"
            " no database was touched.",
            "Correct that line, or what it needs from the environment.",
        ) from error


def _place(error: BaseException) -> str:
    """File and line of the innermost code of the application's folder, if it took part."""
    frames = extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(Path(frame.filename))]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno}"


def _is_own(file: Path) -> bool:
    return Path.cwd() in file.parents and "-packages" not in str(file)


def _took_too_long(where: str, seconds: float) -> MigrationRefused:
    return MigrationRefused(
        "CM-407",
        f"{where or 'The Flask application'}: the application was not loaded after {seconds:.0f} s;"
        " no database was touched.",
        "Look for a loop or a wait at that line; if it only needs more time, raise loading_seconds.",
    )


def _unusable(detail: str, next_step: str, said: str | None = None) -> MigrationRefused:
    return MigrationRefused("CM-701", detail, next_step, server_message=said)
