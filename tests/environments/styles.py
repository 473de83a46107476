"""The environments of this folder: what each is given its database by, and where it cannot run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.environments.long_history import write_long_history

HERE = Path(__file__).parent
PLACEHOLDER = "driver://user:pass@localhost/dbname"  # what Alembic's own templates have


@dataclass(frozen=True)
class Style:
    """`variables` and `x` hold {url}, or {host} and its kin; a URL in a file takes the placeholder's place."""

    name: str
    floor: str  # the revision that the endpoint goes down to; `base` is for a person at the command line
    config: str = "alembic.ini"
    scheme: str = "postgresql"
    sections: tuple[str, ...] = ("alembic",)  # one history each, migrated in this order
    variables: tuple[tuple[str, str], ...] = ()
    x: tuple[str, ...] = ()
    before: tuple[str, ...] = ()  # what the database holds already, in SQL
    needs_alembic: tuple[int, int] = (1, 7)
    flask: bool = False  # its folder is made by `flask db init`, in interpreters that have Flask-Migrate
    write: Callable[[Path], None] | None = None  # for what would be too many files to keep

    def place(self, folder: Path, url: str) -> Path:
        """A copy of its own for every database; gives the configuration file."""
        target = folder / self.name
        if self.write is not None:
            self.write(target)
        else:
            _copy(HERE / self.name, target)
        for file in target.rglob("*"):
            if file.suffix in (".ini", ".toml", ".conf", ".py") and PLACEHOLDER in (text := file.read_text()):
                file.write_text(text.replace(PLACEHOLDER, url.replace("%", "%%") if file.suffix == ".ini" else url))
        return target / self.config


def _copy(source: Path, target: Path) -> None:
    for file in source.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            (target / file.relative_to(source)).write_bytes(file.read_bytes())


PARTS = ("server", "port", "user", "password", "db")
POSTGRES_PARTS = tuple((f"POSTGRES_{part.upper()}", f"{{{part}}}") for part in PARTS)
TWO_ORGANIZATIONS = (
    "CREATE SCHEMA core",
    "CREATE TABLE core.alembic_version (version_num varchar(32) PRIMARY KEY)",  # that schema has its own history
    "INSERT INTO core.alembic_version VALUES ('f00d')",
    "CREATE TABLE core.organization (slug text PRIMARY KEY)",
    "INSERT INTO core.organization VALUES ('acme'), ('globex')",
    "CREATE SCHEMA organization_acme",
    "CREATE SCHEMA organization_globex",
)
# Roles are of the whole server, and other journeys are on it at the same time.
A_GROUP_THAT_OWNS = (
    "DO $$ BEGIN CREATE ROLE ledger_owners; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$",
    "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO ledger_owners', current_database()); END $$",
    "CREATE SCHEMA ledger AUTHORIZATION ledger_owners",
)
ASYNC = "postgresql+asyncpg"

STYLES = (
    Style("alembic_generic", "1975ea83b712"),
    Style("alembic_async", "a1f0c2", scheme=ASYNC),
    Style(
        "alembic_pyproject",
        "4f1a",
        config="pyproject.toml",
        variables=(("LETTERS_DATABASE_URL", "{url}"),),
        needs_alembic=(1, 16),
    ),
    Style("alembic_pyproject_template", "0a1", scheme=ASYNC, needs_alembic=(1, 16)),
    Style("alembic_multidb", "e1"),
    Style("airflow", "e3a246e0dc1", variables=(("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "{url}"),)),
    Style("autocommit_engine", "m1", variables=(("METRICS_DSN", "{url}"),)),
    Style("branches_and_roots", "1975ea83b712"),
    Style("ckan_plugins", "0001", sections=("alembic", "reports")),
    Style("commits_by_itself", "c1"),
    Style("cookbook_tenants", "t1", x=("tenant=acme",), before=("CREATE SCHEMA acme",)),
    Style("dispatch_tenants", "c1a2", before=TWO_ORGANIZATIONS),
    Style("engine_begin", "a1", x=("url={url}",)),
    Style("fastapi_template", "e2412789c190", variables=POSTGRES_PARTS),
    Style(
        "flask_migrate",
        "e517276bb1c2",
        config="pyproject.toml",
        variables=(("MICROBLOG_DATABASE", "{url}"),),
        flask=True,
    ),
    Style(
        "group_role",
        "l1",
        variables=(
            ("LEDGER_DB_USER", "{user}"),
            ("LEDGER_DB_PASSWORD", "{password}"),
            ("LEDGER_DB_NAME", "{db}"),
            ("LEDGER_DB_HOSTS", "{server}:1,{server}:{port}"),
        ),
        before=A_GROUP_THAT_OWNS,
    ),
    Style("langflow", "260dbcc8b680", scheme=ASYNC),
    Style("long_history", "000000000000", write=write_long_history),
    Style("mlflow", "451aebb31d03", variables=(("MLFLOW_TRACKING_URI", "{url}"),)),
    Style("neutron", "kilo"),
    Style("on_version_apply", "v1"),
    Style("own_schema", "001", variables=(("DB_URI", "{url}"),)),
    Style(
        "prefect",
        "25f4b90a7a42",
        scheme=ASYNC,
        variables=(
            ("PREFECT_API_DATABASE_CONNECTION_URL", "{url}"),
            ("MIGRATION_JOURNAL_TABLE", "migration_sidecar.journal"),
        ),
    ),
    Style("rucio", "1a29d6a9504c", before=("CREATE SCHEMA dev",)),
    Style("superset", "4e6a06bad7a8"),
    Style("warehouse", "283c68f2ab2"),
)
BY_NAME = {style.name: style for style in STYLES}
