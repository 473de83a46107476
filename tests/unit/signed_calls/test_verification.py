"""A call is its caller's only if nothing of it was changed, it is for us, it is new, and the key is known."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from signed_calls.keys import SigningKey
from signed_calls.refusal import SENTENCES, CallRefused, Refusal
from signed_calls.replays import ReplayMemory
from signed_calls.signature import HEADERS, Call
from signed_calls.verification import WINDOW_SECONDS, Verifier
from tests.unit.signed_calls.callers import CALL, HERE, NOW, Keys, a_key, a_verifier, signed

SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$'()*+,;=:@%/"
PATHS = st.text(SAFE, max_size=40).map(lambda text: f"/{text}")
QUERIES = st.none() | st.text(SAFE + "&?", max_size=40)
CALLS = st.builds(
    lambda method, path, query, audience, body: Call(
        method, path if query is None else f"{path}?{query}", audience, body
    ),
    st.sampled_from(["GET", "POST", "DELETE", "PUT"]),
    PATHS,
    QUERIES,
    st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.binary(max_size=64),
)


def refusal(call: Call, headers: dict[str, str], verifier: Verifier | None = None) -> Refusal | None:
    verifier = verifier or a_verifier(audience=call.audience)
    try:
        verifier.verify(call.method, call.target, headers.items(), call.body)
    except CallRefused as refused:
        return refused.kind
    return None


@given(CALLS, st.randoms(use_true_random=False))
def test_a_signed_call_is_its_callers_whatever_a_proxy_adds_and_however_it_orders(call: Call, random: object) -> None:
    headers = [(name.title(), value) for name, value in signed(call).items()]
    headers += [("Host", "127.0.0.1:8002"), ("traceparent", "00-1-2-01"), ("X-Forwarded-For", "::1"), ("X-Sig", "é")]
    random.shuffle(headers)  # type: ignore[attr-defined]
    caller = a_verifier(audience=call.audience).verify(call.method, call.target, headers, call.body)
    assert (caller.name, f"{caller.name}/{caller.fingerprint}") == ("migration-coordinator", a_key().key_id)


@given(CALLS, CALLS)
def test_a_signature_is_good_for_one_method_address_audience_and_body(call: Call, other: Call) -> None:
    """An address without a query and one with an empty query are the same address (RFC 9421, section 2.2.7)."""
    headers = signed(call)
    for changed in (
        replace(call, method=other.method),
        replace(call, target=other.target),
        replace(call, target=other.target.partition("?")[0] + "?" + call.target.partition("?")[2]),
        replace(call, target=call.target.partition("?")[0] + "?" + other.target.partition("?")[2]),
        replace(call, target=call.target + "x"),
        replace(call, target=call.target.swapcase()),
    ):
        same = (changed.method, changed.target.rstrip("?")) == (call.method, call.target.rstrip("?"))
        if not same and not (changed.target.count("?") <= 1 and changed.target == f"{call.target}?"):
            assert refusal(changed, headers) is Refusal.WRONG_SIGNATURE
    if other.body != call.body:
        assert refusal(replace(call, body=other.body), headers) is Refusal.BODY_CHANGED
    if other.audience != call.audience:
        assert refusal(call, headers, a_verifier(audience=other.audience)) is Refusal.OTHER_AUDIENCE
        renamed = headers | {"call-audience": other.audience}
        assert refusal(call, renamed, a_verifier(audience=other.audience)) is Refusal.WRONG_SIGNATURE


@given(st.sampled_from(HEADERS), st.data())
def test_no_character_of_the_four_headers_can_be_changed(name: str, data: st.DataObject) -> None:
    headers = signed()
    value = headers[name]
    position = data.draw(st.integers(0, len(value) - 1))
    character = data.draw(st.characters(min_codepoint=0, max_codepoint=0x17F))
    assume(value[position] != character)
    # The label names a signature within its message, and both headers would have to change.
    changed = headers | {name: value[:position] + character + value[position + 1 :]}
    # The last sign of base64 has bits that stand for nothing; the bytes are the same then.
    if name == "signature" and position == value.index("==:") - 1:
        assert refusal(CALL, changed) in (None, Refusal.WRONG_SIGNATURE, Refusal.MALFORMED)
        return
    assert refusal(CALL, changed) is not None


@given(st.text(max_size=300), st.sampled_from(HEADERS))
def test_whatever_a_stranger_sends_is_a_refusal_and_never_an_error(text: str, name: str) -> None:
    assert refusal(CALL, signed() | {name: text}) is not None or text == ""
    assert refusal(CALL, {name: text}) in (Refusal.UNSIGNED, Refusal.MALFORMED)


@given(st.text(max_size=60), st.text(max_size=10))
def test_a_target_of_any_characters_is_a_refusal_and_never_an_error(target: str, method: str) -> None:
    assume((method, target) != (CALL.method, CALL.target))
    assert refusal(replace(CALL, target=target, method=method), signed()) is Refusal.WRONG_SIGNATURE


@pytest.mark.parametrize("seconds", [-WINDOW_SECONDS, -1, 0, 1, WINDOW_SECONDS])
def test_the_clocks_may_differ_by_a_minute(seconds: int) -> None:
    assert refusal(CALL, signed(at=NOW + seconds)) is None


@pytest.mark.parametrize("seconds", [-86400, -WINDOW_SECONDS - 1, WINDOW_SECONDS + 1, 86400])
def test_a_call_of_another_time_is_refused(seconds: int) -> None:
    assert refusal(CALL, signed(at=NOW + seconds)) is Refusal.TOO_OLD


def test_a_key_that_is_not_filed_is_unknown_whatever_name_it_gives_itself() -> None:
    other = a_key(number=2)
    assert refusal(CALL, signed(key=other)) is Refusal.UNKNOWN_KEY
    named = signed(key=other)
    named["signature-input"] = named["signature-input"].replace(other.key_id, a_key().key_id)
    assert refusal(CALL, named) is Refusal.WRONG_SIGNATURE


def test_a_key_of_one_caller_does_not_speak_for_another() -> None:
    mine, theirs = a_key("cds-task", 2), a_key("migration-coordinator", 1)
    pretended = SigningKey("migration-coordinator", mine.private)
    verifier = a_verifier(mine, theirs)
    assert refusal(CALL, signed(key=pretended), verifier) is Refusal.UNKNOWN_KEY
    assert verifier.verify(CALL.method, CALL.target, signed(key=mine).items(), CALL.body).name == "cds-task"


@pytest.mark.parametrize(
    "key_id", ["", "a", "a/b", "../a/0123456789abcdef", "./0123456789abcdef", "a/0123456789ABCDEF"]
)
def test_a_key_id_of_another_form_is_no_key(key_id: str) -> None:
    class AnyName(SigningKey):
        @property
        def key_id(self) -> str:
            return key_id

    assert refusal(CALL, signed(key=AnyName("a", a_key().private))) in (Refusal.UNKNOWN_KEY, Refusal.MALFORMED)


def test_a_call_is_taken_once() -> None:
    verifier, headers = a_verifier(), signed()
    assert refusal(CALL, headers, verifier) is None
    assert refusal(CALL, headers, verifier) is Refusal.REPEATED
    assert refusal(CALL, signed(), verifier) is None  # the same call, signed anew


def test_whoever_repeats_a_call_with_another_body_does_not_use_up_the_turn_of_the_true_one() -> None:
    verifier, headers = a_verifier(), signed()
    assert refusal(replace(CALL, body=b"{}"), headers, verifier) is Refusal.BODY_CHANGED
    assert refusal(CALL, headers, verifier) is None


def test_what_is_not_proven_takes_no_room() -> None:
    memory, keys = ReplayMemory(clock=lambda: NOW), Keys()
    keys.add(a_key())
    verifier = Verifier(keys, HERE, memory, clock=lambda: NOW)
    for headers in (signed(at=0), signed(key=a_key(number=2)), {}, signed(replace(CALL, audience="other"))):
        assert refusal(CALL, headers, verifier) is not None
    assert len(memory) == 0


class TestTheMemory:
    def test_it_forgets_a_call_only_when_its_time_is_over(self) -> None:
        now = [0.0]
        memory = ReplayMemory(clock=lambda: now[0])
        memory.admit("a/1", "n", until=60)
        for now[0] in (1, 59.9, 60):
            with pytest.raises(CallRefused) as refused:
                memory.admit("a/1", "n", until=60)
            assert refused.value.kind is Refusal.REPEATED
        now[0] = 60.1
        memory.admit("b/1", "n", until=120)
        assert len(memory) == 1

    def test_the_same_nonce_of_another_key_is_another_call(self) -> None:
        memory = ReplayMemory(clock=lambda: 0)
        memory.admit("a/1", "n", until=60)
        memory.admit("a/2", "n", until=60)
        assert len(memory) == 2

    def test_full_it_refuses_and_forgets_nothing_early(self) -> None:
        now = [0.0]
        memory = ReplayMemory(capacity=3, clock=lambda: now[0])
        for number in range(3):
            memory.admit("a/1", str(number), until=60 - number)
        with pytest.raises(CallRefused) as refused:
            memory.admit("a/1", "3", until=60)
        assert refused.value.kind is Refusal.MEMORY_FULL
        with pytest.raises(CallRefused):
            memory.admit("a/1", "0", until=60)
        now[0] = 58.5  # only the third is over
        memory.admit("a/1", "3", until=118)
        assert len(memory) == 3


def test_every_kind_has_one_sentence_and_none_shows_what_was_sent() -> None:
    assert SENTENCES.keys() == set(Refusal)
    for sentence in SENTENCES.values():
        assert re.fullmatch(r"[A-Z][^.!?]*\.", sentence)
    forged = signed(key=a_key(number=7))
    with pytest.raises(CallRefused) as refused:
        a_verifier().verify(CALL.method, CALL.target, forged.items(), CALL.body)
    assert not [value for value in forged.values() if value in str(refused.value)]
