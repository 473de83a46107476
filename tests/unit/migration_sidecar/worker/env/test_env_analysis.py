"""Which env.py may be run before there are orders: one whose every call only connects."""

from __future__ import annotations

from pathlib import Path

import alembic
import pytest

from migration_sidecar.worker.env.env_analysis import has_no_side_effects

TEMPLATES = Path(alembic.__file__).parent / "templates"
PLAIN = (TEMPLATES / "generic" / "env.py").read_text()


def judged(tmp_path: Path, text: str) -> bool:
    file = tmp_path / "env.py"
    file.write_text(text)
    return has_no_side_effects(file)


@pytest.mark.parametrize("template", ["generic", "async"])
def test_what_alembic_init_writes_only_connects(template: str) -> None:
    assert has_no_side_effects(TEMPLATES / template / "env.py")


def test_our_own_only_connects(tmp_path: Path) -> None:
    text = "from app.models import Base\nfrom migration_sidecar.environment import run\n"
    assert judged(tmp_path, f"{text}run(Base.metadata)\n")
    assert judged(
        tmp_path, "from migration_sidecar.environment import run\nfrom sqlalchemy import MetaData\nrun(MetaData())\n"
    )
    assert not judged(tmp_path, f"{text}import app\napp.backup()\nrun(Base.metadata)\n")


@pytest.mark.parametrize(
    "line",
    [
        'config.set_main_option("sqlalchemy.url", os.environ["DATABASE_URL"].replace("%", "%%"))',
        'config.set_main_option("sqlalchemy.url", os.getenv("DATABASE_URL", "postgresql://"))',
        'config.set_main_option("sqlalchemy.url", str(settings.database_url))',
        "target_metadata = [Base.metadata, other.metadata]",
        "url = settings.database_url\nconfig.set_main_option('sqlalchemy.url', url.replace('%', '%%'))",
        "def include_object(thing, name, kind, reflected, other):\n    return name != 'spatial_ref_sys'",
    ],
)
def test_where_the_url_and_the_models_come_from_makes_no_difference(tmp_path: Path, line: str) -> None:
    imports = "import os\nfrom app.models import Base\nfrom app.config import settings\n"
    assert judged(tmp_path, f"{imports}{PLAIN}\n{line}\n")


@pytest.mark.parametrize(
    "line",
    [
        'connection.execute("CREATE SCHEMA tenant")',
        'announce("a migration begins")',
        'os.replace("a", "b")',
        'os.replace("%", "%%")',
        'os.system("pg_dump")',
        'subprocess.run(["pg_dump"])',
        "backup.run()",
        "with migration_lock:\n    pass",
        "@backed_up\ndef connect():\n    pass",
        "with connectable.begin() as connection:\n    pass",
        "from app.everything import *",
        "from os import replace\nreplace('a', 'b')",
        "from .alembic import run\nrun('x')",
        "(lambda: print('x'))()",
        "get = backup.run\nget('x')",
        "if get := backup.run:\n    get('x')",
        "run = exec\nrun('x')",
        "keeper = backup.keeper\nkeeper.run()",
        "keeper: object = backup.keeper\nkeeper.run()",
        "a = b = backup.keeper\nb.run()",
        "for keeper in backup.keepers:\n    keeper.run()",
        "[keeper.run() for keeper in backup.keepers]",
        "import os as system\nsystem.replace('a', 'b')",
        "system = os\nsystem.replace('a', 'b')",
        "from alembic.command import upgrade as run\nrun(config, 'head')",
        "def tell(run):\n    run('x')",
        "context.configure = announce",
        "connection.run_sync(backup.make)",
        "connectable = create_async_engine('postgresql://', creator=backup.connect)",
        "connectable = engine_from_config({}, poolclass=backup.Pool)",
        "connectable = engine_from_config({}, **backup.options)",
        "class Tenant(backup.Model):\n    pass",
        "async def wait():\n    await backup.finished",
        "this is no Python",
    ],
)
def test_one_line_that_might_do_something_waits_for_orders(tmp_path: Path, line: str) -> None:
    imports = "import os\nimport subprocess\nfrom app import announce, backup, backed_up, migration_lock\n"
    assert not judged(tmp_path, f"{imports}{PLAIN}\n{line}\n")


def test_a_file_that_is_not_there_does_not_only_connect(tmp_path: Path) -> None:
    assert not has_no_side_effects(tmp_path / "env.py")
