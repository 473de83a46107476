"""Which keys of a published set are used: public ones, with a name, for one of four algorithms."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.adapters.jwks import LONGEST_SET, BadJwks, read_jwks
from tests.unit.coordinator.token_issuer import jwk, jwks


def test_each_kind_of_key_has_its_own_algorithms() -> None:
    keys = read_jwks(jwks("rsa-1", "ec-1", "ed-1"))
    assert {kid: set(key.algorithms) for kid, key in keys.items()} == {
        "rsa-1": {"RS256", "PS256"},
        "ec-1": {"ES256"},
        "ed-1": {"EdDSA"},
    }


def test_a_key_that_names_an_algorithm_is_for_that_one_only() -> None:
    keys = read_jwks(json.dumps({"keys": [jwk("rsa-1", alg="PS256")]}).encode())
    assert keys["rsa-1"].algorithms == {"PS256"}


UNUSABLE: dict[str, Any] = {
    "a secret": {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ", "kid": "x", "alg": "HS256"},
    "a public key for HS256": jwk("rsa-1", kid="x", alg="HS256"),
    "none": jwk("rsa-1", kid="x", alg="none"),
    "an algorithm of another kind": jwk("rsa-1", kid="x", alg="ES256"),
    "for encryption": jwk("rsa-1", kid="x", use="enc"),
    "for signing": jwk("rsa-1", kid="x", key_ops=["sign"]),
    "operations that are no list": jwk("rsa-1", kid="x", key_ops="verify"),
    "a private key": jwk("ed-1", kid="x", private=True),
    "a private RSA key": jwk("rsa-1", kid="x", private=True),
    "a short RSA key": jwk("rsa-short", kid="x"),
    "another curve": jwk("ec-1", kid="x", crv="P-384"),
    "a point beside the curve": jwk("ec-1", kid="x", y=jwk("ec-1")["x"]),
    "a number for a modulus": jwk("rsa-1", kid="x", n=7),
    "half a key": jwk("ec-1", kid="x", y="absent"),
    "a kind that is a list": jwk("ec-1", kid="x", kty=["EC"]),
    "without a name": jwk("ed-1", kid="absent"),
    "a name that is a number": jwk("ed-1", kid=7),
    "text": "x",
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_key_that_cannot_be_used_is_left_out_and_the_others_stay(what: str) -> None:
    assert list(read_jwks(json.dumps({"keys": [UNUSABLE[what], jwk("ec-2")]}).encode())) == ["ec-2"]
    with pytest.raises(BadJwks):
        read_jwks(json.dumps({"keys": [UNUSABLE[what]]}).encode())


def test_of_two_keys_with_one_name_the_first_counts() -> None:
    first, second = jwk("ed-1"), jwk("ec-1", kid="ed-1")
    assert read_jwks(json.dumps({"keys": [first, second]}).encode())["ed-1"].algorithms == {"EdDSA"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b"[" * 100_000,
        b"\xff",
        jwks("ed-1") + b" " * LONGEST_SET,
    ],
)
def test_what_is_no_set_of_keys_is_refused(content: bytes) -> None:
    with pytest.raises(BadJwks):
        read_jwks(content)


values = st.none() | st.integers() | st.text(max_size=8) | st.lists(st.integers(), max_size=2)
members = st.dictionaries(st.sampled_from(["kty", "crv", "alg", "use", "n", "e", "x", "y", "d", "key_ops"]), values)


@settings(max_examples=100)
@given(st.sampled_from(["rsa-1", "ec-1", "ed-1"]), members)
def test_a_changed_key_is_used_or_left_out_and_nothing_else_happens(kid: str, changes: dict[str, Any]) -> None:
    content = json.dumps({"keys": [{**jwk(kid), **changes}, jwk("ec-2")]}).encode()
    assert "ec-2" in read_jwks(content)
