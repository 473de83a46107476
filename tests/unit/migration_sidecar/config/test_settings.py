"""Where the settings come from, and that a wrong one never shows its value."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from migration_sidecar.config.database_url import mask_password
from migration_sidecar.config.env_py import MARK
from migration_sidecar.config.settings import CommandLineOverrides, OnStartup, Settings, read_settings
from migration_sidecar.contract.errors import Misconfigured, NoConfiguration, NoEnvironment
from migration_sidecar.protocol.version_table import VersionTable

INI_URL = "postgresql://ini_user:ini_word@ini_host:1111/orders"


@pytest.fixture
def ini(tmp_path: Path) -> Path:
    return written(tmp_path, INI_URL)


def written(folder: Path, url: str, section: str = "") -> Path:
    file = folder / "alembic.ini"
    file.write_text(f"[alembic]\nscript_location = %(here)s/alembic\nsqlalchemy.url = {url}\n{section}")
    return file


def url(settings: Settings) -> str:
    assert settings.url is not None
    return settings.url.render_as_string(hide_password=False)


def test_the_ini_is_used_when_nothing_else_is_said(ini: Path) -> None:
    assert url(read_settings(ini, {})) == INI_URL


def test_that_tables_are_other_people_s_is_said_by_option_or_setting(tmp_path: Path) -> None:
    plain = written(tmp_path, INI_URL)
    assert read_settings(plain, {}).beside_other_tables is False
    assert read_settings(plain, {}, CommandLineOverrides(beside_other_tables=True)).beside_other_tables is True
    said = written(tmp_path, INI_URL, "[migration_sidecar]\nbeside_other_tables = true\n")
    assert read_settings(said, {}).beside_other_tables is True


def test_database_url_wins_over_everything(ini: Path) -> None:
    wins = "postgresql+asyncpg://env_user:env_word@env_host:2222/other"
    settings = read_settings(ini, {"DATABASE_URL": wins, "POSTGRES_HOST": "nowhere", "POSTGRES_PORT": "3"})
    assert url(settings) == wins


def test_postgres_parts_replace_parts_of_the_ini(ini: Path) -> None:
    parts = {"POSTGRES_HOST": "h", "POSTGRES_PORT": "5433", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p@%/ :"}
    settings = read_settings(ini, parts)
    assert (settings.url.host, settings.url.port, settings.url.username) == ("h", 5433, "u")
    assert settings.url.password == "p@%/ :"
    assert settings.url.database == "orders"
    assert read_settings(ini, {"POSTGRES_HOST": "h"}).url.port == 1111


@pytest.mark.parametrize("spelling", ["p%40ss", "100%25", "%3A%2F"])
def test_a_percent_sign_is_doubled_in_the_ini_only(spelling: str, tmp_path: Path) -> None:
    address = f"postgresql://u:{spelling}@h/orders"
    from_ini = read_settings(written(tmp_path, address.replace("%", "%%")), {})
    from_environment = read_settings(written(tmp_path, INI_URL), {"DATABASE_URL": address})
    assert from_ini.url.password == from_environment.url.password == make_url(address).password


def test_the_short_scheme_that_platforms_hand_out_is_understood(ini: Path) -> None:
    settings = read_settings(ini, {"DATABASE_URL": "postgres://u:p@h/orders"})
    assert settings.url.drivername == "postgresql"


CANARY = "canary"


@pytest.mark.parametrize(
    ("environment", "key"),
    [
        ({"DATABASE_URL": f"postgresql://u:{CANARY}@h:port/x"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"{CANARY}"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"mysql://u:{CANARY}@h/x"}, "DATABASE_URL"),
        ({"POSTGRES_PORT": CANARY}, "POSTGRES_PORT"),
        ({"MIGRATE_ON_STARTUP": CANARY}, "MIGRATE_ON_STARTUP"),
    ],
)
def test_a_wrong_setting_is_named_and_not_shown(environment: dict[str, str], key: str, ini: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_settings(ini, environment)
    assert key in refusal.value.problem.detail
    assert refusal.value.problem.code == "CM-701"
    assert CANARY not in str(refusal.value)
    assert refusal.value.__cause__ is None


@pytest.mark.parametrize("address", [f"postgresql://u:{CANARY}%zz@h/x", f"mysql://u:{CANARY}@h/x", f"{CANARY}:"])
def test_a_wrong_ini_is_named_and_not_shown(address: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refusal:
        read_settings(written(tmp_path, address), {})
    assert "sqlalchemy.url" in refusal.value.problem.detail
    assert CANARY not in str(refusal.value)


def test_no_address_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alembic").mkdir()
    (tmp_path / "alembic" / "env.py").write_text(f"{MARK}\n")
    with pytest.raises(Misconfigured, match="DATABASE_URL"):
        read_settings(written(tmp_path, ""), {})


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("", r"alembic\.ini names no script_location"),
        ("script_location = nowhere", r"no env\.py in the script_location"),
    ],
)
def test_a_file_that_leads_to_no_env_py_is_refused_for_that_and_not_for_the_address(
    location: str, reason: str, tmp_path: Path
) -> None:
    file = tmp_path / "alembic.ini"
    file.write_text(f"[alembic]\n{location}\n")
    with pytest.raises(NoEnvironment, match=f"CM-303 .*{reason}"):
        read_settings(file, {})
    assert read_settings(file, {"DATABASE_URL": INI_URL}).url is not None  # a status needs no env.py


@pytest.mark.parametrize("text", ["[alembic", "no section\n"])
def test_an_ini_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "alembic.ini"
    file.write_text(text)
    with pytest.raises(Misconfigured, match=r"alembic\.ini"):
        read_settings(file, {"DATABASE_URL": INI_URL})


def test_an_ini_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoConfiguration, match=r"CM-303 .*alembic\.ini is not there"):
        read_settings(tmp_path / "alembic.ini", {"DATABASE_URL": INI_URL})


def test_the_section_of_ours_names_service_version_table_and_audit(tmp_path: Path) -> None:
    section = "[migration_sidecar]\nservice = cds-x\nversion_table = v\nversion_table_schema = s\naudit = my-audit\n"
    settings = read_settings(written(tmp_path, INI_URL, section), {"APP_ID": "other", "DAPR_HTTP_PORT": "3501"})
    assert settings.service == "cds-x"
    assert settings.version_table == VersionTable("v", "s")
    assert (settings.audit_app_id, settings.dapr_http_port) == ("my-audit", 3501)


OURS = {
    "service": "cds-x",
    "journal_table": "ops.migrations",
    "memory_limit_mb": "512",
    "patience_seconds": "30",
    "lock_timeout": "500ms",
    "tcp_user_timeout": "20 s",
    "allowed_hosts": "orders, 10.0.0.7",
    "endpoint_downgrades": "true",
    "never_taken_back": "True",
    "target": "main@head",
    "loading_seconds": "300",
}


@pytest.mark.parametrize("written_in", ["alembic.ini", "pyproject.toml"])
def test_every_setting_is_read_from_either_file(written_in: str, tmp_path: Path) -> None:
    file = written(tmp_path, INI_URL)
    if written_in == "alembic.ini":
        file.write_text(file.read_text() + section(OURS))
    else:
        (tmp_path / written_in).write_text("[tool.migration_sidecar]\n" + toml(OURS))
    settings = read_settings(file, {})
    assert (settings.service, settings.journal_table) == ("cds-x", "ops.migrations")
    assert (settings.memory_bytes, settings.patience_seconds) == (512 << 20, 30)
    assert settings.guards == {"lock_timeout": "500ms", "tcp_user_timeout": "20 s"}
    assert settings.allowed_hosts == {"orders", "10.0.0.7"}
    assert (settings.endpoint_downgrades, settings.never_taken_back) == (True, True)
    assert (settings.target, settings.loading_seconds) == ("main@head", 300)


def test_the_option_wins_over_the_variable_and_the_variable_over_the_file(tmp_path: Path) -> None:
    file, variable = written(tmp_path, INI_URL, section(OURS)), {"MIGRATION_LOADING_SECONDS": "400"}
    assert read_settings(file, variable).loading_seconds == 400
    given = CommandLineOverrides(loading_seconds=500, target="left@head")
    settings = read_settings(file, variable, given)
    assert (settings.loading_seconds, settings.target) == (500, "left@head")
    assert read_settings(file, {}, CommandLineOverrides(target="head")).target == ""


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "soon"])
def test_a_number_of_seconds_that_cannot_be_used_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="MIGRATION_LOADING_SECONDS"):
        read_settings(written(tmp_path, INI_URL), {"MIGRATION_LOADING_SECONDS": value})


def section(values: dict[str, str]) -> str:
    return "[migration_sidecar]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def toml(values: dict[str, str]) -> str:
    return "".join(f"{key} = {value if value.isdigit() else repr(value)}\n" for key, value in values.items())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lock_timout", CANARY),
        ("memory_limit_mb", CANARY),
        ("memory_limit_mb", "-1"),
        ("patience_seconds", "1e9"),
        ("lock_timeout", "1s'; DROP TABLE x --"),
        ("idle_session_timeout", CANARY),
        ("journal_table", f"a.b.{CANARY}"),
        ("service", "two\n  lines"),
        ("python", f"nowhere/{CANARY}"),
        ("allowed_hosts", f"*.{CANARY}"),
        ("endpoint_downgrades", CANARY),
        ("never_taken_back", "yes"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_not_shown(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=key) as refusal:
        read_settings(written(tmp_path, INI_URL, section({key: value})), {})
    assert CANARY not in str(refusal.value)


@pytest.mark.parametrize(
    "text", ["[tool.migration_sidecar]\nservice = 5\n", "not toml", "[tool]\nmigration_sidecar = "]
)
def test_a_toml_that_cannot_be_used_is_refused(text: str, tmp_path: Path) -> None:
    file = written(tmp_path, INI_URL)
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(Misconfigured, match=r"pyproject\.toml|service"):
        read_settings(file, {})


def test_what_is_given_by_option_wins(tmp_path: Path) -> None:
    file = written(tmp_path, INI_URL, section(OURS))
    given = CommandLineOverrides(
        service="other", journal_table="public.journal", database_url="postgres://u:p@h/x", x=("a=1",)
    )
    settings = read_settings(file, {"DATABASE_URL": INI_URL}, given)
    assert (settings.service, settings.journal_table, settings.x) == ("other", "public.journal", ("a=1",))
    assert settings.configured_url is not None
    assert settings.configured_url.database == "x"
    assert "p@h" not in repr(settings) + repr(given)


def test_a_wrong_option_is_named_and_not_shown(ini: Path) -> None:
    for given in (
        CommandLineOverrides(database_url=f"mysql://u:{CANARY}@h/x"),
        CommandLineOverrides(section="nowhere"),
    ):
        with pytest.raises(Misconfigured, match=r"--database-url|\[nowhere\]") as refusal:
            read_settings(ini, {}, given)
        assert CANARY not in str(refusal.value)


def test_somebody_elses_env_py_may_know_its_database_from_anywhere(tmp_path: Path) -> None:
    file = written(tmp_path, "driver://user:pass@localhost/dbname")
    (tmp_path / "alembic").mkdir()
    env = tmp_path / "alembic" / "env.py"
    env.write_text("engine = create_engine(anything)")
    assert read_settings(file, {}).url is None
    env.write_text("from migration_sidecar.environment import run\n")
    with pytest.raises(Misconfigured, match=r"sqlalchemy\.url"):
        read_settings(file, {})


def test_the_file_is_found_as_alembic_finds_it(tmp_path: Path, ini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_settings(None, {}).config_file == ini
    other = written(tmp_path, INI_URL).rename(tmp_path / "other.ini")
    assert read_settings(None, {"ALEMBIC_CONFIG": "other.ini"}).config_file == other
    (tmp_path / "pyproject.toml").write_text('[tool.alembic]\n"sqlalchemy.url" = "postgresql://h/toml"\n')
    settings = read_settings(None, {})
    assert settings.config_file == tmp_path / "pyproject.toml"
    assert url(settings) == "postgresql://h/toml"


def test_without_a_name_the_app_id_and_then_the_folder_is_the_name(ini: Path) -> None:
    assert read_settings(ini, {"APP_ID": "cds-y"}).service == "cds-y"
    assert read_settings(ini, {}).service == ini.parent.name


@pytest.mark.parametrize("policy", list(OnStartup))
def test_the_start_up_policy_is_read(policy: OnStartup, ini: Path) -> None:
    assert read_settings(ini, {"MIGRATE_ON_STARTUP": policy.value}).on_startup is policy


def test_a_service_without_dapr_relays_nothing(ini: Path) -> None:
    assert read_settings(ini, {}).dapr_http_port is None
    assert read_settings(ini, {"DAPR_HTTP_PORT": "none"}).dapr_http_port is None


def test_a_version_table_is_quoted() -> None:
    assert VersionTable().qualified == '"alembic_version"'
    assert VersionTable('odd"name', "s").qualified == '"s"."odd""name"'
    assert VersionTable("v", 's"x').qualified == '"s""x"."v"'


def test_a_password_is_taken_out_of_any_text_in_every_spelling() -> None:
    address = make_url("postgresql://ada:p%40%20w@h/x")
    assert mask_password("p@ w, p%40%20w and p%40+w by ada", address) == "…, … and … by ada"
    assert mask_password("p%40 w@h, as SQLAlchemy writes it", address) == "…@h, as SQLAlchemy writes it"


def test_a_password_that_is_the_user_is_no_secret() -> None:
    assert mask_password("user postgres", make_url("postgresql://postgres:postgres@h/x")) == "user postgres"
    assert mask_password("user postgres", make_url("postgresql://postgres@h/x")) == "user postgres"
