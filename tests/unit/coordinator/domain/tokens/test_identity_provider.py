"""What [oidc] and oidc_subject may say. What could be misunderstood stops the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.domain.catalog_file import read_catalog
from coordinator.domain.permissions import NotPermitted, Permission, Permissions, Proof, Requester
from coordinator.errors import BadCatalog
from tests.unit.coordinator.fakes import CATALOG

GOOD = {"issuer": '"https://login.bank.example"', "audience": '"coordinator"', "jwks": '"keys.json"'}


def oidc(**changes: str) -> str:
    entries = {name: value for name, value in (GOOD | changes).items() if value != "absent"}
    return "[oidc]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())


def operator(name: str, subject: str) -> str:
    return f'[[operators]]\nname = "{name}"\nmay = ["request"]\noidc_subject = {subject}\n'


@pytest.mark.parametrize(
    ("jwks", "address"),
    [
        ("keys.json", None),
        ("/etc/issuer/keys.json", None),
        ("https://login.bank.example/keys?x=1", "https://login.bank.example/keys?x=1"),
        ("http://127.0.0.1:8080/keys", "http://127.0.0.1:8080/keys"),
        ("http://[::1]:8080/keys", "http://[::1]:8080/keys"),
    ],
)
def test_keys_are_in_a_file_or_at_an_address(jwks: str, address: str | None) -> None:
    provider = read_catalog(CATALOG + oidc(jwks=f'"{jwks}"')).oidc
    assert provider is not None
    assert provider.address == address
    if address is None:
        assert provider.file_in(Path("/fleet")) == Path("/fleet") / jwks


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "absent"},
        {"audience": "absent"},
        {"jwks": "absent"},
        {"issuer": '""'},
        {"issuer": "7"},
        {"issuer": '"https://login.bank.example/a b"'},
        {"issuer": f'"{"x" * 256}"'},
        {"issuer": '"a\\nb"'},
        {"audience": '""'},
        {"audience": '["a", "b"]'},
        {"jwks": '""'},
        {"jwks": '"keys\\u0000.json"'},
        {"jwks": '"http://login.bank.example/keys"'},
        {"jwks": '"http://127.0.0.1.bank.example/keys"'},
        {"jwks": '"https://ada:secret@login.bank.example/keys"'},
        {"jwks": '"http://localhost@bank.example/keys"'},
        {"jwks": '"https://login.bank.example/keys#1"'},
        {"jwks": '"https://"'},
        {"jwks": '"https:keys"'},
        {"jwks": '"https://login.bank.example:x/keys"'},
        {"jwks": '"file:///etc/keys.json"'},
        {"jwks": '"ftp://127.0.0.1/keys"'},
        {"surprise": "1"},
    ],
)
def test_an_issuer_that_could_be_misunderstood_stops_the_start(changes: dict[str, str]) -> None:
    with pytest.raises(BadCatalog, match="oidc") as refused:
        read_catalog(CATALOG + oidc(**changes))
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "subject", ['""', "7", '" ada"', '"ada "', '"ada\\n"', '"\\u001b[2J"', '"\\u0430"', f'"{"x" * 256}"']
)
def test_a_subject_that_could_be_misread_stops_the_start(subject: str) -> None:
    with pytest.raises(BadCatalog, match="oidc_subject"):
        read_catalog(CATALOG + oidc() + operator("ada", subject))


def test_a_subject_needs_an_issuer_and_belongs_to_one_operator() -> None:
    with pytest.raises(BadCatalog, match=r"ada has an oidc_subject, but \[oidc\] is missing"):
        read_catalog(CATALOG + operator("ada", '"auth0|ada"'))
    with pytest.raises(BadCatalog, match=r"oidc_subject auth0\|ada more than once"):
        read_catalog(CATALOG + oidc() + operator("ada", '"auth0|ada"') + operator("bob", '"auth0|ada"'))


def test_a_subject_is_compared_letter_by_letter() -> None:
    who = Permissions(read_catalog(CATALOG + oidc() + operator("ada", '"auth0|ada"')).operators)
    assert who.name_of_subject("auth0|ada") == "ada"
    assert [who.name_of_subject(other) for other in ("auth0|Ada", "auth0|ada ", "ada", "")] == [None] * 4


@pytest.mark.parametrize("permission", Permission)
def test_a_subject_that_is_no_operators_may_nothing(permission: Permission) -> None:
    nobody = Requester(Proof.TOKEN, issuer="https://login.bank.example", subject="auth0|eve")
    with pytest.raises(NotPermitted, match=r"auth0\|eve"):
        Permissions().require(nobody, permission)
