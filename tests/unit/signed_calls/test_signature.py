"""The signature base and the signature are those of RFC 9421, and of a complete implementation of it."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, MappingKeyResolver, algorithms

from signed_calls import signature
from signed_calls.refusal import CallRefused, Refusal
from signed_calls.signature import COVERED, Call
from tests.unit.signed_calls.callers import CALL, HERE, NOW, a_key, a_verifier, signed

# RFC 9421, appendix B.1.4 and B.2.6.
PRIVATE = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF
-----END PRIVATE KEY-----
"""
PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
"""
B_2_6_COMPONENTS = ("date", "@method", "@path", "@authority", "content-type", "content-length")
B_2_6_VALUES = {
    "date": "Tue, 20 Apr 2021 02:07:55 GMT",
    "@method": "POST",
    "@path": "/foo",
    "@authority": "example.com",
    "content-type": "application/json",
    "content-length": "18",
}
B_2_6_COVERED = " ".join(f'"{name}"' for name in B_2_6_COMPONENTS)
B_2_6_PARAMETERS = f'({B_2_6_COVERED});created=1618884473;keyid="test-key-ed25519"'
B_2_6_BASE = b"""\
"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length")\
;created=1618884473;keyid="test-key-ed25519\""""
B_2_6_SIGNATURE = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="


def test_the_rfcs_ed25519_example_has_our_base_and_our_signature() -> None:
    base = signature.signature_base(B_2_6_COMPONENTS, B_2_6_VALUES, B_2_6_PARAMETERS)
    assert base == B_2_6_BASE
    private, public = load_pem_private_key(PRIVATE, None), load_pem_public_key(PUBLIC)
    assert b64encode(private.sign(base)).decode() == B_2_6_SIGNATURE  # type: ignore[union-attr,call-arg]
    public.verify(b64decode(B_2_6_SIGNATURE), base)  # type: ignore[union-attr,call-arg]


def test_the_digest_is_that_of_rfc_9530() -> None:
    """Its example of a whole body, in appendix B.1, with a line feed at the end."""
    digest = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert signature.digest_of(b'{"hello": "world"}\n') == digest


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/path?param=value&foo=bar&baz=bat%2Dman", "/path", "?param=value&foo=bar&baz=bat%2Dman"),  # RFC 9421, 2.2.7
        ("/path?queryString", "/path", "?queryString"),
        ("/path", "/path", "?"),
        ("/path?", "/path", "?"),
        ("", "/", "?"),
        ("/a%2Fb/c%20d?x=%C3%BC?y", "/a%2Fb/c%20d", "?x=%C3%BC?y"),
    ],
)
def test_path_and_query_are_those_of_the_rfc(target: str, path: str, query: str) -> None:
    values = signature.values_of("GET", target, "d", "a")
    assert (values["@path"], values["@query"]) == (path, query)


KEY = a_key()
RESOLVER = MappingKeyResolver(
    public_keys={KEY.key_id: KEY.private.public_key()}, private_keys={KEY.key_id: KEY.private}
)


def message(call: Call, headers: dict[str, str]) -> SimpleNamespace:
    return SimpleNamespace(method=call.method, url=f"http://any.example{call.target}", headers=headers)


CALLS = [
    CALL,
    Call("DELETE", "/migrations/operations/a%2Fb.1", HERE),
    Call("GET", "/migrations/plan?target=a%40head", HERE),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method)
def test_a_complete_implementation_verifies_what_we_sign(call: Call) -> None:
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=RESOLVER)
    sent = message(call, signed(call, at=datetime.now(UTC).timestamp()))
    (result,) = verifier.verify(sent, expect_tag="rmbrain-call", require_components=COVERED, body=call.body)
    assert result.parameters["keyid"] == KEY.key_id


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.method)
def test_we_verify_what_a_complete_implementation_signs(call: Call) -> None:
    """It puts the components in this order, and the parameters in an order of its own."""
    sent = message(call, {"call-audience": call.audience})
    HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=RESOLVER).sign(
        sent,
        key_id=KEY.key_id,
        created=datetime.fromtimestamp(NOW, UTC),
        nonce="n" * 24,
        label="other",
        tag="rmbrain-call",
        covered_component_ids=("call-audience", "content-digest", "@query", "@path", "@method"),
        body=call.body,
    )
    caller = a_verifier().verify(call.method, call.target, sent.headers.items(), call.body)
    assert caller.name == "migration-coordinator"


WRONG_FORMS = {
    "a component is missing": {"signature-input": ('"@query" ', "")},
    "a component more": {"signature-input": ('("@method"', '("@authority" "@method"')},
    "a component twice": {"signature-input": ('"@query" "content-digest"', '"@path" "content-digest"')},
    "a component with a parameter": {"signature-input": ('"@path"', '"@path";req')},
    "no components": {"signature-input": ('("@method" "@path" "@query" "content-digest" "call-audience")', "()")},
    "another tag": {"signature-input": ("rmbrain-call", "other")},
    "another algorithm": {"signature-input": ("ed25519", "hmac-sha256")},
    "a parameter more": {"signature-input": (";alg=", ";expires=1;alg=")},
    "a parameter twice": {"signature-input": (";alg=", f";created={NOW};alg=")},
    "no time": {"signature-input": (f";created={NOW}", "")},
    "a time that is text": {"signature-input": (f"created={NOW}", f'created="{NOW}"')},
    "a time with a zero in front": {"signature-input": (f"created={NOW}", f"created=0{NOW}")},
    "a time below zero": {"signature-input": (f"created={NOW}", f"created=-{NOW}")},
    "an endless time": {"signature-input": (f"created={NOW}", f"created={NOW}{'0' * 20}")},
    "a key id that is a number": {"signature-input": (f'keyid="{KEY.key_id}"', "keyid=1")},
    "two signatures in one header": {"signature": ("call=", "other=:AAAA:, call=")},
    "two inputs in one header": {"signature-input": ("call=", 'other=("@method");created=1, call=')},
    "labels that differ": {"signature": ("call=", "other=")},
    "no bytes": {"signature": ("call=:", "call=::, x=:")},
    "an empty signature": {"signature": (":", "")},
    "another digest": {"content-digest": ("sha-256=", "sha-512=")},
    "two digests": {"content-digest": ("sha-256=", "unixsum=:AA==:, sha-256=")},
    "too long": {"signature-input": ("call=", f"{'c' * 2000}=")},
    "a line feed at the end": {"signature-input": ('tag="rmbrain-call"', 'tag="rmbrain-call"\n')},
    "digits of another script": {"signature-input": (f"created={NOW}", "created=١٢٣")},
}


@pytest.mark.parametrize("what", WRONG_FORMS)
def test_another_form_is_refused_before_any_key_is_looked_for(what: str) -> None:
    headers = signed()
    ((name, (old, new)),) = WRONG_FORMS[what].items()
    assert old in headers[name]
    headers[name] = headers[name].replace(old, new)
    with pytest.raises(CallRefused) as refused:
        signature.read(headers.items())
    assert refused.value.kind is Refusal.MALFORMED


@pytest.mark.parametrize("nonce", ["", "short", "x" * 15, "x" * 65, "with a space in it"])
def test_a_nonce_that_may_come_twice_by_chance_or_fills_the_memory_is_refused(nonce: str) -> None:
    headers = signature.sign(CALL, key_id=KEY.key_id, created=NOW, nonce=nonce, sign_bytes=KEY.private.sign)
    with pytest.raises(CallRefused) as refused:
        signature.read(headers.items())
    assert refused.value.kind is Refusal.MALFORMED


@pytest.mark.parametrize("name", signature.HEADERS)
def test_each_header_is_there_once(name: str) -> None:
    headers = signed()
    twice = [*headers.items(), (name.title(), headers[name])]
    without = [(each, value) for each, value in headers.items() if each != name]
    for given in (twice, without):
        with pytest.raises(CallRefused) as refused:
            signature.read(given)
        assert refused.value.kind is Refusal.MALFORMED


def test_a_call_without_both_headers_is_unsigned() -> None:
    for headers in ([], [("content-digest", "x"), ("authorization", "Bearer x")]):
        with pytest.raises(CallRefused) as refused:
            signature.read(headers)
        assert refused.value.kind is Refusal.UNSIGNED


def test_a_value_with_a_line_feed_cannot_forge_another_line_of_the_base() -> None:
    with pytest.raises(ValueError, match="printable"):
        signature.signature_base(
            COVERED, {**signature.values_of("GET", "/", "d", "a"), "@path": '/\n"@query": ?'}, "()"
        )
