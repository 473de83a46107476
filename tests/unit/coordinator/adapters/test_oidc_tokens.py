"""Whose token is believed: one of this issuer, for this audience, now, signed with its key. Nothing else is."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.adapters.jwks import read_jwks
from coordinator.adapters.jwks_sources import FetchedKeys, FileKeys
from coordinator.adapters.oidc_tokens import OidcTokens
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from coordinator.ports import TokenSubject
from tests.unit.coordinator.token_issuer import (
    AUDIENCE,
    ISSUER,
    PROVIDER,
    SUBJECT,
    claims,
    decoded,
    encoded,
    jwk,
    jwks,
    private_key,
    public_pem,
    token,
    written_by_hand,
)

KNOWN = ("rsa-1", "ec-1", "ed-1")


class Keys:
    """Implements TokenKeys with the keys of this issuer, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.known = read_jwks(jwks(*KNOWN))

    async def find(self, kid: str) -> Any:
        self.asked.append(kid)
        return self.known.get(kid)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.mark.parametrize(
    ("kid", "algorithm"), [("rsa-1", "RS256"), ("rsa-1", "PS256"), ("ec-1", "ES256"), ("ed-1", "EdDSA")]
)
async def test_a_token_of_the_issuer_names_its_subject(keys: Keys, kid: str, algorithm: str) -> None:
    found = await OidcTokens(PROVIDER, keys).verify(token(kid, algorithm=algorithm))
    assert found == TokenSubject(ISSUER, SUBJECT)


async def test_an_audience_may_be_one_of_several_and_clocks_may_differ_a_little(keys: Keys) -> None:
    now = time.time()
    tokens = OidcTokens(PROVIDER, keys)
    for good in (
        {"aud": ["other", AUDIENCE]},
        {"exp": now - 20, "iat": now - 300},
        {"iat": now + 20, "nbf": now + 20},
        {"iat": now, "exp": now + 24 * 3600 - 1},
    ):
        assert (await tokens.verify(token(**good))).subject == SUBJECT


def with_another_payload(**changes: Any) -> str:
    header, _, signature = token().split(".")
    return f"{header}.{written_by_hand({}, claims(**changes)).split('.')[1]}.{signature}"


def signed_with_the_public_key(kid: str, algorithm: str = "HS256") -> str:
    """Key confusion: the public key, which everybody has, as the secret of an HMAC."""
    unsigned = written_by_hand({"alg": algorithm, "typ": "JWT", "kid": kid}, claims()).rpartition(".")[0]
    digest = hmac.new(public_pem(kid), unsigned.encode(), hashlib.sha256).digest()
    return f"{unsigned}.{encoded(digest)}"


def with_a_signature_changed(good: str) -> str:
    head, _, signature = good.rpartition(".")
    raw = bytearray(decoded(signature))
    raw[7] ^= 1
    return f"{head}.{encoded(bytes(raw))}"


NOW, MINUTE, DAY = int(time.time()), 60, 24 * 3600
R = TokenRefusal
ATTACKS: dict[str, tuple[TokenRefusal, Callable[[], str]]] = {
    "alg none": (R.ALGORITHM, lambda: written_by_hand({"alg": "none", "kid": "ed-1"}, claims())),
    "alg None": (R.ALGORITHM, lambda: written_by_hand({"alg": "None", "kid": "ed-1"}, claims(), b"x")),
    "no alg": (R.ALGORITHM, lambda: written_by_hand({"kid": "ed-1"}, claims(), b"x")),
    "alg is no text": (R.ALGORITHM, lambda: written_by_hand({"alg": ["EdDSA"], "kid": "ed-1"}, claims(), b"x")),
    "HS256 with the public key": (R.ALGORITHM, lambda: signed_with_the_public_key("rsa-1")),
    "RS512": (R.ALGORITHM, lambda: token("rsa-1", algorithm="RS512")),
    "the algorithm of another kind of key": (
        R.ALGORITHM,
        lambda: token("rsa-1", header={"kid": "ec-1"}),
    ),
    "a key of somebody else under a kid of the issuer": (
        R.WRONG_SIGNATURE,
        lambda: token("ed-stranger", header={"kid": "ed-1"}),
    ),
    "another kid": (R.UNKNOWN_KEY, lambda: token("ed-stranger")),
    "the kid of another key": (R.UNKNOWN_KEY, lambda: token("ed-1", header={"kid": "ed-9"})),
    "no kid": (R.UNKNOWN_KEY, lambda: written_by_hand({"alg": "EdDSA"}, claims(), b"x")),
    "its own key with it": (
        R.UNKNOWN_KEY,
        lambda: token("ed-stranger", header={"jwk": jwk("ed-stranger"), "jku": "http://127.0.0.1/keys"}),
    ),
    "a changed payload": (R.WRONG_SIGNATURE, lambda: with_another_payload(sub="auth0|boss")),
    "a changed signature": (R.WRONG_SIGNATURE, lambda: with_a_signature_changed(token("rsa-1"))),
    "no signature": (R.WRONG_SIGNATURE, lambda: token().rpartition(".")[0] + "."),
    "another issuer": (R.OTHER_ISSUER, lambda: token(iss="https://login.bank.example/realms/guests")),
    "the issuer with a slash more": (R.OTHER_ISSUER, lambda: token(iss=f"{ISSUER}/")),
    "several issuers": (R.OTHER_ISSUER, lambda: signed_by_hand({**claims(), "iss": [ISSUER]})),
    "another audience": (R.OTHER_AUDIENCE, lambda: token(aud="payments")),
    "other audiences": (R.OTHER_AUDIENCE, lambda: token(aud=["payments", f"{AUDIENCE}-2"])),
    "expired": (R.EXPIRED, lambda: token(iat=NOW - 600, exp=NOW - MINUTE)),
    "issued later": (R.NOT_YET, lambda: token(iat=NOW + 30 * MINUTE, exp=NOW + 40 * MINUTE)),
    "not yet": (R.NOT_YET, lambda: token(nbf=NOW + 30 * MINUTE, exp=NOW + 40 * MINUTE)),
    "good for more than a day": (R.GOOD_FOR_TOO_LONG, lambda: token(iat=NOW - 10, exp=NOW + DAY)),
    "good for ever": (R.GOOD_FOR_TOO_LONG, lambda: token(exp=10**400)),
    "exp as text": (R.MALFORMED, lambda: token(exp=str(NOW + MINUTE))),
    "iat as text": (R.MALFORMED, lambda: token(iat=str(NOW))),
    "iat is true": (R.MALFORMED, lambda: token(iat=True)),
    "exp is no number": (R.MALFORMED, lambda: token(exp="later")),
    "sub is a number": (R.BAD_SUBJECT, lambda: token(sub=7)),
    "sub is empty": (R.BAD_SUBJECT, lambda: token(sub="")),
    "sub with a line feed": (R.BAD_SUBJECT, lambda: token(sub=f"{SUBJECT}\n")),
    "sub with an escape": (R.BAD_SUBJECT, lambda: token(sub="a\x1b[2Jb")),
    "sub with letters that look alike": (R.BAD_SUBJECT, lambda: token(sub="\u0430da")),
    "sub too long": (R.BAD_SUBJECT, lambda: token(sub="a" * 256)),
    "critical extension": (R.MALFORMED, lambda: token(header={"crit": ["exp2"], "exp2": 1})),
    "garbage": (R.MALFORMED, lambda: "a.b.c"),
    "two parts": (R.MALFORMED, lambda: "a.b"),
    "nothing": (R.MALFORMED, lambda: ""),
    "no object": (R.MALFORMED, lambda: signed_by_hand([])),
}
ATTACKS |= {f"no {name}": (R.CLAIM_MISSING, lambda name=name: token(**{name: "absent"})) for name in claims()}


def signed_by_hand(payload: Any) -> str:
    """PyJWT makes no token with such claims."""
    unsigned = written_by_hand({"alg": "EdDSA", "kid": "ed-1"}, payload).rpartition(".")[0]
    return f"{unsigned}.{encoded(private_key('ed-1').sign(unsigned.encode()))}"


@pytest.mark.parametrize("attack", ATTACKS)
async def test_any_other_token_proves_nobody_and_it_is_said_which_kind_it_is(keys: Keys, attack: str) -> None:
    kind, make = ATTACKS[attack]
    made = make()
    with pytest.raises(TokenRefused) as refused:
        await OidcTokens(PROVIDER, keys).verify(made)
    assert refused.value.kind is kind
    assert not [part for part in made.split(".") if len(part) > 8 and part in str(refused.value)]


@pytest.mark.parametrize("attack", ["alg none", "HS256 with the public key", "RS512", "garbage", "no kid"])
async def test_a_token_that_can_be_no_good_makes_nobody_look_for_keys(keys: Keys, attack: str) -> None:
    with pytest.raises(TokenRefused):
        await OidcTokens(PROVIDER, keys).verify(ATTACKS[attack][1]())
    assert keys.asked == []


@settings(max_examples=100)
@given(st.text("abc.-_=eyJ", max_size=60) | st.text(max_size=30))
async def test_whatever_is_sent_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(TokenRefused):
        await OidcTokens(PROVIDER, Keys()).verify(text)


json_values = st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "iat", "nbf", "sub", "jti"]), json_values))
async def test_claims_of_any_kind_are_refused_and_nothing_else_happens(changes: dict[str, Any]) -> None:
    made = signed_by_hand({**claims(), **changes, "sub": ["nobody"]})
    with pytest.raises(TokenRefused):
        await OidcTokens(PROVIDER, Keys()).verify(made)


def test_the_keys_are_where_the_file_says(tmp_path: Path) -> None:
    of_file = OidcTokens.of(PROVIDER, tmp_path)
    of_address = OidcTokens.of(PROVIDER.model_copy(update={"jwks": "https://login.bank.example/keys"}), tmp_path)
    assert isinstance(of_file._keys, FileKeys)
    assert of_file._keys._file == tmp_path / "keys.json"
    assert isinstance(of_address._keys, FetchedKeys)
