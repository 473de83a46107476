"""Lets `dapr publish` and `dapr invoke` call a sidecar that demands a token. Dapr's own CLI cannot send one.

It can call through a socket in a folder, though. So it gets a private one that lives as long as the command, and what
comes through it goes on to the sidecar with the token of that sidecar. Called by .venv/bin/dapr.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import UnixStreamServer

import psutil

from scripts.infrastructure.fleet_processes import is_program_here, option
from scripts.infrastructure.ports import LOOPBACK
from signed_calls.sidecar_token import HEADER, VARIABLE

NAMES = {"publish": ("--publish-app-id", "-i"), "invoke": ("--app-id", "-a")}
SOCKET_OPTIONS = ("--unix-domain-socket", "-u")
# The CLI says this of every socket, and nobody asked for one.
REMARK = b"Unix domain sockets are currently a preview feature"
SECONDS = 60


def main(arguments: Sequence[str]) -> int:
    """Runs Dapr's CLI with these arguments. Returns its exit code."""
    command = [str(Path(sys.prefix) / "dapr" / "dapr"), *arguments]
    application = _first_option(arguments, NAMES.get(arguments[0], ()))
    found = sidecar(application) if application and not _first_option(arguments, SOCKET_OPTIONS) else None
    if application is None or found is None:
        return subprocess.run(command, check=False).returncode
    with tempfile.TemporaryDirectory(prefix="dapr-") as folder:  # only its owner can enter it
        server = UnixStreamServer(f"{folder}/dapr-{application}-http.socket", _relay_to(*found))
        threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
        done = subprocess.run([*command, "--unix-domain-socket", folder], stdout=subprocess.PIPE, check=False)
        server.shutdown()
        server.server_close()
    sys.stdout.buffer.writelines(line for line in done.stdout.splitlines(keepends=True) if REMARK not in line)
    return done.returncode


def sidecar(application: str) -> tuple[int, str] | None:
    """HTTP port and token of the first sidecar of ours with this app id, as the CLI takes it; None without a token."""
    for process in psutil.process_iter():
        if not is_program_here(process, "daprd"):
            continue
        try:
            words, token = process.cmdline(), process.environ().get(VARIABLE)
        except psutil.Error:
            continue
        port = option(words, "--dapr-http-port")
        if option(words, "--app-id") == application and port is not None:
            return (int(port), token) if token else None
    return None


def _first_option(arguments: Sequence[str], names: Sequence[str]) -> str | None:
    return next((value for name in names if (value := option(arguments, name)) is not None), None)


def _relay_to(port: int, token: str) -> type[BaseHTTPRequestHandler]:
    class Relay(BaseHTTPRequestHandler):
        def pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {HEADER: token, "content-type": self.headers.get("content-type", "application/json")}
            status, content = _ask(port, self.command, self.path, body, headers)
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            with suppress(BrokenPipeError):  # the CLI hangs up when it has read a status without a body
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on  # noqa: N815 - as BaseHTTPRequestHandler calls them

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    return Relay


def _ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    """Status and body of the sidecar's answer; 502 if it gives none."""
    connection = HTTPConnection(LOOPBACK, port, timeout=SECONDS)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as error:
        return 502, str(error).encode()
    finally:
        connection.close()


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
