"""Our own reading of database URLs is SQLAlchemy's, word for word."""

from __future__ import annotations

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st

from migration_sidecar.protocol.url import URL, make_url

URLS = [
    "postgresql://",
    "postgres://h",
    "postgresql+psycopg://ada@h/x",
    "postgresql+asyncpg://ada:p%40%20w+d@h:5432/x%20y",
    "postgresql://ada:p:w/d@h/a/b",
    "postgresql://:w@h/",
    "postgresql://ada:@[::1]:6432/x?sslmode=require",
    "postgresql:///x?host=%2Frun%2Fpg&port=5433",
    "postgresql://h:/x?host=a:1&host=b:2&empty=",
    "postgresql://ada%3A:%25@h/%D0%BA?options=-c%20x%3D1",
]
PARTS = ("drivername", "username", "password", "host", "port", "database")


@pytest.mark.parametrize("text", URLS)
def test_every_part_is_what_sqlalchemy_reads(text: str) -> None:
    ours, theirs = make_url(text), sqlalchemy.make_url(text.replace("h:/x", "h/x"))
    assert {part: getattr(ours, part) for part in PARTS} == {part: getattr(theirs, part) for part in PARTS}
    assert ours.query == dict(theirs.query)
    for hidden in (True, False):
        assert ours.render_as_string(hide_password=hidden) == theirs.render_as_string(hide_password=hidden)
    assert ours.get_backend_name() == theirs.get_backend_name()


@given(
    st.builds(
        URL,
        drivername=st.sampled_from(["postgresql", "postgresql+psycopg"]),
        username=st.text(),
        password=st.text(),
        host=st.sampled_from(["h", "db.example", "::1"]),
        port=st.integers(1, 65535),
        database=st.text(),
    )
)
def test_what_is_written_is_read_again_by_us_and_by_sqlalchemy(url: URL) -> None:
    text = url.render_as_string(hide_password=False)
    assert make_url(text) == url
    theirs = sqlalchemy.make_url(text)
    assert (theirs.username, theirs.password, theirs.database) == (url.username, url.password, url.database)


@pytest.mark.parametrize("text", ["", "localhost/x", "postgresql:/h/x", "postgresql://h:port/x"])
def test_what_sqlalchemy_cannot_read_is_no_url(text: str) -> None:
    with pytest.raises((ValueError, sqlalchemy.exc.ArgumentError)):
        sqlalchemy.make_url(text)
    with pytest.raises(ValueError, match=r"not a URL|invalid literal"):
        make_url(text)


def test_a_representation_shows_no_password() -> None:
    url = make_url("postgresql://ada:canary@h/x?password=canary")
    assert "canary" not in repr(url)
    assert "canary" not in url.set(query={}).render_as_string(hide_password=True)
