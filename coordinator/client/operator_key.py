"""The key of the person or pipeline that runs a command: every call is signed with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from coordinator.client.errors import BadInput
from coordinator.client.state_folders import state_folders
from signed_calls.key_folder import private_file
from signed_calls.keys import BadKey
from signed_calls.names import InvalidName
from signed_calls.signature import Call
from signed_calls.signer import Signer

APP_ID = "migration-coordinator"
OPERATOR, KEY_FILE, KEY_TEXT = "COORDINATOR_OPERATOR", "COORDINATOR_KEY_FILE", "COORDINATOR_KEY"
DEFAULT_OPERATOR = "operator"


def operator_signer(environment: Mapping[str, str] = os.environ, here: Path | None = None) -> Signer | None:
    """Signs as the operator that the environment names; None if there is no key, and then nothing is signed.

    Without a variable the key is the one that `infra up` has made, see `state_folders`. Raises BadInput for a
    key that cannot be used: a command must not go on as nobody.
    """
    name = environment.get(OPERATOR) or DEFAULT_OPERATOR
    try:
        if text := environment.get(KEY_TEXT):
            return Signer.from_text(name, text, KEY_TEXT)
        named = environment.get(KEY_FILE)
        file = Path(named) if named else _made_by_set_up(name, environment, here or Path.cwd())
        signer = None if file is None else Signer.from_file(name, file)
        if signer is not None:
            _ = signer.key_id  # read now, so that a key that cannot be used is told before anything is sent
    except (BadKey, InvalidName) as error:
        raise BadInput(
            "The key that signs your calls cannot be used",
            str(error).rstrip("."),
            f"correct {KEY_FILE} or {OPERATOR}",
        ) from None
    return signer


def _made_by_set_up(name: str, environment: Mapping[str, str], here: Path) -> Path | None:
    for state in state_folders(environment, here):
        if (file := private_file(state / "keys", name)).exists():
            return file
    return None


def signing_hook(signer: Signer, prefix: str) -> Callable[[httpx.Request], None]:
    """For httpx: signs each request anew. `prefix` is the part of the path that the coordinator does not see."""

    def sign(request: httpx.Request) -> None:
        target = request.url.raw_path.decode("ascii").removeprefix(prefix)
        request.headers.update(signer.sign(Call(request.method, target, APP_ID, request.read())))

    return sign
