"""What a server, a driver or Python said is shown with the names that a person needs, and without values."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_sidecar.protocol.server_words import LONGEST_READ, ServerWords, hide_secrets, readable

FIRST, LAST = "Kanarie1", "Kanarie2"
values = st.builds(lambda middle: f"{FIRST}{middle}{LAST}", st.text())


@pytest.mark.parametrize(
    ("sqlstate", "text"),
    [
        ("42P01", 'relation "orders" does not exist'),
        ("42703", 'column "total" of relation "orders" does not exist'),
        ("23505", 'duplicate key value violates unique constraint "orders_pkey"'),
        ("23514", 'new row for relation "orders" violates check constraint "positive"'),
        ("28P01", 'password authentication failed for user "ada"'),
        ("3D000", 'database "shop" does not exist'),
        ("2BP01", "cannot drop table orders because other objects depend on it"),
    ],
)
def test_names_stay_readable(sqlstate: str, text: str) -> None:
    assert readable(ServerWords(text, sqlstate)) == text


@pytest.mark.parametrize(
    ("sqlstate", "text", "shown"),
    [
        ("22P02", 'invalid input syntax for type integer: "{}"', "invalid input syntax for type integer: …"),
        ("22008", 'date/time field value out of range: "{}"', "date/time field value out of range: …"),
        ("22023", 'invalid value for parameter "TimeZone": "{}"', "invalid value for parameter …"),
        ("P0001", 'no customer "{}"', "no customer …"),
        (None, 'invalid percent-encoded token: "{}"', "invalid percent-encoded token: …"),
    ],
)
@given(value=values)
def test_a_value_in_quotes_never_shows_whatever_is_in_it(
    sqlstate: str | None, text: str, shown: str, value: str
) -> None:
    said = readable(ServerWords(text.format(value), sqlstate))
    assert FIRST not in said
    assert LAST not in said
    assert said == shown or "'" in value or "://" in value


def test_a_value_that_is_longer_than_what_is_read_does_not_show_either() -> None:
    for quote in ("'", '"'):
        long = "Kanarie" * LONGEST_READ
        assert "Kanarie" not in readable(ServerWords(f"invalid literal: {quote}{long}{quote}"))


@pytest.mark.parametrize(
    "text", ['\'Meyer"x\' and "y"', "\"Meyer's\" and 'y'", "can't read 'Meyer' as the user's \"age\""]
)
def test_quotes_of_one_kind_in_those_of_the_other_hide_nothing_less(text: str) -> None:
    assert "Meyer" not in readable(ServerWords(text))


def test_names_that_the_server_tells_apart_stay_beside_a_value() -> None:
    words = ServerWords('column "age" takes no "Meyer"', "22P02", frozenset({"age"}))
    assert readable(words) == 'column "age" takes no …'


def test_what_a_function_raises_is_not_taken_for_postgresqls_own_sentence() -> None:
    text = 'customer "Meyer" exists'
    assert readable(ServerWords(text, "23505")) == text
    assert readable(ServerWords(text, "23505", raised=True)) == "customer … exists"


@pytest.mark.parametrize(
    ("near", "shown"),
    [("TABEL", '"TABEL"'), (";", '";"'), ("'Meyer)", "…"), ("Meyer", "…"), ("4711x", "…")],
)
def test_a_syntax_error_shows_its_place_only_if_that_is_no_literal(near: str, shown: str) -> None:
    words = ServerWords(f'syntax error at or near "{near}"', "42601")
    assert readable(words, "CREATE TABEL x (a int DEFAULT …);") == f"syntax error at or near {shown}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("log in with password=Meyer7 now", "log in with password=… now"),
        ('{"api_token": "Meyer 7"}', '{"api_token": …}'),
        ("client_secret='Meyer 7' is wrong", "client_secret=… is wrong"),
        ("AWS_SECRET_ACCESS_KEY=Meyer7", "AWS_SECRET_ACCESS_KEY=…"),
        ("PASSWORD = Meyer7", "PASSWORD = …"),
        ("cannot reach postgresql://ada:Mey er@7@h/x now", "cannot reach … now"),
        ("see https://example.org/x for more", "see … for more"),
        ("the key of table t is wrong, and the password too", "the key of table t is wrong, and the password too"),
    ],
)
def test_secrets_are_known_by_what_stands_before_them(text: str, shown: str) -> None:
    assert hide_secrets(text) == shown
    assert "Meyer" not in hide_secrets(text)


@given(st.text())
def test_any_text_can_be_read(text: str) -> None:
    assert "\n" not in readable(ServerWords(text))


def test_a_text_that_is_made_to_take_long_does_not() -> None:
    began = process_time()
    for text in ("token", "key ", "a://", "'", '"', "@", "http"):
        readable(ServerWords(text * LONGEST_READ))
    assert process_time() - began < 5
