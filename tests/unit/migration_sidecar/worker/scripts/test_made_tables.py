"""Which tables a revision file makes, by its text; a file that hides one says so."""

from __future__ import annotations

from textwrap import indent

import pytest

from migration_sidecar.worker.scripts.made_tables import made_by, read_tree
from migration_sidecar.worker.scripts.source_tree import SourceTree

HEAD = "from alembic import op\nimport sqlalchemy as sa\n"


def read(body: str, head: str = "") -> tuple[set[str], bool]:
    source = f"{HEAD}{head}\n\ndef upgrade():\n{indent(body, '    ')}\n"
    names, is_whole = read_tree(SourceTree(source.encode()))
    return {".".join(part for part in name if part) for name in names}, is_whole


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("op.create_table('orders', sa.Column('id', sa.Integer))", {"orders"}),
        ("op.create_table(op.f('Orders'), schema='shop')", {"shop.Orders"}),
        ("op.create_table(table_name='orders', schema=None)", {"orders"}),
        ("op.create_table('orders', schema=SCHEMA)", {"*.orders"}),
        ("op.create_table('orders', **options)", {"*.orders"}),
        ("op.rename_table('old', 'new')", {"new"}),
        ("op.execute('create  table if not exists Orders (id int)')", {"orders"}),
        ("op.execute('CREATE UNLOGGED TABLE \"Orders\"(id int)')", {"Orders"}),
        ('op.execute(\'CREATE /* now */ TABLE -- here\\n shop . "My ""own""" (id int)\')', {'shop.My "own"'}),
        ("op.execute('CREATE TEMP TABLE orders (id int)')", set()),
        ("op.execute('CREATE TABLE a AS SELECT 1; CREATE FOREIGN TABLE b (id int) SERVER s')", {"a", "b"}),
        ("op.execute('CREATE OR REPLACE VIEW v AS SELECT 1; CREATE MATERIALIZED VIEW m AS SELECT 1')", {"v", "m"}),
        ("op.execute('ALTER TABLE a RENAME TO b; ALTER TABLE c SET SCHEMA d')", {"b", "d.c"}),
        ("op.execute('SET LOCAL search_path TO north; CREATE TABLE orders (id int)')", {"*.orders"}),
        ("op.execute(f'CREATE TABLE {schema}.orders (id int)')", {"*.orders"}),
        ("op.execute(f'CREATE TABLE orders_{year} PARTITION OF orders DEFAULT')", set()),
        ("for name in ('a', 'b'):\n    op.create_table(name)", {"a", "b"}),
        ("sa.Table('orders', sa.MetaData()).create(op.get_bind())", {"orders"}),
        ("metadata = sa.MetaData()\nsa.Table('orders', metadata)\nmetadata.create_all(op.get_bind())", {"orders"}),
        ("op.create_table('p', sa.Column('id', sa.ForeignKey('auth.users.id')))", {"p"}),
        ("if not sa.inspect(op.get_bind()).has_table('orders'):\n    op.create_table('orders')", {"orders"}),
        ("sa.Enum('a', name='kind').create(op.get_bind())", set()),
        ("with op.get_context().autocommit_block():\n    op.execute('CREATE INDEX i ON t (c)')", set()),
        ("op.get_bind().execute(sa.text('SELECT 1'))", set()),
        ("op.create_table('o' * 70)", None),
        (f"op.create_table('{'o' * 70}')", {"o" * 63}),
        ("op.add_column('users', sa.Column('email', sa.Text), schema='auth')", {"auth.users.email"}),
        ("op.execute('ALTER TABLE users ADD COLUMN IF NOT EXISTS a int, ADD COLUMN b int')", {"users.a", "users.b"}),
        ("with op.batch_alter_table('users') as batch:\n    batch.add_column(sa.Column('a', sa.Text))", {"users.a"}),
        ("'''Create tables of orders.'''\nop.execute('SELECT 1')", set()),
    ],
)
def test_what_a_file_names_is_read(body: str, names: set[str] | None) -> None:
    assert read(body) == (names if names is not None else set(), names is not None)


@pytest.mark.parametrize(
    "body",
    [
        "op.create_table(f'{prefix}_orders')",
        "op.create_table(prefix + '_orders')",
        "for name in ('a', 'b'):\n    op.create_table(name)\n    print(f'{name}')",
        "op.execute(f'CREATE TABLE orders_{year} (id int)')",
        "op.execute('CREATE TABLE %s (id int)' % name)",
        "op.execute('CREATE TABLE {} (id int)'.format(name))",
        "op.execute('CREATE TABLE orders_' + year)",
        "op.execute('DO $$ BEGIN EXECUTE format(\\'CREATE TABLE %I.%I ()\\', a, b); END $$')",
        "op.execute('DO $$ BEGIN EXECUTE \\'CREATE TABLE a_\\' || b || \\'()\\'; END $$')",
        "op.execute(open('schema.sql').read())",
        "op.execute((HERE / 'schema.sql').read_text())",
        "op.create_hypertable('orders')",
        "exec(text)",
    ],
)
def test_a_table_whose_name_is_not_in_the_file_makes_it_unread(body: str) -> None:
    assert read(body)[1] is False


@pytest.mark.parametrize(
    ("head", "body", "is_whole"),
    [
        ("import sqlmodel", "op.create_table('o', sa.Column('n', sqlmodel.sql.sqltypes.AutoString()))", True),
        (
            "from app.types import GUID",
            "with op.batch_alter_table('o') as b:\n    b.add_column(sa.Column('n', GUID()))",
            True,
        ),
        ("import uuid, datetime", "op.execute(str(uuid.uuid4()))", True),
        ("from app import helpers", "helpers.make(op)", False),
        ("from . import helpers", "helpers.make(op)", False),
        ("from app.models import Base", "Base.metadata.create_all(op.get_bind())", False),
        ("from app.models import Order", "Order.__table__.create(op.get_bind())", False),
        ("from app.sql import TABLES", "op.execute(TABLES)", False),
        ("from app.sql import TABLES", "for each in TABLES:\n    op.execute(each)", False),
        ("from app.sql import TABLES", "text = TABLES.strip()\nop.execute(sa.text(text))", False),
        ("from app import helpers", "op.run_async(helpers.make)", False),
        ("import subprocess", "subprocess.run(['psql', '-f', 'schema.sql'])", False),
        ("from app.helpers import *", "make()", False),
    ],
)
def test_what_another_module_does_is_not_read(head: str, body: str, is_whole: bool) -> None:
    assert read(body, head)[1] is is_whole


@pytest.mark.parametrize("source", [b"", b"from app.base import upgrade\n", b"def upgrade(:\n", b"\x00\x01"])
def test_a_file_without_a_readable_upgrade_is_unread(source: bytes) -> None:
    assert read_tree(SourceTree.parsed(source)) == ([], False)


def test_a_history_says_which_of_its_revisions_makes_what() -> None:
    first = b"from alembic import op\ndef upgrade():\n    op.create_table('orders')\n"
    third = first.replace(b"'orders'", b"'invoices', schema='shop'")
    made = made_by({"a1": SourceTree(first), "a2": SourceTree(b""), "a3": SourceTree(third)})
    assert made["tables"] == [("", "orders", "a1"), ("shop", "invoices", "a3")]
    assert (made["columns"], made["unread"]) == ([], ["a2"])
