"""`migration-sidecar`: one database, migrated safely, for any Alembic environment, from a shell.

Exit codes: 0 done, 1 the migration failed, 2 the request or the configuration cannot be used,
3 the database cannot be reached or used, 4 a person has to look, 130 Ctrl-C.
"""

from __future__ import annotations

import typer

from migration_sidecar.cli.commands import adopt, downgrade, history, plan, serve, status, upgrade
from migration_sidecar.cli.options import with_options

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode="rich", help=__doc__)

for command in (status, plan, upgrade, downgrade, history, adopt, serve):
    # -1 is a target of downgrade and not an option.
    app.command(context_settings={"ignore_unknown_options": command is downgrade})(with_options(command))


def main() -> None:
    app()
