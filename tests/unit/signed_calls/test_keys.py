"""Keys in files: who may read them, how they change under a running application, and what no file can do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from signed_calls.key_folder import NextKey, make_key, private_file, public_folder, publish, retire_old_keys
from signed_calls.keys import BadKey, PublicKeys, SigningKeyFile, read_private_file, read_signing_key
from signed_calls.names import InvalidName, split_key_id
from signed_calls.settings import BadCallSettings, read_call_settings
from signed_calls.signer import Signer
from tests.unit.signed_calls.callers import CALL


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def finds(keys: PublicKeys, key_id: str) -> bool:
    named = split_key_id(key_id)
    assert named is not None
    return keys.find(*named) is not None


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o7777)


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    before = os.umask(0)
    try:
        made = make_key(folder, "cds-client")
    finally:
        os.umask(before)
    content = private_file(folder, "cds-client").read_bytes()
    again = make_key(folder, "cds-client")
    assert again.key_id == made.key_id
    assert private_file(folder, "cds-client").read_bytes() == content
    assert mode(private_file(folder, "cds-client")) == "0o600"
    assert {
        mode(each) for each in (folder, folder / "private", folder / "public", folder / "public" / "cds-client")
    } == {"0o700"}
    names = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    assert names == ["private/cds-client.pem", f"public/{made.key_id}.pub"]
    assert finds(PublicKeys(public_folder(folder)), made.key_id)


def test_the_public_file_comes_back_if_it_was_lost(tmp_path: Path) -> None:
    made = make_key(tmp_path, "a")
    (tmp_path / "public" / f"{made.key_id}.pub").unlink()
    make_key(tmp_path, "a")
    assert finds(PublicKeys(public_folder(tmp_path)), made.key_id)


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", ".hidden", "a\0", "a b", "é", "x" * 65, "a\n"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidName):
        make_key(tmp_path / "keys", name)
    outside = make_key(tmp_path / "outside", "outside")
    digits = outside.key_id.partition("/")[2]
    (tmp_path / "keys").mkdir()
    for given in (name, "../outside/public/outside", "..", "."):
        assert PublicKeys(tmp_path / "keys").find(given, digits) is None


@pytest.mark.parametrize("bits", [0o604, 0o640, 0o620, 0o602, 0o601, 0o644, 0o660, 0o666])
def test_a_private_key_that_others_can_read_or_change_is_refused(tmp_path: Path, bits: int) -> None:
    make_key(tmp_path, "a")
    file = private_file(tmp_path, "a")
    file.chmod(bits)
    with pytest.raises(BadKey, match="mode 0600"):
        read_private_file(file)
    file.chmod(0o400)
    assert read_private_file(file)


def test_roots_file_may_be_read_by_our_group_as_kubernetes_mounts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path, "a")
    file = private_file(tmp_path, "a")
    if os.geteuid() != 0:
        pytest.skip("only root can make a file of root's")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    file.chmod(0o440)
    assert read_private_file(file)
    for bits in (0o444, 0o460, 0o450):
        file.chmod(bits)
        with pytest.raises(BadKey):
            read_private_file(file)


def test_what_is_no_key_of_ours_is_refused_without_its_content(tmp_path: Path) -> None:
    pkcs8 = (Encoding.PEM, PrivateFormat.PKCS8)
    other_kind = generate_private_key(SECP256R1()).private_bytes(*pkcs8, NoEncryption())
    locked = Ed25519PrivateKey.generate().private_bytes(*pkcs8, BestAvailableEncryption(b"x"))
    for pem in (
        b"",
        b"Cnry no key",
        other_kind,
        locked,
        b"-----BEGIN PRIVATE KEY-----\nCnry\n-----END PRIVATE KEY-----\n",
    ):
        with pytest.raises(BadKey) as refused:
            read_signing_key("a", pem, "CALL_SIGNING_KEY")
        assert "CALL_SIGNING_KEY" in str(refused.value)
        assert "Cnry" not in str(refused.value)
    with pytest.raises(BadKey, match="cannot be read"):
        read_private_file(tmp_path / "absent.pem")
    with pytest.raises(BadKey):
        read_private_file(tmp_path)


def test_neither_a_key_nor_its_settings_show_it_in_a_traceback(tmp_path: Path) -> None:
    key = make_key(tmp_path, "a")
    pem = private_file(tmp_path, "a").read_text()
    assert "private" not in repr(key)
    assert "PRIVATE" not in repr(read_call_settings({"CALL_SIGNING_KEY": pem}))


class TestPublicKeysUnderARunningApplication:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def keys(self, tmp_path: Path, clock: Clock) -> PublicKeys:
        return PublicKeys(public_folder(tmp_path), clock)

    def test_a_new_key_is_known_after_a_second_at_the_latest(
        self, tmp_path: Path, keys: PublicKeys, clock: Clock
    ) -> None:
        old = make_key(tmp_path, "a")
        assert finds(keys, old.key_id)
        following = NextKey(tmp_path, "a")
        new_id = f"a/{following.publish().stem}"
        assert not finds(keys, new_id)  # within the second nothing is read, whatever strangers send
        clock.now = 1.0
        assert finds(keys, new_id)
        assert finds(keys, old.key_id)

    def test_a_retired_key_is_unknown_after_a_second_at_the_latest(
        self, tmp_path: Path, keys: PublicKeys, clock: Clock
    ) -> None:
        old = make_key(tmp_path, "a")
        following = NextKey(tmp_path, "a")
        following.publish()
        new_id = following.use()
        assert finds(keys, old.key_id)
        assert [file.stem for file in retire_old_keys(tmp_path, "a")] == [old.key_id.partition("/")[2]]
        clock.now = 1.0
        assert not finds(keys, old.key_id)
        assert finds(keys, new_id)

    def test_a_key_that_is_written_over_in_place_is_noticed(
        self, tmp_path: Path, keys: PublicKeys, clock: Clock
    ) -> None:
        """The folder itself does not change then."""
        mine = make_key(tmp_path, "a")
        file = public_folder(tmp_path) / f"{mine.key_id}.pub"
        assert finds(keys, mine.key_id)
        other = make_key(tmp_path / "elsewhere", "a")
        file.write_bytes((tmp_path / "elsewhere" / "public" / f"{other.key_id}.pub").read_bytes())
        os.utime(file, ns=(1, 1))
        clock.now = 1.0
        assert not finds(keys, mine.key_id)
        assert finds(keys, other.key_id)  # the id comes from the key, not from the name of the file

    def test_a_file_that_is_no_key_spoils_no_other(self, tmp_path: Path, keys: PublicKeys) -> None:
        mine = make_key(tmp_path, "a")
        folder = public_folder(tmp_path) / "a"
        (folder / "0.pub").write_text("no key")
        (folder / "1.pub").mkdir()
        (folder / "2.pub").symlink_to("nowhere")
        (folder / "notes.txt").write_text("x")
        assert finds(keys, mine.key_id)

    def test_names_that_nobody_has_are_not_remembered(self, tmp_path: Path, keys: PublicKeys) -> None:
        make_key(tmp_path, "a")
        for number in range(100):
            assert keys.find(f"stranger-{number}", "0" * 16) is None
        assert keys.find("a", "0" * 16) is None
        assert list(keys._callers) == ["a"]

    def test_a_key_filed_under_a_second_name_speaks_for_both(self, tmp_path: Path, keys: PublicKeys) -> None:
        mine = make_key(tmp_path, "new-name")
        publish(tmp_path, "former-name", mine)
        digits = mine.key_id.partition("/")[2]
        assert keys.find("former-name", digits) is not None
        assert keys.find("other", digits) is None


class TestTheOwnKey:
    def test_a_replaced_file_is_used_after_a_second_at_the_latest(self, tmp_path: Path) -> None:
        clock = Clock()
        old = make_key(tmp_path, "a")
        own = SigningKeyFile("a", private_file(tmp_path, "a"), clock)
        assert own.current().key_id == old.key_id
        following = NextKey(tmp_path, "a")
        following.publish()
        new_id = following.use()
        assert mode(private_file(tmp_path, "a")) == "0o600"
        clock.now = 1.0
        assert own.current().key_id == new_id
        assert not [file for file in (tmp_path / "private").iterdir() if file.name != "a.pem"]

    def test_a_file_that_becomes_unusable_leaves_the_last_key_until_it_is_mended(self, tmp_path: Path) -> None:
        clock = Clock()
        old = make_key(tmp_path, "a")
        file = private_file(tmp_path, "a")
        own = SigningKeyFile("a", file, clock)
        assert own.current().key_id == old.key_id
        following = NextKey(tmp_path, "a")
        following.publish()
        new_id = following.use()
        file.chmod(0o644)
        clock.now = 1.0
        assert own.current().key_id == old.key_id
        file.chmod(0o600)
        clock.now = 2.0
        assert own.current().key_id == new_id
        file.unlink()
        clock.now = 3.0
        assert own.current().key_id == new_id
        with pytest.raises(BadKey):
            SigningKeyFile("a", file).current()

    def test_it_comes_from_a_file_or_from_a_variable(self, tmp_path: Path) -> None:
        made = make_key(tmp_path, "a")
        file = private_file(tmp_path, "a")
        for setting, value in (("CALL_SIGNING_KEY_FILE", str(file)), ("CALL_SIGNING_KEY", file.read_text())):
            signer = read_call_settings({setting: value}).signer("a")
            assert isinstance(signer, Signer)
            assert signer.key_id == made.key_id
            assert made.key_id in signer.sign(CALL)["signature-input"]
        assert read_call_settings({}).signer("a") is None

    def test_settings_that_contradict_or_are_misspelt_are_refused_without_their_value(self) -> None:
        for environment in (
            {"CALL_SIGNING_KEY_FILE": "Cnry", "CALL_SIGNING_KEY": "Cnry"},
            {"CALL_SIGNATURES": "Cnry"},
            {"CALL_SIGNATURES": "Off"},
            {"CALL_READS": "Cnry"},
        ):
            with pytest.raises(BadCallSettings) as refused:
                read_call_settings(environment)
            assert "Cnry" not in str(refused.value)

    def test_signatures_are_required_unless_somebody_says_otherwise(self) -> None:
        assert read_call_settings({}).required
        assert read_call_settings({"CALL_SIGNATURES": ""}).required
        assert not read_call_settings({"CALL_SIGNATURES": "off"}).required

    def test_reads_are_signed_only_where_signatures_are_required(self) -> None:
        assert read_call_settings({"CALL_SIGNATURES": "required", "CALL_READS": "signed"}).reads_required
        assert not read_call_settings({"CALL_SIGNATURES": "off", "CALL_READS": "signed"}).reads_required
        assert not read_call_settings({"CALL_SIGNATURES": "required"}).reads_required
