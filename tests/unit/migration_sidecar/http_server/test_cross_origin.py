"""Whom a request calls and who sends it, in every spelling."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migration_sidecar.contract.host_names import LOOPBACK, allowed_hosts, host_name
from migration_sidecar.http_server.cross_origin import Headers, is_json, refused_caller
from migration_sidecar.http_server.rate_limited_warnings import INTERVAL_SECONDS, RateLimitedWarnings

OURS = ("127.0.0.1", "localhost", "[::1]")
PORTS = st.one_of(st.just(""), st.integers(0, 65535).map(lambda port: f":{port}"))


def headers(*pairs: tuple[str, str]) -> Headers:
    return Headers({"headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]})


def is_refused(*pairs: tuple[str, str], scheme: str = "http") -> bool:
    return refused_caller(headers(*pairs), scheme, LOOPBACK, "A_SETTING") is not None


def spelt(text: str) -> st.SearchStrategy[str]:
    """In upper and lower case, letter by letter."""
    return st.tuples(*(st.sampled_from((letter.lower(), letter.upper())) for letter in text)).map("".join)


@given(st.sampled_from(OURS).flatmap(spelt), PORTS)
def test_this_machine_is_known_in_any_case_and_at_any_port(name: str, port: str) -> None:
    assert not is_refused(("host", name + port))
    assert not is_refused(("Host", name + port), ("Origin", f"http://{name}{port}"), ("Sec-Fetch-Site", "same-origin"))


ANYTHING = st.text(st.characters(max_codepoint=255), max_size=30)
LABELS = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=12)


@given(st.sampled_from(OURS), ANYTHING, ANYTHING)
def test_only_a_name_on_the_list_is_let_in_whatever_is_written_around_it(name: str, before: str, after: str) -> None:
    host = before + name + after
    known = host_name(host) in LOOPBACK
    assert is_refused(("host", host)) is not known
    if known:
        port = host.lower().removeprefix(name)
        assert before == ""
        assert port == "" or (port[0] == ":" and port[1:].isascii() and port[1:].isdigit())


@given(st.sampled_from(OURS), LABELS, PORTS)
def test_a_name_of_somebody_else_is_refused_however_near_it_is(name: str, label: str, port: str) -> None:
    for host in (f"{name}.{label}", f"{label}.{name}", f"{label}@{name}", f"{name}@{label}", f"{name}.", f"{name}:x"):
        assert is_refused(("host", host + port))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost.",
        "127.0.0.1.",
        "user@127.0.0.1",
        "127.0.0.1:80@evil.example",
        "127.1",
        "0.0.0.0",
        "2130706433",
        "[::ffff:127.0.0.1]",
        "::1",
        "[::1",
        "[::1]evil.example",
        "127.0.0.1, evil.example",
        "127.0.0.1:",
        "127.0.0.1:\xb2",
        "127.0.0.1\x00",
        " 127.0.0.1",
        "http://127.0.0.1",
        "*",
        "",
    ],
)
def test_a_host_that_is_not_ours_is_refused(host: str) -> None:
    assert is_refused(("host", host))


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert is_refused()
    assert is_refused(("host", "127.0.0.1"), ("host", "127.0.0.1"))
    assert is_refused(("host", "127.0.0.1"), ("HOST", "evil.example"))


ORIGINS = st.one_of(
    ANYTHING,
    st.sampled_from(
        ["null", "", "http://evil.example", "http://127.0.0.1.evil.example:8000", "http://127.0.0.1:80000"]
    ),
    st.builds("{}://{}".format, st.sampled_from(["http", "https", "file"]), ANYTHING),
)


@given(ORIGINS)
def test_only_the_same_origin_may_be_named(origin: str) -> None:
    same = origin.lower() == "http://127.0.0.1:8000"
    assert is_refused(("host", "127.0.0.1:8000"), ("origin", origin)) is not same


@pytest.mark.parametrize(
    "origin", ["http://localhost:8000", "http://127.0.0.1", "https://127.0.0.1:8000", "http://127.0.0.1:8000/", "null"]
)
def test_another_name_port_or_scheme_of_this_machine_is_another_origin(origin: str) -> None:
    assert is_refused(("host", "127.0.0.1:8000"), ("origin", origin))


@given(st.one_of(ANYTHING, st.sampled_from(["cross-site", "same-site", "none", "same-origin", "None", "none, none"])))
def test_a_browser_must_say_that_no_other_site_sends_it(site: str) -> None:
    assert is_refused(("host", "localhost"), ("sec-fetch-site", site)) is (site not in ("none", "same-origin"))


@given(ANYTHING)
def test_only_a_type_that_a_page_may_not_send_without_leave_is_json(kind: str) -> None:
    """The three that it may send are told by what stands before the first semicolon."""
    if is_json(headers(("content-type", kind))):
        assert kind.split(";")[0].strip().lower().startswith("application/")
        assert kind.split(";")[0].strip().lower().endswith("json")


@pytest.mark.parametrize(
    "kind", ["text/plain", "text/plain; application/json", "text/json", "application/json, text/plain", "json", ""]
)
def test_what_is_no_json_type_is_none(kind: str) -> None:
    assert not is_json(headers(("content-type", kind)))


def test_more_hosts_can_be_allowed_and_nothing_else() -> None:
    assert allowed_hosts(" Coordinator, 10.1.2.3 ,[FD00::7],") == {"coordinator", "10.1.2.3", "fd00::7"}
    assert refused_caller(headers(("host", "[fd00::7]:8000")), "http", allowed_hosts("fd00::7"), "X") is None
    for wrong in ("*", "a:80", "http://a", "a b", "a@b", "a/b", "ä"):
        with pytest.raises(ValueError, match="separated by commas"):
            allowed_hosts(wrong)


def test_a_refusal_shows_no_more_than_the_beginning_of_what_was_sent() -> None:
    refusal = refused_caller(headers(("host", "x" * 5000 + "\r\n")), "http", LOOPBACK, "A_SETTING")
    assert refusal is not None
    assert len(refusal.problem.detail) < 200
    assert "A_SETTING" in refusal.problem.next_step


def test_a_warning_is_told_at_once_and_then_once_a_minute_with_how_many_there_were() -> None:
    told: list[dict[str, object]] = []
    times = iter((0.0, 1.0, INTERVAL_SECONDS - 1, INTERVAL_SECONDS + 1, INTERVAL_SECONDS + 2))

    class Log:
        def warning(self, _: str, extra: dict[str, object]) -> None:
            told.append(extra)

    warnings = RateLimitedWarnings(Log(), lambda: next(times))  # type: ignore[arg-type]
    for _ in range(5):
        warnings.warn("x", kind="k")
    assert told == [{"kind": "k"}, {"kind": "k", "also": 2}]
