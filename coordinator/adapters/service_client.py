"""The migration sidecar endpoints of the services, reached by app id through the coordinator's own daprd."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import ValidationError

from coordinator.adapters.daprd import ANSWER_BYTES, APP_ID_HEADER, CALL_SECONDS, AnswerTooLarge, HttpCaller, Reply
from coordinator.adapters.storable import storable
from coordinator.errors import ServiceLied
from coordinator.ports import ServiceAddress
from coordinator.unavailable import ServiceRefused, ServiceUnreachable
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import (
    Action,
    Message,
    MigrationPlan,
    Operation,
    OperationRequest,
    Problem,
    ServiceStatus,
)

Answer = TypeVar("Answer", bound=Message)
PlacedAnswer = TypeVar("PlacedAnswer", ServiceStatus, MigrationPlan, JournalPage)

PLAN_SECONDS = 60.0
# A thousand rows with an event of 16 KiB each; the SQL of revisions that fill tables.
PAGE_BYTES = 32 * 1024 * 1024


class HttpServices:
    """Implements FleetMessenger and JournalSource.

    Paths are fixed, the service is a header: nothing a user sends becomes an address.
    """

    def __init__(self, daprd: HttpCaller) -> None:
        self._daprd = daprd

    async def status(self, address: ServiceAddress) -> ServiceStatus:
        """Where a service's database is."""
        answer = await request(self._daprd, address.service, "GET", "/migrations", ServiceStatus)
        return _require_service(address, answer)

    async def plan(
        self,
        address: ServiceAddress,
        *,
        action: Action,
        target: str,
        with_sql: bool = False,
        beside_other_tables: bool = False,
    ) -> MigrationPlan:
        """What a service would do; it has 60 seconds."""
        # A service of an earlier release refuses a parameter that it does not know.
        flags = {"sql": with_sql, "beside_other_tables": beside_other_tables}
        parameters = {"action": action.value, "target": target} | {name: "true" for name, said in flags.items() if said}
        answer = await request(
            self._daprd,
            address.service,
            "GET",
            "/migrations/plan",
            MigrationPlan,
            parameters=parameters,
            seconds=PLAN_SECONDS,
            most_bytes=PAGE_BYTES if with_sql else ANSWER_BYTES,
        )
        return _require_service(address, answer)

    async def start(self, address: ServiceAddress, order: OperationRequest, *, wait_seconds: int) -> Operation:
        """Sends an order, or repeats it; returns when the operation has ended, at the latest after `wait_seconds`."""
        return await request(
            self._daprd,
            address.service,
            "POST",
            "/migrations/operations",
            Operation,
            body=order.model_dump(mode="json", exclude_none=True, exclude=order.newer),
            parameters={"wait_seconds": str(wait_seconds)},
            seconds=wait_seconds + CALL_SECONDS,
        )

    async def operation(self, address: ServiceAddress, operation_id: str, *, wait_seconds: int) -> Operation:
        """The state of an operation; returns when it has ended, at the latest after `wait_seconds`."""
        return await request(
            self._daprd,
            address.service,
            "GET",
            f"/migrations/operations/{operation_id}",
            Operation,
            parameters={"wait_seconds": str(wait_seconds)},
            seconds=wait_seconds + CALL_SECONDS,
        )

    async def cancel(self, address: ServiceAddress, operation_id: str) -> Operation:
        """The operation after it was asked to stop at the next whole revision."""
        return await request(
            self._daprd, address.service, "DELETE", f"/migrations/operations/{operation_id}", Operation
        )

    async def journal(self, address: ServiceAddress, *, after: int, limit: int) -> JournalPage:
        """The page of the journal that follows row `after`; a page that does not follow raises ServiceLied."""
        parameters = {"after": str(after), "limit": str(limit)}
        page = await request(
            self._daprd,
            address.service,
            "GET",
            "/migrations/journal",
            JournalPage,
            parameters=parameters,
            most_bytes=PAGE_BYTES,
        )
        page = _require_service(address, page)
        numbers = [entry.seq for entry in page.entries]
        in_order = all(earlier < later for earlier, later in pairwise([after, *numbers]))
        # Reading page after page must come to an end and must not miss a row.
        if not in_order or len(numbers) > limit or page.next_after not in (None, *numbers[-1:]):
            raise ServiceLied(address.service, "its journal page is not the one that follows the row asked for")
        return page


async def request(
    daprd: HttpCaller,
    service: str,
    method: str,
    path: str,
    answer: type[Answer],
    *,
    body: Any = None,
    parameters: Mapping[str, str] | None = None,
    seconds: float = CALL_SECONDS,
    most_bytes: int = ANSWER_BYTES,
) -> Answer:
    """One request to a service and its checked answer.

    Raises SidecarUnreachable, ServiceUnreachable, ServiceRefused or ServiceLied. `seconds` bounds the whole call.
    """
    try:
        reply = await daprd.call(
            method,
            path,
            body=body,
            parameters=parameters,
            headers={APP_ID_HEADER: service},
            seconds=seconds,
            most_bytes=most_bytes,
        )
    except TimeoutError:
        raise ServiceUnreachable(service, f"no answer within {seconds:.0f} s") from None
    except AnswerTooLarge as error:
        raise ServiceLied(service, str(error)) from None
    if reply.status >= 300:
        raise refusal_from(service, reply)
    try:
        return answer.model_validate_json(storable(reply.content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise ServiceLied(service, f"its {answer.__name__} is not one: {where}: {first['msg'][:200]}") from None


def refusal_from(service: str, reply: Reply) -> ServiceRefused | ServiceUnreachable | ServiceLied:
    """The error for an answer with a status of 300 or more."""
    document = reply._replace(content=storable(reply.content)).document()
    if isinstance(document, dict):
        if "errorCode" in document:
            return ServiceUnreachable(service, f"{str(document['errorCode'])[:80]} from Dapr")
        try:
            # A problem document may carry members that this version does not know, `type` and `status` among them.
            known = {name: value for name, value in document.items() if name in Problem.model_fields}
            return ServiceRefused(service, reply.status, Problem.model_validate(known))
        except ValidationError:
            pass
    if reply.status >= 500:
        return ServiceUnreachable(service, f"it answered {reply.status} without saying why")
    return ServiceLied(service, f"with {reply.status} and no problem document")


def _require_service(address: ServiceAddress, answer: PlacedAnswer) -> PlacedAnswer:
    if (answer.service, answer.database) != address:
        raise ServiceLied(address.service, f"as {answer.service[:80]} about the database {answer.database[:80]}")
    return answer
