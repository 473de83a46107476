"""HTTP to the coordinator's own daprd, which is the only address the coordinator ever connects to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from coordinator.outages import SidecarUnreachable

CALL_SECONDS = 15.0


def open_client(http_port: int, api_token: str) -> httpx.AsyncClient:
    """No proxies, no redirects: an answer comes from daprd or not at all."""
    return httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{http_port}",
        headers={"dapr-api-token": api_token} if api_token else {},
        timeout=httpx.Timeout(CALL_SECONDS, connect=2.0),
        limits=httpx.Limits(max_connections=200, max_keepalive_connections=50),
        trust_env=False,
        follow_redirects=False,
    )


async def call(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    *,
    body: Any = None,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    parameters: Mapping[str, str] | None = None,
    seconds: float = CALL_SECONDS,
) -> httpx.Response:
    """Raises SidecarUnreachable for a daprd that is away, and TimeoutError for one that does not answer in time."""
    given = {"content-type": "application/json"} if body is not None else {}
    payload = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() if body is not None else content
    try:
        return await client.request(
            method,
            path,
            content=payload,
            headers={**given, **(headers or {})},
            params=dict(parameters) if parameters else None,
            timeout=httpx.Timeout(seconds, connect=2.0),
        )
    except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
        raise TimeoutError from error
    except httpx.HTTPError as error:
        raise SidecarUnreachable(type(error).__name__) from error
