"""A case: an environment as somebody reported it, the situation around it, and the right outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from textwrap import dedent, indent

SYNCHRONOUS = ("psycopg", "psycopg2", "pg8000")
EVERY_DRIVER = (*SYNCHRONOUS, "asyncpg")
OURS = ("psycopg", "asyncpg")  # what our own interpreter has


class Right(StrEnum):
    SAME = "the same as bare Alembic"
    REFUSED = "refused, and nothing is touched"
    SAME_OR_REFUSED = "the same as bare Alembic, or refused and nothing is touched"
    FAILS = "fails, and leaves what bare Alembic leaves"


@dataclass(frozen=True)
class Revision:
    """`up` and `down` are bodies; `source` is a whole file where the bodies are not enough."""

    id: str
    up: str = "pass"
    down: str = "pass"
    title: str = "A step"
    source: bytes = b""

    def file(self, below: str | None) -> bytes:
        text = (
            f'"""{self.title}."""\nimport sqlalchemy as sa\nfrom alembic import op\n\n'
            f"revision = {self.id!r}\ndown_revision = {below!r}\n\n\n"
            f"def upgrade():\n{_body(self.up)}\n\n\ndef downgrade():\n{_body(self.down)}\n"
        )
        return self.source or text.encode()


def table(revision: str, name: str) -> Revision:
    columns = 'sa.Column("id", sa.Integer, primary_key=True), sa.Column("label", sa.Text)'
    return Revision(revision, f'op.create_table("{name}", {columns})', f'op.drop_table("{name}")', f"Make {name}")


TWO_TABLES = (table("g1", "beds"), table("g2", "plants"))
PLAIN = """\
context.configure(connection=connection)
with context.begin_transaction():
    context.run_migrations()
"""
HEAD = "import os\nimport sqlalchemy as sa\nfrom alembic import context\nfrom sqlalchemy import inspect, text\n"
URL = 'os.environ["GARDEN_URL"]'
SYNC_TAIL = """\
engine = sa.create_engine({url}, poolclass=sa.pool.NullPool{engine})
with engine.connect() as connection:
    migrate(connection)
"""
ASYNC_TAIL = """\
import asyncio
from sqlalchemy.ext.asyncio import create_async_engine


async def main():
    engine = create_async_engine({url}, poolclass=sa.pool.NullPool{engine})
    async with engine.connect() as connection:
        await connection.run_sync(migrate)
    await engine.dispose()


asyncio.run(main())
"""


@dataclass(frozen=True)
class Case:
    """`migrate` is the body of a function of env.py's that is given a connection, by any driver."""

    name: str
    situation: str  # what env.py or the database does, in one sentence
    right: Right = Right.SAME
    migrate: str = PLAIN
    above: str = ""  # of env.py, above the function
    url: str = URL  # an expression in env.py
    engine: str = ""  # more arguments of create_engine
    env: str = ""  # a whole env.py, in place of the three above
    revisions: tuple[Revision, ...] = TWO_TABLES
    files: dict[str, str] = field(default_factory=dict)
    root: str = "."  # where alembic.ini is; commands are given in the project's folder
    scripts: str = "migrations"  # beside alembic.ini
    drivers: tuple[str, ...] = EVERY_DRIVER
    needs_drivers: bool = False  # an interpreter that has more than ours, whatever the driver
    variables: dict[str, str] = field(default_factory=dict)  # {db}, {other}, {server}, {port}, {user}, {password}
    login: str = ""  # the role of the address, made by `before`; its password is its name
    before: tuple[str, ...] = ()  # SQL by the superuser; {db} is the database
    options: str = ""  # of CREATE DATABASE
    other: tuple[str, ...] | None = None  # SQL of a second database that has to stay as it is
    steps: tuple[str, ...] = ("upgrade head", "downgrade -1")  # also "sql ..." and "alembic ..." by bare Alembic
    ask: tuple[str, ...] = ()  # queries whose answers are compared too
    left_at: str = "base"  # if it fails: the revision at which bare Alembic's state has to be ours
    says: tuple[str, ...] = ()  # expressions that a refusal or failure has to contain
    never_says: tuple[str, ...] = ()
    plan_foresees: bool = True

    def place(self, folder: Path, driver: str, url: str) -> None:
        """Writes the project."""
        home = folder / self.root
        scripts = home / self.scripts
        (scripts / "versions").mkdir(parents=True)
        ini = f"[alembic]\nscript_location = %(here)s/{self.scripts}\nprepend_sys_path = .\n"
        (home / "alembic.ini").write_text(f"{ini}\n[migration_sidecar]\nendpoint_downgrades = true\n")
        (scripts / "env.py").write_text(self.env_file(driver))
        below = None
        for number, revision in enumerate(self.revisions, 1):
            (scripts / "versions" / f"{number:02}.py").write_bytes(revision.file(below))
            below = revision.id
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(dedent(content).replace("{url}", url))

    def env_file(self, driver: str) -> str:
        if self.env:
            return dedent(self.env)
        tail = (ASYNC_TAIL if driver == "asyncpg" else SYNC_TAIL).format(url=self.url, engine=self.engine)
        return f"{HEAD}{dedent(self.above)}\n\ndef migrate(connection):\n{_body(self.migrate)}\n\n\n{tail}"

    def config(self) -> str:
        return f"{self.root}/alembic.ini".removeprefix("./")

    def target(self, word: str) -> str:
        """A full revision for a relative one, which the endpoint does not take."""
        return self.revisions[-2].id if word == "-1" else word


def _body(text: str) -> str:
    return indent(dedent(text).strip(), "    ")


def role(name: str, options: str = "LOGIN") -> str:
    """Roles are of the whole server, and other trials are on it at the same time."""
    password = f"PASSWORD '{name}'" if "NOLOGIN" not in options else ""
    return (
        f"DO $$ BEGIN CREATE ROLE {name} {options} {password};"
        " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
    )
