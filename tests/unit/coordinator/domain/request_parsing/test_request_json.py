"""What a door reads as JSON, and what it refuses before anybody looks at the content."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.request_parsing.request_json import MAXIMUM_BYTES, read_object
from coordinator.errors import CoordinatorError
from migration_sidecar.contract.strict_json import MAXIMUM_DEPTH

plain_text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain_text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(plain_text, children, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(plain_text, values, max_size=5))
def test_every_plain_object_is_read_as_it_was_written(document: dict[str, object]) -> None:
    assert read_object(json.dumps(document).encode()) == document
    assert read_object(json.dumps(document, ensure_ascii=False).encode()) == document


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_in_any_other_way_than_its_own(body: bytes) -> None:
    try:
        assert isinstance(read_object(body), dict)
    except CoordinatorError as error:
        assert error.problem().code.startswith("CM-10")  # noqa: PT017


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "CM-101"),
        (b"{", "CM-101"),
        (b"[]", "CM-101"),
        (b'"text"', "CM-101"),
        (b"\xff\xfe{}", "CM-101"),
        (b"\xef\xbb\xbf{}", "CM-101"),
        (b'{"a": 1, "a": 1}', "CM-105"),
        (b'{"a": {"b": 1, "b": 2}}', "CM-105"),
        (b'{"a": NaN}', "CM-105"),
        (b'{"a": -Infinity}', "CM-105"),
        (b'{"a": 1e400}', "CM-105"),
        (b'{"a": ' + b"9" * 4400 + b"}", "CM-105"),
        (b'{"a": ' + b"9" * 19 + b"}", "CM-105"),
        (b'{"a": ' + b"[" * 100_000, "CM-105"),
        (b'{"a": ' + b"[" * MAXIMUM_DEPTH + b"]" * MAXIMUM_DEPTH + b"}", "CM-105"),
        (b'{"a": "\\u0000"}', "CM-104"),
        (b'{"a": "\\ud800"}', "CM-104"),
        (b'{"a": ["\\u001b[31m"]}', "CM-104"),
        (b'{"\\u0007": 1}', "CM-104"),
        (b'{"a": "' + b"x" * MAXIMUM_BYTES + b'"}', "CM-106"),
    ],
)
def test_what_readers_could_understand_differently_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(CoordinatorError) as caught:
        read_object(body)
    assert caught.value.problem().code == code


def test_the_deepest_allowed_nesting_is_read() -> None:
    levels = MAXIMUM_DEPTH - 1
    assert read_object(b'{"a": ' + b"[" * levels + b"]" * levels + b"}")


def test_tabs_and_line_breaks_may_stand_in_a_reason() -> None:
    assert read_object(b'{"reason": "one\\n\\ttwo"}') == {"reason": "one\n\ttwo"}


def test_the_largest_body_with_the_most_keys_is_read_in_a_moment() -> None:
    keys = ",".join(f'"{number}":0' for number in range(25_000))
    body = f"{{{keys}}}".encode()
    assert len(body) < MAXIMUM_BYTES
    began = time.perf_counter()
    read_object(body)
    assert time.perf_counter() - began < 2
