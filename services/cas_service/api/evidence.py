"""HTTP routes of the audit's evidence: verification, anchors, keys, the proof of one event, and exports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Annotated, Any, cast

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message, Send

from migration_sidecar.contract.audit import AnchorPage, EventProof, SignedAnchor, TrustedKeys, Verification
from migration_sidecar.contract.audit_queries import AnchorQuery, ExportQuery, PieceQuery
from migration_sidecar.contract.query_parameters import NoParameters
from migration_sidecar.http_server.log_format import configure_logging
from migration_sidecar.http_server.openapi import answer, problems
from migration_sidecar.http_server.proven_caller import NOT_PROVEN, PROVEN_CALLER
from migration_sidecar.http_server.validation import EACH_PARAMETER_ONCE
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.settings import read_anchoring_settings
from services.cas_service.api.events import EventName, read_event_name
from services.cas_service.errors import TooManyExports
from services.cas_service.events.store import Role, session
from services.cas_service.evidence.export import Export, begin_export, prove
from services.cas_service.evidence.live_verification import verify
from services.cas_service.hash_chain import chain

EXPORTS_AT_ONCE = 2
UNREAD_SECONDS = 60.0
CHUNK_BYTES = 64 * 1024
EXPORTED = {"content": {"application/jsonl": {"schema": {"type": "string"}}}, "description": "One JSON object a line"}


@asynccontextmanager
async def anchors_itself(app: FastAPI) -> AsyncIterator[None]:
    """Starts anchoring beside the service, and ends it with a last round. Does not wait for the key or the sinks."""
    configure_logging("services.cas_service")
    anchoring = Anchoring(app.state.database, read_anchoring_settings())
    app.state.anchoring = anchoring
    app.state.exports = asyncio.Semaphore(EXPORTS_AT_ONCE)
    app.state.remarks = [lambda: anchoring.alarm or ""]
    task = asyncio.create_task(anchoring.run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await anchoring.stop()


router = APIRouter(
    prefix="/audit",
    lifespan=anchors_itself,
    dependencies=[PROVEN_CALLER, EACH_PARAMETER_ONCE],
    responses={**NOT_PROVEN, **problems(422, 503)},
)


class TimedStreamingResponse(StreamingResponse):
    """Ends the connection of a client that does not read for UNREAD_SECONDS: only a few exports run at once."""

    async def stream_response(self, send: Send) -> None:
        """Called by Starlette. Closes the generator in every case, which frees the place of this export."""

        async def in_time(message: Message) -> None:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send(message)

        async with aclosing(cast(AsyncGenerator[bytes], self.body_iterator)):
            with suppress(TimeoutError):
                await super().stream_response(in_time)


@router.get("/verify", response_model_exclude_none=True)
async def show_verification(request: Request, query: Annotated[PieceQuery, Query()]) -> Verification:
    """Verifies one range of the chain."""
    return await verify(request.app.state.database, request.app.state.anchoring, query.after, query.limit)


@router.get("/anchors", response_model_exclude_none=True)
async def show_anchors(request: Request, query: Annotated[AnchorQuery, Query()]) -> AnchorPage:
    """One page of anchors with their signatures."""
    async with session(request.app.state.database, Role.WITNESS) as connection:
        anchors = await chain.anchors_after(connection, query.after, limit=query.limit)
        chain_id = await chain.chain_id(connection)
    shown = [SignedAnchor(anchor=each.line, signature=each.signature) for each in anchors]
    return AnchorPage(
        chain_id=chain_id, anchors=shown, next_after=anchors[-1].seq if len(anchors) == query.limit else None
    )


@router.get("/keys", response_model=None, responses={200: answer(TrustedKeys)})
async def show_keys(request: Request, _: Annotated[NoParameters, Query()]) -> dict[str, Any]:
    """The public keys that may sign, in the form audit-keys-1."""
    async with session(request.app.state.database, Role.WITNESS) as connection:
        return await chain.keys(connection)


@router.get("/proof/{event}", response_model=None, responses={200: answer(EventProof), **problems(404, 409)})
async def show_proof(request: Request, event: EventName, _: Annotated[NoParameters, Query()]) -> dict[str, Any]:
    """The proof that one event is signed; `event` is its number or its id."""
    return await prove(request.app.state.database, read_event_name(event))


@router.get("/export", response_class=TimedStreamingResponse, responses={200: EXPORTED, **problems(404)})
async def export(request: Request, query: Annotated[ExportQuery, Query()]) -> StreamingResponse:
    """Streams events as audit-export-1, one JSON object in each line."""
    exports: asyncio.Semaphore = request.app.state.exports
    if exports.locked():
        raise TooManyExports(EXPORTS_AT_ONCE)
    begun = await begin_export(request.app.state.database, query.first, query.until)
    return TimedStreamingResponse(_chunks(begun, exports), media_type="application/jsonl")


async def _chunks(begun: Export, exports: asyncio.Semaphore) -> AsyncIterator[bytes]:
    """Gathers lines into larger chunks: sending each line on its own would cost one turn of the event loop."""
    chunk = bytearray()
    async with exports:  # taken here: a client may disconnect before the stream begins
        async for line in begun.lines():
            chunk += line.encode()
            chunk += b"\n"
            if len(chunk) >= CHUNK_BYTES:
                yield bytes(chunk)
                chunk.clear()
        yield bytes(chunk)
