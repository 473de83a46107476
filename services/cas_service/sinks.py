"""Where anchors are kept that whoever administers the database must not be able to rewrite."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from audit_verifier.verify import Anchor, Broken, Keys, Unreadable, lines_of
from services.cas_service.evidence_errors import AnchoringStandsStill

GIT_SECONDS = 30
PUT_RIGHT = "Find out who changed which (coordinator audit verify); restore what was changed"


class FolderSink:
    """`anchors-<chain id>.jsonl` is only ever appended to; `audit-keys-<chain id>.json` beside it only ever grows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._compared = ("", 0, 0)  # for this chain, up to this seq, so many bytes agree with the database
        self._read: tuple[object, list[Anchor]] = (None, [])  # verifying asks for them piece after piece

    def compared(self, chain_id: str) -> int:
        """Up to which seq the file agreed with the database when this process last looked; what is after is needed."""
        chain, seq, size = self._compared
        file = self.file(chain_id)
        return seq if chain == chain_id and file.exists() and file.stat().st_size >= size else 0

    def file(self, chain_id: str) -> Path:
        return self.folder / f"anchors-{chain_id}.jsonl"

    def deliver(self, anchors: Sequence[Anchor], keys: dict[str, Any]) -> int:
        """`anchors` are all after `compared`; what the file lacks is added. Returns how many those were."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._deliver_keys(keys)
            return self._deliver_anchors(str(keys["chain_id"]), anchors)
        except OSError as error:
            reason = f"the anchors' folder cannot be written ({(error.strerror or 'no access').lower()})"
            raise AnchoringStandsStill(reason, "Make it writable for the service") from None

    def anchors(self, chain_id: str) -> list[Anchor]:
        """What is there, whoever signed it; a last line that was cut off by a crash is left out."""
        file = self.file(chain_id)
        try:
            state = (chain_id, file.stat().st_size, file.stat().st_mtime_ns)
            if state != self._read[0]:
                with file.open("rb") as stream:
                    whole = [line for line in lines_of(stream) if line.endswith(b"\n")]
                self._read = (state, [Anchor.read(json.loads(line)) for line in whole])
            return self._read[1]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, Unreadable) as error:
            raise AnchoringStandsStill(f"{file.name} cannot be read ({type(error).__name__})", PUT_RIGHT) from None

    def keys(self, chain_id: str) -> Keys | None:
        """The trusted keys, unless none were delivered for this chain yet."""
        try:
            document = json.loads(self._keys_file(chain_id).read_bytes())
            return Keys(document)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, Unreadable, Broken) as error:
            reason = f"the file of trusted keys cannot be read ({type(error).__name__})"
            raise AnchoringStandsStill(reason, PUT_RIGHT) from None

    def other_audit(self, chain_id: str, public_key: str | None) -> str | None:
        """Another chain whose keys are kept here and include this one; without a key, any other chain."""
        for file in sorted(self.folder.glob("audit-keys-*.json")):
            other = file.stem.removeprefix("audit-keys-")
            if other == chain_id:
                continue
            known = self.keys(other)
            if public_key is None or (known and public_key in [key for _, key, _ in known.keys]):
                return other
        return None

    def _keys_file(self, chain_id: str) -> Path:
        return self.folder / f"audit-keys-{chain_id}.json"

    def _deliver_keys(self, document: dict[str, Any]) -> None:
        """Adds keys and never replaces any: other keys mean that somebody replaced those in the database."""
        chain_id = str(document["chain_id"])
        trusted = self.keys(chain_id)
        try:
            known = Keys(document, trusted)
        except (Broken, Unreadable) as error:
            raise AnchoringStandsStill(f"the keys in the database are not those outside ({error})", PUT_RIGHT) from None
        if trusted is None or len(known.keys) > len(trusted.keys):
            _replace(self._keys_file(chain_id), json.dumps(document, indent=1).encode() + b"\n")

    def _deliver_anchors(self, chain_id: str, anchors: Sequence[Anchor]) -> int:
        seq = self.compared(chain_id)
        size = self._compared[2] if seq else 0
        with self.file(chain_id).open("a+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            stream.seek(size)
            there = stream.read()
            whole = b"".join(anchor_line(anchor) for anchor in anchors)
            # A crash may have left half a line: it is finished, never cut, for a medium that only appends.
            if not whole.startswith(there):
                raise AnchoringStandsStill(_difference(there, whole), PUT_RIGHT)
            stream.write(whole[len(there) :])
            stream.flush()
            os.fsync(stream.fileno())
        self._compared = (chain_id, anchors[-1].seq if anchors else seq, size + len(whole))
        return whole.count(b"\n") - there.count(b"\n")


class GitSink(FolderSink):
    """A commit for each delivery, pushed where the branch has an upstream: there it is out of reach."""

    def deliver(self, anchors: Sequence[Anchor], keys: dict[str, Any]) -> int:
        delivered = super().deliver(anchors, keys)
        chain_id = str(keys["chain_id"])
        names = [self.file(chain_id).name, self._keys_file(chain_id).name]
        self._git("add", "--", *names)
        if self._git("status", "--porcelain", "--", *names):
            # New keys come without an anchor, and after a commit that failed no anchor is new.
            subject = f"Anchor {chain_id} at {self.compared(chain_id)}"
            self._git("commit", "--quiet", "--no-verify", "-m", subject, "--", *names)
        if self._git("for-each-ref", "--format=%(upstream)", "refs/heads"):
            self._git("push", "--quiet", "--no-verify")
        return delivered

    def _git(self, *arguments: str) -> str:
        author = ("-c", "user.name=cas-audit", "-c", "user.email=cas-audit@localhost", "-c", "commit.gpgsign=false")
        command = ["git", "-C", str(self.folder), *author, *arguments]
        environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            reason = f"git {arguments[0]} failed in the anchors' repository ({type(error).__name__})"
            raise AnchoringStandsStill(reason, f"Try git {arguments[0]} there as the user of the service") from None
        return done.stdout.strip()


def anchor_line(anchor: Anchor) -> bytes:
    return json.dumps({"anchor": anchor.line, "signature": anchor.signature}).encode() + b"\n"


def _replace(file: Path, content: bytes) -> None:
    fresh = file.with_suffix(f".{os.getpid()}")
    with fresh.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(file)


def _difference(there: bytes, whole: bytes) -> str:
    if there.startswith(whole):
        return "more anchors are kept outside than the database has: it was put back, or its tail was cut"
    return "the anchors in the database are not those that are kept outside: one of the two was changed"
