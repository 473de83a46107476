"""The options that every command has, and how a command runs with them."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from migration_sidecar.config.settings import CommandLineOverrides, Settings, read_settings
from migration_sidecar.contract.errors import NoConfiguration, ProblemError
from migration_sidecar.forkserver.launcher import ForkserverProcess, launch

if TYPE_CHECKING:
    from migration_sidecar.engine.engine import Engine

CommandResult = TypeVar("CommandResult")


INTERRUPTED = 130
SILENT_SECONDS = 3.0  # then a person is told what is waited for


@dataclass
class Options:
    """Every public field is an option of every command."""

    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="alembic.ini or pyproject.toml; the one in this folder otherwise."),
    ] = None
    name: Annotated[str, typer.Option("--name", "-n", help="Section of the ini file, as in alembic -n.")] = "alembic"
    database_url: Annotated[
        str | None,
        typer.Option(
            help="The database, whatever env.py says. Others can see it in the list of processes: "
            "with a password in it, set DATABASE_URL instead."
        ),
    ] = None
    python: Annotated[
        str | None,
        typer.Option(help="The service's own interpreter; it needs Alembic and a driver, not this package."),
    ] = None
    service: Annotated[str | None, typer.Option(help="The service's name in journal and audit.")] = None
    x: Annotated[
        list[str] | None, typer.Option("-x", metavar="KEY=VALUE", help="For env.py, as in alembic -x; repeatable.")
    ] = None
    journal_table: Annotated[
        str | None,
        typer.Option(metavar="SCHEMA.TABLE", help="Where the role may create no schema: the journal's table."),
    ] = None
    default_target: Annotated[
        str | None,
        typer.Option(metavar="TARGET", help="What head means, such as main@head; the setting otherwise."),
    ] = None
    loading_seconds: Annotated[
        int | None, typer.Option(min=1, help="How long env.py and the revision files may take to load.")
    ] = None
    beside_other_tables: Annotated[
        bool,
        typer.Option(
            "--beside-other-tables", help="The tables in a database without a version row are other people's (CM-552)."
        ),
    ] = False
    app: Annotated[
        str | None, typer.Option(help="The Flask application, as in flask --app, where Flask-Migrate keeps the folder.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else.")] = False
    _launched: ForkserverProcess | None = field(default=None, init=False)
    _command: tuple[str, str] | None = field(default=None, init=False)

    def runs(self, action: str, target: str) -> None:
        """Called by a command that carries out one action: env.py may behave by it, so it is previewed with it."""
        self._command = (action, target)

    def settings(self) -> Settings:
        """The settings of the environment with these options. Raises Misconfigured or NoConfiguration."""
        overrides = CommandLineOverrides(
            section=self.name,
            database_url=self.database_url,
            python=self.python,
            service=self.service,
            x=tuple(self.x or ()),
            journal_table=self.journal_table,
            target=self.default_target,
            loading_seconds=self.loading_seconds,
            command=self._command,
            beside_other_tables=self.beside_other_tables,
            app=self.app,
        )
        try:
            return read_settings(self.config, overrides=overrides)
        except NoConfiguration as error:
            raise NoConfiguration(str(self.config)) if self.config else error from None

    def begin(self) -> None:
        """Starts the forkserver, which loads Alembic while this process loads its modules. Errors appear in `ask`."""
        with suppress(ProblemError, OSError):
            settings = self.settings()
            url, python = settings.configured_url or settings.url, settings.python or sys.executable
            self._launched = launch(str(python), driver=url.drivername if url is not None else "")

    def ask(self, question: Callable[[Engine], Awaitable[CommandResult]]) -> CommandResult:
        """Calls `question` with an engine and returns its answer. A ProblemError is printed and ends the program."""

        import asyncio

        from migration_sidecar.engine.engine import Engine
        from migration_sidecar.forkserver.client import ForkserverClient

        async def run() -> CommandResult:
            settings = self.settings()
            forkserver = ForkserverClient(None, settings.python, self._launched)
            engine = Engine(settings, forkserver=forkserver)
            telling = asyncio.create_task(_show_loading_notice(engine))
            try:
                return await question(engine)
            finally:
                telling.cancel()
                await engine.close()
                forkserver.stop()

        try:
            return asyncio.run(run())
        except ProblemError as error:
            raise self.refused(error) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            raise self.refused(_unforeseen(error)) from None
        except KeyboardInterrupt:
            typer.echo("Stopped.", err=True)
            raise typer.Exit(INTERRUPTED) from None

    def refused(self, error: ProblemError) -> typer.Exit:
        """Prints the problem and returns the exception that ends the program with its exit code."""
        from migration_sidecar.cli.output import exit_code, print_problem

        print_problem(error.problem, as_json=self.as_json)
        return typer.Exit(exit_code(error.problem))


async def _show_loading_notice(engine: Engine) -> None:
    """Tells a person what takes so long."""
    import asyncio

    from migration_sidecar.cli.output import remarks

    while engine.loader.seconds < SILENT_SECONDS:
        await asyncio.sleep(0.5)
    limit = engine.settings.loading_seconds
    notice = f"Waiting for env.py and the revision files, and all that they import; {limit:.0f} s at most."
    remarks.print(notice, soft_wrap=True)


def _unforeseen(error: Exception) -> ProblemError:
    """For a mistake of ours: where it happened, and not what it says, which may hold anything."""
    from traceback import extract_tb

    place = extract_tb(error.__traceback__)[-1]
    where = f"{Path(place.filename).name}:{place.lineno}"
    return ProblemError("CM-901", f"{type(error).__name__} at {where}.", next_step="Read the status, and report this.")


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options of `Options` to a command, which gets them as its argument `options`."""
    common = list(signature(Options, eval_str=True).parameters.values())
    own = [each for each in signature(function, eval_str=True).parameters.values() if each.name != "options"]

    @wraps(function)
    def run(**values: Any) -> None:
        options = Options(**{each.name: values.pop(each.name) for each in common})
        function(options=options, **values)

    parameters = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in (*own, *common)]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
