"""`migration-sidecar`: one database, migrated safely, for any Alembic environment, from a shell.

Exit codes:

- 0 done, or told
- 1 the migration failed, or something stands in its way
- 2 the request, the configuration or the revision files cannot be used
- 3 the database cannot be reached, or not be used by this role
- 4 a person has to look
- 130 Ctrl-C
"""

from __future__ import annotations

from typing import Annotated

import typer

from migration_sidecar.cli.commands import adopt, downgrade, history, plan, serve, status, upgrade
from migration_sidecar.cli.options import with_options

RELEASE = "rmbrain-migration-coordinator"

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", help=__doc__)

for command in (status, plan, upgrade, downgrade, history, adopt, serve):
    # -1 is a target of downgrade and not an option.
    app.command(context_settings={"ignore_unknown_options": command is downgrade})(with_options(command))


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"migration-sidecar {version(RELEASE)}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Which release this is.")
    ] = False,
) -> None:
    """Declares --version, which ends the program: Typer takes the options of the program itself from this function."""


def main() -> None:
    """The program `migration-sidecar`."""
    app()
