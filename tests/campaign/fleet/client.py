"""Whoever asks the fleet for something during a campaign: repeats until there is an answer, and remembers it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx

from coordinator.client.operator_key import signing_hook
from scripts.infrastructure.fleet import COORDINATOR
from signed_calls.key_folder import make_key
from signed_calls.signer import Signer
from tests.campaign.fleet.spec import Asked
from tests.end_to_end.ground import Ground

PATIENCE_SECONDS = 90.0
ANSWER_SECONDS = 3.0  # a sidecar that stands still must not keep the campaign from waking it


@dataclass
class Client:
    """`accepted` has the digests that were accepted by their request id; an event is accepted when it is published."""

    ground: Ground
    accepted: dict[str, list[str]] = field(default_factory=dict)
    published: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    given: list[tuple[str, str, float]] = field(default_factory=list)  # run, verb, and when it was answered
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._prefix = f"/v1.0/invoke/{COORDINATOR}/method"
        key = make_key(self.ground.infrastructure.settings.keys_folder, "operator")
        hooks: dict[str, list[Any]] = {"request": [signing_hook(Signer(lambda: key), self._prefix)]}
        self._http = httpx.Client(headers=self.ground.token, timeout=ANSWER_SECONDS, verify=False, event_hooks=hooks)

    def close(self) -> None:
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """As the operator: one client for all, because making one costs more than what it asks."""
        return self._http.request(method, f"{self.ground.sidecar}{self._prefix}{path}", **more)

    def request(self, asked: Asked) -> None:
        """All copies at the same moment."""
        bodies = [asked.body] * (1 + asked.copies)
        if asked.conflicting:
            bodies.append({**asked.body, "reason": "the same id, another body"})
        one = self._publish if asked.by_event else self._call
        with ThreadPoolExecutor(len(bodies)) as pool:
            list(pool.map(one, bodies))

    def run(self, request_id: str) -> dict[str, Any] | None:
        """The record, or None while nobody answers or nothing is known."""
        try:
            answer = self._ask("GET", f"/migrations/{request_id}")
            return dict(answer.json()) if answer.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, ValueError):
            return None

    def command(self, request_id: str, verb: str, number: int, **more: Any) -> dict[str, Any] | None:
        """The answer: a run, or the problem of a refusal; None while nobody answers."""
        body = {"reason": "as the campaign wants", "command_id": f"{request_id}-{verb}-{number}", **more}
        try:
            answer = self._ask("POST", f"/migrations/{request_id}/{verb}", json=body)
            document: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError):
            return None
        if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR or answer.status_code == httpx.codes.NOT_FOUND:
            return None
        self.given.append((request_id, verb if answer.is_success else f"{verb} {document.get('code')}", time.time()))
        return document

    def _call(self, body: dict[str, Any]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                answer = self._ask("POST", "/migrations", json=body)
                document = answer.json()
            except (httpx.HTTPError, ValueError):
                time.sleep(0.2)
                continue
            if answer.status_code == httpx.codes.ACCEPTED:
                self.accepted.setdefault(body["request_id"], []).append(document["request_digest"])
                return
            if answer.status_code == httpx.codes.CONFLICT:
                self.refused.append(body["request_id"])
                return
            if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                self.problems.append(f"C2: {body['request_id']} was refused: {document}")
                return
            time.sleep(0.2)
        self.problems.append(f"C1: nobody took {body['request_id']} in {PATIENCE_SECONDS:.0f} s")

    def _publish(self, body: dict[str, Any]) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            try:
                self.ground.publish(body)
                self.published.append(body["request_id"])
                return
            except httpx.HTTPError:
                time.sleep(0.2)
        self.problems.append(f"C1: {body['request_id']} could not be published in {PATIENCE_SECONDS:.0f} s")
