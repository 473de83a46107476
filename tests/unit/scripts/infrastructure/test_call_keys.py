"""Every application of the fleet has a key, dapr.yaml and a rendered copy lead to it, and a rename keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.infrastructure import call_keys
from scripts.infrastructure.call_keys import COORDINATOR, OPERATOR, make_call_keys
from scripts.infrastructure.catalog import FleetMember, members
from scripts.infrastructure.errors import InfrastructureError
from scripts.infrastructure.render import Rendering, read_common, read_fleet, render_fleet
from scripts.infrastructure.settings import ROOT, Settings
from signed_calls.keys import PublicKeys, read_private_file, read_signing_key
from signed_calls.names import split_key_id

COMMITTED = ROOT / "dapr.yaml"
EVERYBODY = [COORDINATOR, OPERATOR, *(member.name for member in members())]


def test_everybody_gets_a_key_that_is_known_under_the_own_name_and_kept(tmp_path: Path) -> None:
    make_call_keys(tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    make_call_keys(tmp_path)
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    public = PublicKeys(tmp_path / "public")
    for name in EVERYBODY:
        file = tmp_path / "private" / f"{name}.pem"
        named = split_key_id(read_signing_key(name, read_private_file(file), str(file)).key_id)
        assert named is not None
        assert public.find(*named) is not None
    assert len({path for path in before if path.suffix == ".pem"}) == len(EVERYBODY)


def test_a_renamed_service_speaks_for_its_former_name_and_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = [FleetMember("cds-fee", "f", "d", ("cds-charge",)), FleetMember("cds-task", "f", "d")]
    monkeypatch.setattr(call_keys, "members", lambda: fleet)
    make_call_keys(tmp_path)
    (filed,) = (tmp_path / "public" / "cds-charge").iterdir()
    assert filed.name == next((tmp_path / "public" / "cds-fee").iterdir()).name


def test_a_key_that_cannot_be_used_is_told_in_one_sentence(tmp_path: Path) -> None:
    make_call_keys(tmp_path)
    (tmp_path / "private" / "operator.pem").chmod(0o644)
    with pytest.raises(InfrastructureError, match=r"operator\.pem"):
        make_call_keys(tmp_path)


def test_every_application_demands_signatures_and_has_its_own_key() -> None:
    common = read_common(COMMITTED)["env"]
    assert (common["CALL_SIGNATURES"], common["CALL_KEYS"]) == ("required", ".rmbrain/keys/public")
    for name, application in read_fleet(COMMITTED).items():
        assert application["env"]["CALL_SIGNING_KEY_FILE"] == f".rmbrain/keys/private/{name}.pem"


def test_a_rendered_copy_uses_the_keys_of_its_own_state_directory(tmp_path: Path) -> None:
    settings = Settings.private(tmp_path / "state")
    file = render_fleet(tmp_path / "fleet", Rendering(settings, root=tmp_path / "elsewhere", free_ports=True))
    assert read_common(file)["env"]["CALL_KEYS"] == str(tmp_path / "state" / "keys" / "public")
    for name, application in read_fleet(file).items():
        own = tmp_path / "state" / "keys" / "private" / f"{name}.pem"
        assert application["env"]["CALL_SIGNING_KEY_FILE"] == str(own)
