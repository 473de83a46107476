"""An environment as it is generated: what its env.py says around the migrations, and what its revisions do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

HEAD = """\
import sqlalchemy as sa
from alembic import context

URL = context.config.get_main_option("sqlalchemy.url")


def noted(ctx, step, heads, run_args, **_):
    ctx.connection.execute(sa.text("INSERT INTO diary.log (said) VALUES ('version applied')"))


def say(connection, statement):
    connection.execute(sa.text(statement))


"""
# What an operator's transaction for each revision means, in Alembic's own words: what env.py executes in its block
# after the last revision is committed at the end of the block.
SPLIT = """\
from contextlib import contextmanager


@contextmanager
def block(connection):
    is_ours = not context.get_context()._in_external_transaction
    try:
        with context.begin_transaction():
            yield
    except BaseException:
        if is_ours:
            connection.rollback()
        raise
    if is_ours and connection.in_transaction():
        connection.commit()


"""
ASYNC = """\
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine


async def main():
    engine = create_async_engine(URL{arguments})
    async with engine.{begins}() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""
SYNC = """\
engine = sa.create_engine(URL{arguments})
with engine.{begins}() as connection:
    migrate(connection)
"""

NESTED = "nested: "
RUN = "context.run_migrations()"
WITHIN = ("with connection.begin_nested():", f"    {RUN}")
SAVEPOINTS = {
    "": (RUN,),
    "kept": WITHIN,
    "caught": ("try:", *(f"    {line}" for line in WITHIN), "except Exception as error:", "    print(error)"),
    "undone": ("point = connection.begin_nested()", RUN, "point.rollback()"),
}


@dataclass(frozen=True)
class EnvFile:
    """Statements are SQL, or Python that begins with `connection.`; in a loop over tenants they may name {tenant}.

    SQL after `nested: ` is executed in a savepoint of its own.
    """

    driver: str = "psycopg"
    begins: str = "connect"  # or begin: the transaction is env.py's own
    autocommit: bool = False
    null_pool: bool = True
    options: tuple[str, ...] = ()  # of context.configure
    has_block: bool = True
    tenants: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # before configure
    commits_before: bool = False
    between: tuple[str, ...] = ()  # after configure, before the block
    inside: tuple[str, ...] = ()  # in the block, before the migrations
    inside_after: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    commits_after: bool = False
    catches: str = ""  # "pass" or "rollback": what follows an error in the block
    savepoint: str = ""  # around the migrations: "kept", "caught" (and their error) or "undone"
    is_split: bool = False  # a transaction for each revision, as an operator chooses it

    def text(self) -> str:
        arguments = ", poolclass=sa.pool.NullPool" if self.null_pool else ""
        arguments += ', isolation_level="AUTOCOMMIT"' if self.autocommit else ""
        tail = ASYNC if self.driver == "asyncpg" else SYNC
        body = "\n".join(f"    {line}" for line in self._function())
        head = HEAD + (SPLIT if self.is_split else "")
        return f"{head}def migrate(connection):\n{body}\n\n\n{tail.format(arguments=arguments, begins=self.begins)}"

    def split(self) -> EnvFile:
        """The one that does with bare Alembic what this one does with transaction_per_revision."""
        own = ("transaction_per_migration=True", "transactional_ddl=False")
        if any(option in own for option in self.options):
            return self
        return replace(self, options=(*self.options, own[0]), is_split=True)

    def _function(self) -> Iterator[str]:
        if not self.tenants:
            yield from self._once()
            return
        yield f"for tenant in {self.tenants!r}:"
        yield from _indented(self._once())

    def _once(self) -> Iterator[str]:
        yield from self._said(self.before)
        if self.commits_before:
            yield "connection.commit()"
        yield f"context.configure({', '.join(('connection=connection', *self.options))})"
        yield from self._said(self.between)
        if self.catches:
            yield "try:"
            yield from _indented(self._block())
            yield "except Exception as error:"
            yield "    connection.rollback()" if self.catches == "rollback" else "    print(error)"
        else:
            yield from self._block()
        yield from self._said(self.after)
        if self.commits_after:
            yield "connection.commit()"

    def _block(self) -> Iterator[str]:
        lines = [*self._said(self.inside), *SAVEPOINTS[self.savepoint], *self._said(self.inside_after)]
        if self.has_block:
            yield "with block(connection):" if self.is_split else "with context.begin_transaction():"
            yield from _indented(lines)
        else:
            yield from lines

    def _said(self, statements: tuple[str, ...]) -> Iterator[str]:
        letter = "f" if self.tenants else ""
        for statement in statements:
            if statement.startswith("connection."):
                yield statement
            elif statement.startswith(NESTED):
                yield "with connection.begin_nested():"
                yield f'    say(connection, {letter}"{statement.removeprefix(NESTED)}")'
            else:
                yield f'say(connection, {letter}"{statement}")'


def _indented(lines: Iterator[str] | list[str]) -> Iterator[str]:
    for line in lines:
        yield f"    {line}"


@dataclass(frozen=True, repr=False)
class Generated:
    """`revisions` are the bodies of g1, g2 and so on; `steps` are commands, taken up to the first that fails."""

    env: EnvFile
    revisions: tuple[tuple[str, ...], ...]
    steps: tuple[str, ...] = ("upgrade head",)
    by_hand: bool = False  # by the command line, otherwise as the endpoint does
    per_revision: bool = False  # the operator has chosen transaction_per_revision

    def __repr__(self) -> str:
        return "the environment that follows"

    def files(self) -> dict[str, str]:
        """By their path in the project."""
        revisions = {f"versions/g{n}.py": _revision(n, body) for n, body in enumerate(self.revisions, 1)}
        return {"env.py": self.env.text(), **revisions}

    def place(self, folder: Path, url: str, python: Path | None) -> Path:
        """Writes the project, and gives its alembic.ini. `python` has its driver, if ours has not."""
        (folder / "migrations" / "versions").mkdir(parents=True)
        for name, text in self.files().items():
            (folder / "migrations" / name).write_text(text)
        ini = folder / "alembic.ini"
        settings = "transaction_per_revision = true\n" if self.per_revision else ""
        settings += f"python = {python}\n" if python else ""
        ini.write_text(
            f"[alembic]\nscript_location = %(here)s/migrations\nsqlalchemy.url = {url.replace('%', '%%')}\n\n"
            f"[migration_sidecar]\nservice = generated\nendpoint_downgrades = true\n{settings}"
        )
        return ini

    def __str__(self) -> str:
        """As somebody would read it who has to repeat it by hand."""
        files = "\n".join(f"# ---- {name}\n{text}" for name, text in self.files().items())
        way = "by hand" if self.by_hand else "by the endpoint"
        choice = ", with transaction_per_revision" if self.per_revision else ""
        return f"{way}: {', '.join(self.steps)}{choice}, {self.env.driver}\n{files}"


def _revision(number: int, body: tuple[str, ...]) -> str:
    below = f"g{number - 1}" if number > 1 else None
    lines = [line for piece in body or ("pass",) for line in piece.replace("{n}", str(number)).splitlines()]
    down = f"op.execute(\"INSERT INTO diary.log (said) VALUES ('down from g{number}')\")"
    text = "\n".join(_indented(lines))
    return (
        f"import sqlalchemy as sa\nfrom alembic import op\n\nrevision = 'g{number}'\ndown_revision = {below!r}\n\n\n"
        f"def upgrade():\n{text}\n\n\ndef downgrade():\n    {down}\n"
    )
