"""Reads journals, run records and the audit for `audit reconcile`, until no event is on its way to the audit."""

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
RECHECK_SECONDS = 0.5
NO_DATABASE = "no_database"

Read = TypeVar("Read", bound=BaseModel)


@dataclass
class ReconciliationReader:
    """Reads all sources into a Reconciliation.

    It reads the journals before the audit: then every row that a journal has relayed must be in the audit.
    """

    client: CoordinatorClient
    on_progress: Callable[[str], None]
    not_compared: dict[str, str] = field(default_factory=dict)  # service whose journal could not be read -> reason
    _chosen: list[str] = field(default_factory=list)
    _cursor: str | None = None

    def prepare(self, chosen: list[str]) -> Reconciliation:
        """Asks for the fleet and returns an empty Reconciliation. Raises BadInput for a name that is not a service."""
        self.on_progress("Asking the fleet")
        fleet = self.client.fleet()
        services = read_list(ServiceView, fleet, "services")
        declared = _declared(services, read_list(FormerServiceView, fleet, "former_services"))
        self._chosen = _chosen(chosen, services, declared)
        return Reconciliation(frozenset(view.service for view in services), declared=declared)

    def reconcile(self, reconciliation: Reconciliation, wait_seconds: float) -> None:
        """Reads everything; waits up to `wait_seconds` for events on their way. Raises CannotReach and Refused."""
        for service in self._chosen:
            self._journal(reconciliation, service)
        self._runs(reconciliation)
        self._audit(reconciliation)
        deadline = time.monotonic() + wait_seconds
        while self._recheck(reconciliation) or (reconciliation.on_their_way and time.monotonic() < deadline):
            self.on_progress(f"Waiting for {reconciliation.on_their_way} events on their way to the audit")
            time.sleep(RECHECK_SECONDS)
            for request_id in reconciliation.run_matcher.still_in_outbox():
                self._run(reconciliation, request_id)
            self._audit(reconciliation)

    def _journal(self, reconciliation: Reconciliation, service: str) -> None:
        reconciliation.journal_matcher.begin(service)
        after: int | None = 0
        try:
            while after is not None:
                self.on_progress(
                    f"Reading the journal of {service} ({reconciliation.journal_matcher.counted[service]} rows so far)"
                )
                page = _read(JournalPage, self.client.journal(service, after, JOURNAL_PAGE))
                reconciliation.journal_matcher.add_entry(page)
                after = page.next_after
        except Refused as error:
            self.not_compared[service] = str(error.problem.get("detail") or error.problem.get("title"))
            reconciliation.journal_matcher.exclude(service)

    def _runs(self, reconciliation: Reconciliation) -> None:
        cursor: str | None = None
        while True:
            self.on_progress(f"Reading run records ({len(reconciliation.run_matcher.known)} so far)")
            document = self.client.runs({"limit": RUN_PAGE} | ({"cursor": cursor} if cursor else {}))
            for record in document.get("runs", []):
                _add_run(reconciliation, record)
            if not (cursor := document.get("next_cursor")):
                return

    def _run(self, reconciliation: Reconciliation, request_id: str) -> None:
        try:
            _add_run(reconciliation, self.client.run_now(request_id))
        except Refused as error:
            if error.http_status != 404:
                raise
            reconciliation.run_matcher.has_no_record(request_id)

    def _audit(self, reconciliation: Reconciliation) -> None:
        for page in self._audit_pages():
            for event in page.events:
                if event.seq > reconciliation.last_seq:
                    reconciliation.add_audit_event(event)
            self.on_progress(f"Reading the audit ({reconciliation.events} events so far)")

    def _audit_pages(self) -> Iterator[AuditPage]:
        """The pages from the last page of the call before; that page may have more events now."""
        while True:
            parameters = {"limit": AUDIT_PAGE, "order": "oldest"} | ({"cursor": self._cursor} if self._cursor else {})
            page = _read(AuditPage, self.client.audit(parameters))
            yield page
            if page.next_cursor is None:
                return
            self._cursor = page.next_cursor

    def _recheck(self, reconciliation: Reconciliation) -> bool:
        """Reads again the sources that did not have something that the audit has; returns whether there were any."""
        services, request_ids = reconciliation.journals_to_look_for(), reconciliation.run_matcher.to_look_for()
        for service in services:
            self._journal(reconciliation, service)
        for request_id in request_ids:
            self._run(reconciliation, request_id)
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
    names = [view.service for view in services if view.state != NO_DATABASE]
    for name in chosen:
        if name not in names:
            today = declared.today(name)
            raise BadInput(
                "There is no such service to compare",
                f"the fleet has no {name!r} with a database",
                f"use {today}, as it is called now" if today in names else f"use {', '.join(names)}",
                "CM-201",
            )
    return chosen or names


def _add_run(reconciliation: Reconciliation, record: Any) -> None:
    reconciliation.add_run(_read(Run, record), owed=record.get("audit") != "recorded")


def _read(kind: type[Read], document: Any) -> Read:
    """Reads a document strictly: one that cannot be read ends the command, because nothing may be left out."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the document"
        raise CannotReach(
            f"its answer is not a {kind.__name__}: {where}: {first['msg']}",
            "use a command line of the same release as the coordinator and the services",
            retryable=False,
        ) from error
