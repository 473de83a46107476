"""For a person: `python -m signed_calls`. Makes, changes and retires keys, and sends one call that is signed."""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from signed_calls.key_folder import NextKey, make_key, private_file, retire_old_keys
from signed_calls.keys import LOOK_SECONDS, BadKey, read_private_file, read_signing_key
from signed_calls.names import InvalidName
from signed_calls.sidecar_token import HEADER, sidecar_token
from signed_calls.signature import Call

FOLDER = Path(".rmbrain/keys")
INVOKED = re.compile(r"/v1\.0/invoke/(?P<application>[^/]+)/method(?P<path>/.*)")
SEEN_SECONDS = 2 * LOOK_SECONDS  # by then every application of this machine has looked
ANSWER_SECONDS = 60


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer: what was signed for one address is sent to no other."""

    def redirect_request(self, *_: object) -> None:
        """Called by urllib."""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, 1 for an answer that is no success, 2 for what cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m signed_calls", description=__doc__)
    parser.add_argument("--keys", type=Path, default=FOLDER, help=f"the folder of the keys ({FOLDER})")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, about in (
        ("show", "print the public key in use, for public_keys in fleet.toml"),
        ("make", "make the key of a caller, if there is none"),
        ("change", "make a new key and use it; the old one stays good until it is retired"),
        (
            "retire",
            "delete the public keys of a caller but the one in use; of the coordinator not before half a minute",
        ),
    ):
        commands.add_parser(command, help=about).add_argument("name")
    call = commands.add_parser("call", help="send one signed call and print the answer")
    call.add_argument("method", choices=["GET", "POST", "DELETE"])
    call.add_argument("url")
    call.add_argument("--as", dest="name", default="operator", help="whose key signs (operator)")
    call.add_argument("--to", help="the app id it is meant for; known where the url is one of Dapr's")
    call.add_argument("--data", default="", help="the body, JSON")
    given = parser.parse_args(arguments)
    try:
        return _call(given) if given.command == "call" else _keys(given.command, given.keys, given.name)
    except (BadKey, InvalidName, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2


def _keys(command: str, folder: Path, name: str) -> int:
    if command == "show":
        file = private_file(folder, name)
        print(read_signing_key(name, read_private_file(file), str(file)).public_text)
    elif command == "make":
        print(make_key(folder, name).key_id)
    elif command == "change":
        make_key(folder, name)
        following = NextKey(folder, name)
        following.publish()
        time.sleep(SEEN_SECONDS)
        print(following.use())
    else:
        for file in retire_old_keys(folder, name):
            print(f"deleted {file}")
    return 0


def _call(given: argparse.Namespace) -> int:
    parts = urlsplit(given.url)
    invoked = INVOKED.fullmatch(parts.path)
    audience = given.to or (invoked and invoked["application"])
    if not audience:
        raise ValueError("Name the application that the call is meant for: --to APP_ID.")
    path = invoked["path"] if invoked else parts.path
    target, body = f"{path}?{parts.query}" if parts.query else path, given.data.encode()
    file = private_file(given.keys, given.name)
    headers = read_signing_key(given.name, read_private_file(file), str(file)).sign(
        Call(given.method, target, audience, body)
    )
    request = urllib.request.Request(given.url, method=given.method, data=body or None, headers=headers)  # noqa: S310
    request.add_header("content-type", "application/json")
    if invoked and (token := sidecar_token(os.environ, given.keys.parent)):
        request.add_header(HEADER, token)
    return _print_answer(request)


def _print_answer(request: urllib.request.Request) -> int:
    # No proxy of the environment: the call is for this machine, or for an address that was named.
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_SECONDS) as answer:
            print(answer.read().decode(errors="replace"))
            return 0
    except urllib.error.HTTPError as refused:
        print(refused.read().decode(errors="replace"))
        return 1


if __name__ == "__main__":
    sys.exit(main())
