"""What of a dead letter may be kept: no proof, no password, no name that sounds like a secret, and not too much."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from coordinator.domain.dead_letters.kept_text import MOST_BYTES, MOST_READ, kept_text
from coordinator.domain.request_parsing.cloud_event import ReceivedEvent
from signed_calls.events import ATTRIBUTES
from tests.unit.coordinator.at_the_doors import event


def kept(body: bytes) -> str:
    return kept_text(ReceivedEvent.parse(body))[0]


def test_a_request_is_kept_so_that_it_can_be_read_again() -> None:
    body = event("e-1", {"services": ["first"], "reason": "Grüße"}, some="ä")
    text, is_whole = kept_text(ReceivedEvent.parse(body))
    assert is_whole
    assert text.isascii()
    assert ReceivedEvent.parse(text.encode()).request() == ReceivedEvent.parse(body).request()


def test_a_signature_is_not_kept_because_who_reads_it_could_publish_it_again() -> None:
    signed = dict.fromkeys(ATTRIBUTES, "canary")
    for body in (event(**signed), event(**signed)[:-1] + b', "data": {}}', b"[" + event(**signed) + b"]"):
        assert "canary" not in kept(body)


@pytest.mark.parametrize(
    "data",
    [
        {"services": "all", "reason": "see postgresql://ada:canary@host/db"},
        {"services": "all", "reason": {"postgresql://ada:canary@host": ["postgresql://ada:canary@host"]}},
        json.dumps({"url": "postgresql://ada:canary@host"}),
        json.dumps({"url": "postgresql://ada:canary@host"}).replace("/", "\\/"),
        {"services": "all", "password": "canary"},
        {"services": "all", "db": {"API-Key": ["canary"], "clientSecret": {"is": "canary"}}},
        {"services": "all", "authorization": "Bearer canary"},
    ],
)
def test_what_looks_like_a_secret_is_masked_in_an_event_that_can_be_read_and_in_one_that_cannot(data: Any) -> None:
    whole = event("e-1", data)
    for body in (whole, whole.replace(b"/", b"\\/"), whole[:-1] + b', "id": "e-2"}', whole[:-1]):
        assert "canary" not in kept(body)
        assert "e-1" in kept(body)


def test_encoded_data_is_not_kept_because_nobody_sees_what_is_in_it() -> None:
    for body in (event("e-1", "absent", data_base64="Y2FuYXJ5"), event("e-1", "absent", data_base64="Y2FuYXJ5")[:-1]):
        assert "Y2FuYXJ5" not in kept(body)


@pytest.mark.parametrize("body", [b"nonsense \xff \x00 \x1b[2J", '"\ud800"'.encode(errors="surrogatepass"), b""])
def test_what_is_no_json_is_kept_in_characters_that_a_store_takes_and_a_terminal_does_not_obey(body: bytes) -> None:
    assert not set(kept(body)) & {"\0", "\x1b", "\ud800"}
    kept(body).encode()


def test_of_a_large_event_only_the_beginning_is_kept_and_that_is_said() -> None:
    text, is_whole = kept_text(ReceivedEvent.parse(event("e-1", {"services": ["x" * 200_000]})))
    assert (len(text), is_whole) == (MOST_BYTES, False)
    text, is_whole = kept_text(ReceivedEvent.parse("ä".encode() * 30_000))
    assert (len(text.encode()) <= MOST_BYTES, is_whole) == (True, False)


@pytest.mark.parametrize("unit", ['"token', "token", '"', '"a":', "://a:", ":\\", "\\/", "://a:b@", '"token": 1 '])
def test_no_text_that_somebody_publishes_takes_long_to_mask(unit: str) -> None:
    began = time.process_time()
    kept((unit * 4_000_000)[:4_000_000].encode())
    kept(event("e-1", {"services": (unit * 60_000)[:120_000]}))
    assert time.process_time() - began < 5


def test_a_password_that_is_cut_in_two_is_not_kept() -> None:
    for begins in range(MOST_READ - 40, MOST_READ):
        assert "canary" not in kept(b"x" * begins + b" postgresql://ada:canarycanarycanary@host" + b"y" * 100_000)
    shrinking = b"postgresql://ada:%s@host " % (b"p" * 3000) * 30
    assert "ppp" not in kept(shrinking)
