"""The six revisions that every run migrates, the folder they are in, and the states that they may leave behind."""

from __future__ import annotations

import shutil
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from random import Random
from textwrap import indent

from alembic import command
from alembic.config import Config

REVISIONS = ("c1", "c2", "c3", "c4", "c5", "c6")
TRANSACTIONAL = ("c1", "c2", "c4", "c5", "c6")
STUMBLE = "it stumbles the first time"
FAILS_FIRST = "c5"  # database and journal must then say c4
CONCURRENTLY = "c3"
EACH, ONE = "each", "one"  # a transaction for each revision, as env.py asks for, or Alembic's one for the whole run
FORMS = (EACH, ONE)
CONCURRENT_INDEX = "orders_by_customer"
LONGEST_PAUSE_SECONDS = 0.3

# What every database of the campaign has before its first migration; no table, or it would count as unmanaged.
GROUND = """
CREATE SCHEMA campaign;
CREATE SEQUENCE campaign.first_time;
CREATE FUNCTION campaign.witness_enter() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT pg_try_advisory_xact_lock(777, 777) THEN RAISE LOG 'OVERLAP of two migrators'; END IF;
END $$;
CREATE SEQUENCE campaign.first_loss;
GRANT USAGE, CREATE ON SCHEMA campaign TO PUBLIC;
GRANT USAGE ON SEQUENCE campaign.first_time, campaign.first_loss TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
"""

_STATEMENTS = {
    "c1": (
        "CREATE TABLE marks (rev text NOT NULL, step integer NOT NULL)",
        "CREATE TABLE accounts (id integer PRIMARY KEY, owner text NOT NULL)",
        "CREATE TABLE orders (id integer PRIMARY KEY, customer integer NOT NULL, total numeric NOT NULL DEFAULT 0)",
    ),
    "c2": (
        "CREATE TABLE hot AS SELECT n AS id, n % 97 AS customer FROM generate_series(1, 50000) AS n",
        "ALTER TABLE hot ADD PRIMARY KEY (id)",
        "INSERT INTO orders SELECT n, n % 7 FROM generate_series(1, 3000) AS n",
    ),
    "c4": (
        # It may run twice without an error, so only its marks and the journal tell when it did.
        "ALTER TABLE hot ADD COLUMN IF NOT EXISTS note text",
        "CREATE TABLE IF NOT EXISTS notes (id integer PRIMARY KEY)",
        "ALTER TABLE accounts ADD COLUMN IF NOT EXISTS opened timestamptz",
    ),
    "c5": (
        "CREATE TABLE ledger (id integer PRIMARY KEY)",
        "ALTER TABLE ledger ADD COLUMN amount numeric",
        "CREATE INDEX ledger_by_amount ON ledger (amount)",
    ),
    "c6": (
        "ALTER TABLE hot ADD COLUMN filled integer",
        "UPDATE hot SET filled = customer * 2",
        "ALTER TABLE hot ALTER COLUMN filled SET NOT NULL",
    ),
}

_FILE = '''\
"""{revision} of the corpus."""

from alembic import op

from migration_sidecar.worker.failpoints import reach

revision = {revision!r}
down_revision = {below!r}
branch_labels = None
depends_on = None


def upgrade():
{body}


def downgrade():
    raise NotImplementedError
'''

# After the last journal row of a transaction the session gives its lock away; a sequence tells if that was committed.
# Not in a preview of env.py, which runs no revision.
_LOST_NOW = "SELECT CASE WHEN to_regclass('ledger') IS NOT NULL THEN nextval('campaign.first_loss') END"
_LOSS = f"""\
if {{connection}}.exec_driver_sql("{_LOST_NOW}").scalar() == 1:
    {{connection}}.exec_driver_sql("SELECT pg_advisory_unlock_all()")
    {{connection}}.exec_driver_sql("CREATE SEQUENCE campaign.committed_without_lock")
    {{connection}}.exec_driver_sql("SELECT pg_sleep(0.4)")
"""
_CONFIGURED = "connection=connection, target_metadata=target_metadata"
_RUN = "context.run_migrations()\n"


@dataclass(frozen=True)
class Corpus:
    """`pauses` are the seconds between a revision's statements; `stumbles`: c5 fails once."""

    pauses: tuple[float, ...]
    template: str = "generic"
    stumbles: bool = True
    longer: tuple[str, float] = ("", 0.0)  # one revision sleeps so much longer
    form: str = EACH
    loses_lock: bool = False  # once, after the last statement that runs before the COMMIT of c6

    @classmethod
    def drawn(cls, random: Random, form: str, **facts: object) -> Corpus:
        """Draws the form where it is empty."""
        pauses = tuple(round(random.uniform(0, LONGEST_PAUSE_SECONDS) / 3, 3) for _ in range(12))
        template, drawn_form = random.choice(("generic", "async")), random.choice(FORMS)
        return cls(**{"pauses": pauses, "template": template, "form": form or drawn_form, **facts})  # type: ignore[arg-type]

    @property
    def after_the_stumble(self) -> tuple[str, ...]:
        """What the version table must hold when c5 has failed."""
        return (REVISIONS[REVISIONS.index(FAILS_FIRST) - 1],) if self.form == EACH else ()

    def may_stop_at(self, version: tuple[str, ...]) -> bool:
        """Whether a migration that began at base may be ended there: with one transaction at base or at head only."""
        return not version or version == REVISIONS[-1:] or (self.form == EACH and version in [(r,) for r in REVISIONS])

    def write(self, folder: Path, url: str, settings: dict[str, str]) -> Path:
        """The environment as `alembic init` makes it; gives its alembic.ini."""
        ini = folder / "alembic.ini"
        with redirect_stdout(StringIO()):
            command.init(Config(str(ini)), str(folder / "alembic"), template=self.template)
        driver = "postgresql+asyncpg" if self.template == "async" else "postgresql+psycopg"
        line = "sqlalchemy.url = " + url.replace("postgresql", driver, 1).replace("%", "%%")
        lines = [line if old.startswith("sqlalchemy.url") else old for old in ini.read_text().splitlines()]
        ours = [f"{key} = {value}" for key, value in {"service": "orders", **settings}.items()]
        ini.write_text("\n".join([*lines, "", "[migration_sidecar]", *ours, ""]))
        self._change_env(folder / "alembic" / "env.py")
        for number, revision in enumerate(REVISIONS):
            below = REVISIONS[number - 1] if number else None
            text = _FILE.format(revision=revision, below=below, body=indent(self._body(number, revision), "    "))
            (folder / "alembic" / "versions" / f"{revision}.py").write_text(text)
        return ini

    def _change_env(self, file: Path) -> None:
        text = file.read_text()
        if self.form == EACH:
            assert text.count(_CONFIGURED) == 1
            text = text.replace(_CONFIGURED, f"{_CONFIGURED}, transaction_per_migration=True")
        elif self.loses_lock:
            before, run, after = text.rpartition(_RUN)  # the first one is for --sql
            margin = before[before.rindex("\n") + 1 :]
            text = before + run + indent(_LOSS.format(connection="connection"), margin) + after
        file.write_text(text)

    def _body(self, number: int, revision: str) -> str:
        if revision not in _STATEMENTS:
            seconds = self.longer[1] if revision == self.longer[0] else 0.0
            if self.form == ONE:  # a block would commit what ran before it
                return (
                    f'op.execute("SELECT pg_sleep({seconds})")\n'
                    f'op.execute("CREATE INDEX {CONCURRENT_INDEX} ON orders (customer)")'
                )
            return (
                "with op.get_context().autocommit_block():\n"
                f'    op.execute("SELECT pg_sleep({seconds})")\n'
                f'    op.execute("CREATE INDEX CONCURRENTLY {CONCURRENT_INDEX} ON orders (customer)")'
            )
        lines = ['op.execute("SELECT campaign.witness_enter()")']
        for step, statement in enumerate(_STATEMENTS[revision], start=1):
            lines += [f"op.execute({statement!r})", f"op.execute(\"INSERT INTO marks VALUES ('{revision}', {step})\")"]
            if step == 1:
                lines.append('reach("between_statements", op.get_bind())')
            if step < 3:
                lines.append(f'op.execute("SELECT pg_sleep({self._pause(number, revision, step)})")')
        if revision == FAILS_FIRST and self.stumbles:
            lines += [
                "if op.get_bind().exec_driver_sql(\"SELECT nextval('campaign.first_time')\").scalar() == 1:",
                f'    raise RuntimeError("{STUMBLE}")',
            ]
        if revision == REVISIONS[-1] and self.loses_lock and self.form == EACH:
            lines.append(_LOSS.format(connection="op.get_bind()"))
        return "\n".join(lines)

    def _pause(self, number: int, revision: str, step: int) -> float:
        longer = self.longer[1] if step == 2 and revision == self.longer[0] else 0.0
        return longer + self.pauses[2 * number + step - 1]


def cleared(folder: Path) -> Path:
    """The folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
