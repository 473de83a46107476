"""The commands and their help. Each loads the modules that it needs only then, while the interpreter starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from migration_sidecar.cli.options import Options
from migration_sidecar.protocol.catalog.snapshot import COSMETIC, OWNERSHIP_KINDS

TargetArgument = Annotated[
    str, typer.Argument(help="head, heads, label@head, a revision or its unique beginning, +1 or -1.")
]


def status(options: Options) -> None:
    """Where the database stands; read by SQL, so a broken revision file does not break it.

    Example: migration-sidecar status -c backend/alembic.ini --json
    """
    options.begin()
    from migration_sidecar.cli import inspect_commands

    inspect_commands.status(options)


def plan(
    options: Options,
    target: TargetArgument = "head",
    sql: Annotated[bool, typer.Option("--sql", help="Show each revision's SQL where it can be rendered.")] = False,
) -> None:
    """What an upgrade would do; nothing is touched.

    Example: migration-sidecar plan heads --sql
    """
    options.runs("upgrade", target)
    options.begin()
    from migration_sidecar.cli import inspect_commands

    inspect_commands.plan(options, target, sql=sql)


def upgrade(options: Options, target: TargetArgument = "head") -> None:
    """Apply revisions up to the target, under the lock and with a journal.

    Example: migration-sidecar upgrade heads -c backend/alembic.ini -x tenant=acme
    """
    options.runs("upgrade", target)
    options.begin()
    from migration_sidecar.cli import migrate_commands

    migrate_commands.upgrade(options, target)


def downgrade(options: Options, target: TargetArgument) -> None:
    """Revert revisions down to the target.

    Example: migration-sidecar downgrade -1
    """
    options.runs("downgrade", target)
    options.begin()
    from migration_sidecar.cli import migrate_commands

    migrate_commands.downgrade(options, target)


def history(options: Options) -> None:
    """Every revision, newest first; an arrow marks where the database is.

    Example: migration-sidecar history -c backend/alembic.ini
    """
    options.begin()
    from migration_sidecar.cli import inspect_commands

    inspect_commands.history(options)


def adopt(
    options: Options,
    revision: Annotated[
        str | None,
        typer.Option("--revision", help="The revision that the database is said to be; without it each is tried."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only.")] = False,
    ignore: Annotated[
        list[str] | None, typer.Option(help=f"A kind of difference that does not matter: {', '.join(COSMETIC)}.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help=f"What is not looked at otherwise: {', '.join(OWNERSHIP_KINDS)}.")
    ] = None,
) -> None:
    """Take a database that was made by hand under Alembic: stamp it, if nothing in it differs from the revision.

    Without --revision it only tells which revision the database is at.

    Example: migration-sidecar adopt --revision a1b2
    """
    left_out = _chosen(ignore, COSMETIC, "--ignore") | (
        set(OWNERSHIP_KINDS) - _chosen(include, OWNERSHIP_KINDS, "--include")
    )
    options.begin()
    from migration_sidecar.cli import adopt_command

    adopt_command.adopt(options, revision, left_out, dry_run=dry_run)


def serve(options: Options, port: Annotated[int, typer.Option(help="Port on loopback.")] = 8080) -> None:
    """Serve the HTTP endpoint, for a service in any language; at its start it does what MIGRATE_ON_STARTUP says.

    Example: migration-sidecar serve -c backend/alembic.ini --python backend/.venv/bin/python --port 8080
    """
    from migration_sidecar.cli import serve_command

    serve_command.serve(options, port)


def _chosen(words: list[str] | None, known: Iterable[str], option: str) -> set[str]:
    chosen = {word for each in words or [] for word in each.split(",")}
    if unknown := chosen - set(known):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(known)}", param_hint=option)
    return chosen
