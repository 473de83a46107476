"""Delivers anchors and keys to places that the database administrator cannot rewrite."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_verifier.verify import Anchor, Broken, Keys, Unreadable, lines_of
from services.cas_service.errors import AnchoringHasStalled

GIT_SECONDS = 30
PUT_BACK = (
    "Put the file back from a copy; if there is none, set another AUDIT_ANCHOR_FOLDER, and compare what is written"
    " there with every export you have"
)
# No program of the clone's owner runs with the rights of this service.
GIT_SETTINGS = (
    "user.name=cas-audit",
    "user.email=cas-audit@localhost",
    "commit.gpgsign=false",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
)
RESTORE = "Find out who changed which (coordinator audit verify); restore what was changed"


class FolderSink:
    """A folder. `anchors-<chain id>.jsonl` is only appended to; `audit-keys-<chain id>.json` only grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._compared = ("", 0, 0)  # chain id, last seq and size in bytes of the part that agreed with the database
        self._read: tuple[object, list[Anchor]] = (None, [])  # a cache: verification reads them for every range

    @property
    def place(self) -> str:
        """The name under which the database knows what was delivered here."""
        return str(self.folder.resolve())

    def compared(self, chain_id: str) -> int:
        """The last event up to which the file agreed with the database when this process last compared them, or 0.

        `deliver` needs the anchors after it.
        """
        chain, seq, _ = self._compared
        return seq if chain == chain_id else 0

    def missing(self, chain_id: str, delivered: int) -> str | None:
        """Which of the anchors that were delivered here are gone, as a clause; None where none is.

        `delivered` is what the database says; what this process delivered counts as well.
        """
        kept, delivered = self.anchors(chain_id), max(delivered, self.compared(chain_id))
        last = kept[-1].seq if kept else 0
        if last >= delivered:
            return None
        return f"anchors up to event {delivered} were delivered, and those that are kept outside end at {last}"

    def file(self, chain_id: str) -> Path:
        """The file of the anchors of this audit."""
        return self.folder / f"anchors-{chain_id}.jsonl"

    def deliver(self, anchors: Sequence[Anchor], keys: dict[str, Any], delivered: int = 0) -> int:
        """Appends the missing ones of `anchors`, which are all after `compared`. Returns how many were missing.

        Raises AnchoringStandsStill when the folder cannot be written, holds other anchors or keys than the database,
        or no longer holds what was delivered: nothing is written again in silence.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if gone := self.missing(str(keys["chain_id"]), delivered):
                raise AnchoringHasStalled(gone, PUT_BACK)
            self._deliver_keys(keys)
            return self._deliver_anchors(str(keys["chain_id"]), anchors)
        except OSError as error:
            reason = f"the anchors' folder cannot be written ({(error.strerror or 'no access').lower()})"
            raise AnchoringHasStalled(reason, "Make it writable for the service") from None

    def trust(self, document: dict[str, Any]) -> None:
        """Writes keys that replace a lost one; a person decided so. Those that are trusted already must come first.

        Raises AnchoringHasStalled when they do not, or the folder cannot be written.
        """
        chain_id = str(document["chain_id"])
        trusted, known = self.keys(chain_id), Keys(document)
        before = trusted.keys if trusted else []
        if before != known.keys[: len(before)]:
            raise AnchoringHasStalled("the keys in the database are not those outside", RESTORE)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if len(known.keys) > len(before):
                _replace(self._keys_file(chain_id), _as_file(document))
        except OSError as error:
            reason = f"the anchors' folder cannot be written ({(error.strerror or 'no access').lower()})"
            raise AnchoringHasStalled(reason, "Make it writable for whoever runs this") from None

    def anchors(self, chain_id: str) -> list[Anchor]:
        """All complete anchors in the file. Does not check signatures; skips a last line that a crash cut off."""
        file = self.file(chain_id)
        try:
            state = (chain_id, file.stat().st_size, file.stat().st_mtime_ns)
            if state != self._read[0]:
                with file.open("rb") as stream:
                    complete = [line for line in lines_of(stream) if line.endswith(b"\n")]
                self._read = (state, [Anchor.read(json.loads(line)) for line in complete])
            return self._read[1]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, Unreadable) as error:
            raise AnchoringHasStalled(f"{file.name} cannot be read ({type(error).__name__})", RESTORE) from None

    def keys(self, chain_id: str) -> Keys | None:
        """The trusted keys, or None before the first delivery for this chain. Raises AnchoringStandsStill."""
        try:
            document = json.loads(self._keys_file(chain_id).read_bytes())
            return Keys(document)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, Unreadable, Broken) as error:
            reason = f"the file of trusted keys cannot be read ({type(error).__name__})"
            raise AnchoringHasStalled(reason, RESTORE) from None

    def other_audit(self, chain_id: str, public_key: str | None) -> str | None:
        """The id of another chain in this folder whose keys include this public key.

        Without a key: of any other chain.
        """
        for file in sorted(self.folder.glob("audit-keys-*.json")):
            other = file.stem.removeprefix("audit-keys-")
            if other == chain_id:
                continue
            other_keys = self.keys(other)
            if public_key is None or (other_keys and public_key in [key for _, key, _ in other_keys.keys]):
                return other
        return None

    def _keys_file(self, chain_id: str) -> Path:
        return self.folder / f"audit-keys-{chain_id}.json"

    def _deliver_keys(self, document: dict[str, Any]) -> None:
        """Refuses keys that do not extend the trusted ones: someone replaced keys in the database."""
        chain_id = str(document["chain_id"])
        trusted = self.keys(chain_id)
        try:
            known = Keys(document, trusted)
        except (Broken, Unreadable) as error:
            raise AnchoringHasStalled(f"the keys in the database are not those outside ({error})", RESTORE) from None
        if trusted is None or len(known.keys) > len(trusted.keys):
            _replace(self._keys_file(chain_id), _as_file(document))

    def _deliver_anchors(self, chain_id: str, anchors: Sequence[Anchor]) -> int:
        seq = self.compared(chain_id)
        size = self._compared[2] if seq else 0
        with self.file(chain_id).open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(size)
            stored = stream.read()
            wanted = b"".join(anchor_line(anchor) for anchor in anchors)
            # A crash may have left half a line. It is completed, not cut: some media can only append.
            if not wanted.startswith(stored):
                raise AnchoringHasStalled(_difference(stored, wanted), RESTORE)
            stream.write(wanted[len(stored) :])
            stream.flush()
            os.fsync(stream.fileno())
        self._compared = (chain_id, anchors[-1].seq if anchors else seq, size + len(wanted))
        return wanted.count(b"\n") - stored.count(b"\n")


class GitSink(FolderSink):
    """A git repository: one commit for each delivery. It is pushed where the branch has an upstream."""

    def deliver(self, anchors: Sequence[Anchor], keys: dict[str, Any], delivered: int = 0) -> int:
        """Like FolderSink.deliver, then commits and pushes. Raises AnchoringStandsStill when git fails."""
        added = super().deliver(anchors, keys, delivered)
        chain_id = str(keys["chain_id"])
        names = [self.file(chain_id).name, self._keys_file(chain_id).name]
        self._git("add", "--", *names)
        if self._git("status", "--porcelain", "--", *names):
            # Not only when anchors were added: new keys come without one, and an earlier commit may have failed.
            subject = f"Anchor {chain_id} at {self.compared(chain_id)}"
            self._git("commit", "--quiet", "--no-verify", "-m", subject, "--", *names)
        if self._git("for-each-ref", "--format=%(upstream)", "refs/heads"):
            self._git("push", "--quiet", "--no-verify")
        return added

    def _git(self, *arguments: str) -> str:
        settings = [part for setting in GIT_SETTINGS for part in ("-c", setting)]
        command = ["git", "-C", str(self.folder), *settings, *arguments]
        # Another GIT_DIR or GIT_INDEX_FILE would have the anchors committed elsewhere and called delivered.
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        environment = {**inherited, "GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"git {arguments[0]} failed in the anchors' repository ({type(error).__name__})"
            raise AnchoringHasStalled(reason, f"Try git {arguments[0]} there as the user of the service") from None
        return done.stdout.strip()


def anchor_line(anchor: Anchor) -> bytes:
    """One line of an anchors file."""
    return json.dumps({"anchor": anchor.line, "signature": anchor.signature}).encode() + b"\n"


def _as_file(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"


def _replace(file: Path, content: bytes) -> None:
    unfinished = file.with_suffix(f".{os.getpid()}")
    with unfinished.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    unfinished.replace(file)


def _difference(stored: bytes, wanted: bytes) -> str:
    if stored.startswith(wanted):
        return "more anchors are kept outside than the database has: it was put back, or its tail was cut"
    return "the anchors in the database are not those that are kept outside: one of the two was changed"
