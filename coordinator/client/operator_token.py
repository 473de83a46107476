"""The token of the person or pipeline that runs a command: sent with every call instead of a signature."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from coordinator.client.errors import BadInput
from coordinator.client.operator_key import KEY_FILE, KEY_TEXT
from migration_sidecar.contract.host_names import LOOPBACK

TOKEN_FILE, TOKEN_TEXT = "COORDINATOR_TOKEN_FILE", "COORDINATOR_TOKEN"
LONGEST_TOKEN = 8 * 1024 - len("Bearer ")  # the coordinator reads no longer header
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

ReadToken = Callable[[], str]


def is_token_named(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a variable says that calls are made with a token."""
    return bool(environment.get(TOKEN_TEXT) or environment.get(TOKEN_FILE))


def operator_token(environment: Mapping[str, str] = os.environ) -> ReadToken | None:
    """Reads the token that the environment names, each time it is called; None if none is named.

    A file is read at each call, because whoever writes it renews it. Raises BadInput for a token that cannot be used,
    and where it is not clear with what the call is to be made.
    """
    if not is_token_named(environment):
        return None
    named = [name for name in (TOKEN_TEXT, TOKEN_FILE, KEY_TEXT, KEY_FILE) if environment.get(name)]
    if len(named) > 1:
        raise BadInput(
            "It is not clear how to make the calls",
            f"{' and '.join(named)} are set",
            "set one of them and unset the rest",
        )
    read = _reader(environment)
    _ = read()  # now, so that a token that cannot be used is told before anything is sent
    return read


def token_hook(read: ReadToken) -> Callable[[httpx.Request], None]:
    """For httpx: sends the token with each request. Raises BadInput where others could read it on the way."""

    def send(request: httpx.Request) -> None:
        if request.url.scheme != "https" and request.url.host not in LOOPBACK:
            raise BadInput(
                "The token is not sent",
                "the address begins with http:// and is on another machine, so others could read the token and use it",
                "call an address that begins with https://, or the sidecar on this machine",
            )
        request.headers["authorization"] = f"Bearer {read()}"

    return send


def _reader(environment: Mapping[str, str]) -> ReadToken:
    if text := environment.get(TOKEN_TEXT):
        return lambda: _require_form(text, TOKEN_TEXT)
    file = Path(environment[TOKEN_FILE])
    return lambda: _require_form(_content(file), TOKEN_FILE)


def _content(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(LONGEST_TOKEN + 64).decode("ascii", errors="replace")
    except OSError as error:
        raise BadInput(
            "The token of your calls cannot be read", f"{file}: {error.strerror}", f"correct {TOKEN_FILE}"
        ) from None


def _require_form(text: str, place: str) -> str:
    token = text.strip()
    if len(token) > LONGEST_TOKEN or not _FORM.fullmatch(token):
        raise BadInput(
            "The token of your calls cannot be used",
            f"what {place} names is no JWT of at most {LONGEST_TOKEN} characters",
            f"correct {place}",
        )
    return token
