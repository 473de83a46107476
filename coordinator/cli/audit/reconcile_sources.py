"""Reads journals, run records and the audit page by page into a comparison, until nothing is on its way any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from coordinator.client.client import CoordinatorClient
from coordinator.client.errors import BadInput, CannotReach, Refused
from coordinator.client.views import FormerServiceView, ServiceView, read_list
from coordinator.domain.reconciliation.declarations import Declarations, Former, Left
from coordinator.domain.reconciliation.reconciliation import Reconciliation
from coordinator.domain.run import Run
from migration_sidecar.contract.journal import JournalPage
from migration_sidecar.contract.messages import AuditPage

JOURNAL_PAGE = 500
AUDIT_PAGE = 1000
RUN_PAGE = 200
LOOK_AGAIN_SECONDS = 0.5
NO_DATABASE = "no_database"

Read = TypeVar("Read", bound=BaseModel)


@dataclass
class Gathering:
    """The order matters: whatever a journal says it has handed over must be in an audit that is read after it."""

    client: CoordinatorClient
    tell: Callable[[str], None]
    silent: dict[str, str] = field(default_factory=dict)  # services that could not be asked, and why
    _chosen: list[str] = field(default_factory=list)
    _cursor: str | None = None

    def begin(self, chosen: list[str]) -> Reconciliation:
        """Nothing is read yet; raises BadInput for a name that is no service's."""
        self.tell("Asking the fleet")
        fleet = self.client.fleet()
        services = read_list(ServiceView, fleet, "services")
        declared = _declared(services, read_list(FormerServiceView, fleet, "former_services"))
        self._chosen = _chosen(chosen, services, declared)
        return Reconciliation(frozenset(view.service for view in services), declared=declared)

    def reconcile(self, found: Reconciliation, wait_seconds: float) -> None:
        for service in self._chosen:
            self._journal(found, service)
        self._runs(found)
        self._audit(found)
        give_up = time.monotonic() + wait_seconds
        while self._look_again(found) or (found.on_their_way and time.monotonic() < give_up):
            self.tell(f"Waiting for {found.on_their_way} events on their way to the audit")
            time.sleep(LOOK_AGAIN_SECONDS)
            for request_id in found.runs.owing():
                self._run(found, request_id)
            self._audit(found)

    def _journal(self, found: Reconciliation, service: str) -> None:
        found.journals.begin(service)
        after: int | None = 0
        try:
            while after is not None:
                self.tell(f"Reading the journal of {service} ({found.journals.counted[service]} rows so far)")
                page = _read(JournalPage, self.client.journal(service, after, JOURNAL_PAGE))
                found.journals.take(page)
                after = page.next_after
        except Refused as error:
            self.silent[service] = str(error.problem.get("detail") or error.problem.get("title"))
            found.journals.leave_out(service)

    def _runs(self, found: Reconciliation) -> None:
        cursor: str | None = None
        while True:
            self.tell(f"Reading run records ({len(found.runs.known)} so far)")
            document = self.client.runs({"limit": RUN_PAGE} | ({"cursor": cursor} if cursor else {}))
            for record in document.get("runs", []):
                _take_run(found, record)
            if not (cursor := document.get("next_cursor")):
                return

    def _run(self, found: Reconciliation, request_id: str) -> None:
        try:
            _take_run(found, self.client.run_now(request_id))
        except Refused as error:
            if error.http_status != 404:
                raise
            found.runs.has_no_record(request_id)

    def _audit(self, found: Reconciliation) -> None:
        for page in self._audit_pages():
            for event in page.events:
                if event.seq > found.last_seq:
                    found.told(event)
            self.tell(f"Reading the audit ({found.events} events so far)")

    def _audit_pages(self) -> Iterator[AuditPage]:
        """From where the last look ended; the page it ended in may have grown."""
        while True:
            asked = {"limit": AUDIT_PAGE, "order": "oldest"} | ({"cursor": self._cursor} if self._cursor else {})
            page = _read(AuditPage, self.client.audit(asked))
            yield page
            if page.next_cursor is None:
                return
            self._cursor = page.next_cursor

    def _look_again(self, found: Reconciliation) -> bool:
        """At whatever the audit knows and the sources did not yet know when they were asked; True if there was any."""
        services, request_ids = found.journals.to_look_for(), found.runs.to_look_for()
        for service in services:
            self._journal(found, service)
        for request_id in request_ids:
            self._run(found, request_id)
        return bool(services or request_ids)


def _declared(services: list[ServiceView], left: list[FormerServiceView]) -> Declarations:
    return Declarations(
        former={
            view.service: Former(frozenset(view.former_names), frozenset(view.former_databases)) for view in services
        },
        left={view.service: Left(view.until, view.reason) for view in left},
        without_database={view.service: view.reason for view in services if view.state == NO_DATABASE},
    )


def _chosen(chosen: list[str], services: list[ServiceView], declared: Declarations) -> list[str]:
    known = [view.service for view in services if view.state != NO_DATABASE]
    for name in chosen:
        if name not in known:
            today = declared.today(name)
            raise BadInput(
                "There is no such service to compare",
                f"the fleet has no {name!r} with a database",
                f"use {today}, as it is called now" if today in known else f"use {', '.join(known)}",
                "CM-201",
            )
    return chosen or known


def _take_run(found: Reconciliation, record: Any) -> None:
    found.runs.take(_read(Run, record), owed=record.get("audit") != "recorded")


def _read(kind: type[Read], document: Any) -> Read:
    """Nothing is compared that could not be read whole."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise CannotReach(
            f"its answer is no {kind.__name__}: {where}: {first['msg']}",
            "use a command line of the same release as the coordinator and the services",
            retryable=False,
        ) from error
