"""Calls to daprd's internal gRPC port, made by hand: what one daprd asks another, from somebody who is no daprd.

Dapr's SDK has no classes for dapr/proto/internals/v1/service_invocation.proto, so the few fields are encoded here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from dapr.proto import common_v1

from scripts.infrastructure.ports import LOOPBACK

SERVICE = "/dapr.proto.internals.v1.ServiceInvocation"
SECONDS = 30
VARINT, BYTES = 0, 2
Shown = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What came back: the status of the application and its body, or that of daprd itself."""

    status: int
    body: Any = None
    refused_by_daprd: str | None = None

    @property
    def code(self) -> str | None:
        """The code of a problem."""
        return self.body.get("code") if isinstance(self.body, dict) else None


def call_by_hand(
    port: int,
    method: str,
    path: str,
    content: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    shown: Mapping[str, str] | None = None,
    streamed: bool = False,
) -> Answer:
    """CallLocal or CallLocalStream. `headers` are for the application, `shown` is for daprd."""
    message = common_v1.InvokeRequest(method=path.lstrip("/"), content_type="application/json")
    message.http_extension.verb = common_v1.HTTPExtension.Verb.Value(method)
    try:
        with grpc.insecure_channel(f"{LOOPBACK}:{port}") as channel:
            call = _stream if streamed else _unary
            all_headers = {"content-type": "application/json", **(headers or {})}
            status, body = call(channel, message, all_headers, content, tuple((shown or {}).items()))
    except grpc.RpcError as error:
        return Answer(0, refused_by_daprd=f"{error.code().name}: {error.details()}")  # type: ignore[attr-defined]
    return Answer(status, json.loads(body or b"null"))


def _unary(
    channel: grpc.Channel, message: Any, headers: Mapping[str, str], content: bytes, shown: Shown
) -> tuple[int, bytes]:
    message.data.value = content
    answer = channel.unary_unary(f"{SERVICE}/CallLocal")(_request(message, headers), timeout=SECONDS, metadata=shown)
    return _status(answer), common_v1.InvokeResponse.FromString(_part(answer, 4)).data.value


def _stream(
    channel: grpc.Channel, message: Any, headers: Mapping[str, str], content: bytes, shown: Shown
) -> tuple[int, bytes]:
    payload = common_v1.StreamPayload(data=content)
    whole = _field(1, _request(message, headers)) + _field(2, payload.SerializeToString())
    call = channel.stream_stream(f"{SERVICE}/CallLocalStream")
    answers = list(call(iter([whole]), timeout=SECONDS, metadata=shown))
    body = b"".join(common_v1.StreamPayload.FromString(_part(each, 2)).data for each in answers)
    return _status(_part(answers[0], 1)), body


def _request(message: Any, headers: Mapping[str, str]) -> bytes:
    """InternalInvokeRequest: the version of the API, the headers as a map of lists, the message."""
    entries = (_field(2, _field(1, name.encode()) + _field(2, _field(1, headers[name].encode()))) for name in headers)
    return _varint(1 << 3 | VARINT) + _varint(1) + b"".join(entries) + _field(3, message.SerializeToString())


def _status(response: bytes) -> int:
    """The code in the status of an InternalInvokeResponse."""
    return next(value for number, value in _fields(_part(response, 1)) if number == 1 and isinstance(value, int))


def _part(message: bytes, wanted: int) -> bytes:
    return next((value for number, value in _fields(message) if number == wanted and isinstance(value, bytes)), b"")


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    more = number >> 7
    return bytes([number & 0x7F | 0x80]) + _varint(more) if more else bytes([number])


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; of varints and bytes only, and there are no others here."""
    at = 0
    while at < len(message):
        tag, at = _read_varint(message, at)
        value, at = _read_varint(message, at)
        if tag & 7 == VARINT:
            yield tag >> 3, value
            continue
        assert tag & 7 == BYTES
        yield tag >> 3, message[at : at + value]
        at += value


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte, at = message[at], at + 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return number, at
