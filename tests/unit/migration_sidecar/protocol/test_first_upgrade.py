"""Which tables stop a first upgrade."""

from __future__ import annotations

from typing import Any

import pytest

from migration_sidecar.protocol.first_upgrade.relations import Relation
from migration_sidecar.protocol.first_upgrade.rule import OwnTable, describe, in_the_way, stands_alone
from migration_sidecar.protocol.results import MadeTables


def made(*tables: str, columns: tuple[str, ...] = (), unread: tuple[str, ...] = ()) -> MadeTables:
    """Of names such as `orders`, `shop.orders` and `*.orders`."""
    return {
        "tables": [(*_parts(name), "a1") for name in tables],
        "columns": [(*_parts(name.rpartition(".")[0]), name.rpartition(".")[2], "a2") for name in columns],
        "unread": list(unread),
    }


def _parts(name: str) -> tuple[str, str]:
    schema, _, table = name.rpartition(".")
    return schema, table


def table(name: str = "public.orders", **facts: Any) -> Relation:
    schema, name = _parts(name)
    usual = {"on_path": schema == "public", "has_neighbour": False, "is_filled": False, "columns": ("id",)}
    return Relation(schema, name, **{**usual, **facts})


@pytest.mark.parametrize(
    ("relation", "history", "stops"),
    [
        (table(), made("orders"), True),
        (table(), made("invoices"), False),
        (table(), made("public.orders"), True),
        (table(), made("shop.orders"), False),
        (table("auth.users"), made("users"), False),
        (table("auth.users"), made("auth.users"), True),
        (table("auth.users"), made("*.users"), True),
        (table("auth.users", has_neighbour=True), made("*.users"), False),
        (table("public.Orders"), made("orders"), False),
        (table("public.ÜBER"), made("über"), False),
        (table("public.Über"), made("über"), True),
        (table(has_neighbour=True), made("orders"), True),
        (table(), made(columns=("orders.id",)), True),
        (table(), made(columns=("orders.note",)), False),
        (table(), made(unread=("a1",)), True),
        (table(has_neighbour=True), made(unread=("a1",)), False),
        (table("auth.users"), made(unread=("a1",)), False),
        (table("auth.users"), made("auth.users", unread=("a2",)), True),
        (table("public.spatial_ref_sys"), made(unread=("a1",)), False),
    ],
)
def test_a_table_stops_it_if_this_history_can_have_made_it(
    relation: Relation, history: MadeTables, stops: bool
) -> None:
    assert bool(in_the_way([relation], history, has_neighbours=False)) is stops


def test_another_history_explains_what_nobody_names_and_not_what_this_one_names() -> None:
    assert in_the_way([table()], made(unread=("a1",)), has_neighbours=True) == []
    assert in_the_way([table()], made("orders"), has_neighbours=True)


def test_what_env_py_makes_by_itself_stops_nothing_while_it_is_empty() -> None:
    own = [OwnTable("", "orders"), OwnTable("shop", "items")]
    history = made("orders", "shop.items", columns=("orders.id",), unread=("a2",))
    assert in_the_way([table(), table("shop.items")], history, has_neighbours=False, own=own) == []
    filled = table(is_filled=True)
    assert in_the_way([filled], history, has_neighbours=False, own=own)
    assert in_the_way([filled], history, has_neighbours=False, own=own, began_alone=True) == []
    assert in_the_way([table("other.orders")], made("other.orders"), has_neighbours=False, own=own)


def test_a_history_stands_alone_only_if_its_names_are_in_no_schema_at_all() -> None:
    assert stands_alone([table("auth.users"), table("public.notes")], made("orders", "shop.items"))
    assert not stands_alone([table("auth.orders", has_neighbour=True)], made("shop.orders"))
    assert not stands_alone([table("public.notes")], made("orders", unread=("a1",)))


def test_the_sentence_names_the_tables_and_the_revision() -> None:
    four = [table(f"public.t{number}") for number in range(5)]
    found = in_the_way(four, made(*(f"t{number}" for number in range(5))), has_neighbours=False)
    assert describe(found) == (
        "There is no version row, but public.t0, public.t1, public.t2 and 2 more are in the database,"
        " and revision a1 makes t0."
    )
    column = in_the_way([table()], made(columns=("orders.id",)), has_neighbours=False)
    assert describe(column) == (
        "There is no version row, but public.orders is in the database, and revision a2 adds its column id."
    )
    unread = in_the_way([table()], made(unread=("a3",)), has_neighbours=False)
    assert describe(unread).endswith("which tables this history makes cannot be read in its files (revision a3).")
