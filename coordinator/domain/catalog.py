"""The fleet as fleet.toml describes it: which services there are, and in which order they migrate."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from coordinator.domain.commands.approval import ApprovalPolicy
from coordinator.domain.permissions import DEFAULT_OPERATORS, Operator
from coordinator.domain.request import NO_TARGET, MigrationRequest, is_absolute
from coordinator.domain.tokens.identity_provider import IdentityProvider
from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.window import Window
from coordinator.errors import AuditIsKept, RenamedService, ServiceLeft, ServiceWithoutDatabase, UnknownService

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,63}$")]


class CatalogModel(BaseModel):
    """Base of everything in fleet.toml: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Service(CatalogModel):
    """A member of the fleet; its name is its Dapr app id, and no other address is known."""

    name: Name
    folder: str | None = None
    database: DatabaseName | None = None
    former_names: list[Name] = []  # events and rows under these names are its own
    former_databases: list[DatabaseName] = []
    depends_on: list[Name] = []
    no_database: str | None = Field(default=None, min_length=1)
    target: str = "head"  # what `head` means for it; of `head` itself the service decides
    # How long a step of it may take: it starts only if that ends before a window closes or a freeze begins.
    expected_seconds: int | None = Field(default=None, ge=1, le=7 * 86_400)
    approval: Literal["none", "required"] = "none"  # whether a plan that changes its database needs one
    beside_other_tables: bool = False  # the tables in its database without a version row are other people's

    @model_validator(mode="after")
    def _validate_target(self) -> Self:
        if not is_absolute(self.target):
            raise ValueError(f"target is {NO_TARGET}")
        return self

    def target_in(self, request: MigrationRequest) -> str:
        """What a request asks of this service; where it says `head` or nothing, what the catalog says."""
        target = request.target_of(self.name)
        return self.target if target == "head" else target

    def is_beside_other_tables_in(self, request: MigrationRequest) -> bool:
        """Whether the catalog or a request says that tables without a version row are other people's."""
        return self.beside_other_tables or self.name in request.beside_other_tables


class FormerService(CatalogModel):
    """A service that has left the fleet; its events stay in the audit, and its journal is gone."""

    name: Name
    left: AwareDatetime | date  # a day lasts until its end in UTC
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _validate_left(self) -> Self:
        try:
            _ = self.until
        except OverflowError:
            raise ValueError("left is a time that the calendar does not have in UTC") from None
        return self

    @property
    def until(self) -> datetime:
        """From this moment on no event of the service is possible; UTC. A `left` without a time is that whole day."""
        if isinstance(self.left, datetime):
            return self.left.astimezone(UTC)
        return datetime.combine(self.left + timedelta(days=1), time(), UTC)


class Fleet(CatalogModel):
    """The name of the fleet, and which of its services keeps the audit."""

    name: Name
    audit: Name
    # Whether an event has to be signed, or everybody who can publish on the broker may ask for a migration.
    events: Literal["signed", "trusted-broker"] = "signed"


class Catalog(CatalogModel):
    """`services` is in migration order: as in the file, dependencies first, the audit before everything."""

    fleet: Fleet
    services: list[Service]
    former_services: list[FormerService] = []
    operators: list[Operator] = list(DEFAULT_OPERATORS)
    approvals: ApprovalPolicy = ApprovalPolicy()
    oidc: IdentityProvider | None = None  # without it, only signatures prove an operator
    windows: list[Window] = []
    freezes: list[Freeze] = []

    @property
    def calendar(self) -> Calendar:
        """When steps may start."""
        return Calendar(self.windows, self.freezes)

    @property
    def databases(self) -> list[Service]:
        """The services that own a database, in migration order."""
        return [service for service in self.services if service.database is not None]

    def names_of(self, name: str) -> frozenset[str]:
        """The name of a service together with its former ones, under which older records know it."""
        former = next((service.former_names for service in self.services if service.name == name), [])
        return frozenset({name, *former})

    def find(self, name: str) -> Service:
        """A service with a database.

        Raises UnknownService, RenamedService, ServiceLeft or ServiceWithoutDatabase, all of them CM-201.
        """
        for service in self.services:
            if service.name == name:
                if service.database is None:
                    raise ServiceWithoutDatabase(name, service.no_database or "the catalog names none")
                return service
            if name in service.former_names:
                raise RenamedService(name, service.name)
        for former in self.former_services:
            if former.name == name:
                raise ServiceLeft(name, former.left, former.reason)
        raise UnknownService(name, [service.name for service in self.databases])

    @property
    def requiring_approval(self) -> frozenset[str]:
        """The services whose changes need an approval."""
        return frozenset(service.name for service in self.services if service.approval == "required")

    def select(self, request: MigrationRequest) -> list[Service]:
        """The services of a request in the order in which they are carried out; a downgrade goes the other way.

        Raises CM-201 for an unknown name, and CM-206 for a downgrade of the audit.
        """
        targets = [] if isinstance(request.target, str) else list(request.target)
        named = None if request.services == "all" else [self.find(name) for name in request.services]
        for name in (*targets, *request.beside_other_tables):
            self.find(name)
        chosen = [service for service in self.databases if named is None or service in named]
        if request.action == "upgrade":
            return chosen
        if any(service.name == self.fleet.audit for service in chosen):
            raise AuditIsKept(self.fleet.audit)
        return chosen[::-1]

    def predecessors(self, service: Service, chosen: Iterable[Service], request: MigrationRequest) -> list[str]:
        """The chosen services whose steps come before; on the way back those that depend on this one."""
        among = list(chosen)
        if request.action == "upgrade":
            return self.dependencies(service, among)
        return [other.name for other in among if service.name in self.dependencies(other, among)]

    def dependencies(self, service: Service, chosen: Iterable[Service]) -> list[str]:
        """The chosen services that must be at their targets before this one; the audit precedes all others."""
        among = list(chosen)
        before = self._nearest_chosen(service, {other.name for other in among}) | ({self.fleet.audit} - {service.name})
        return [other.name for other in among if other.name in before]

    def _nearest_chosen(self, service: Service, chosen: Collection[str]) -> set[str]:
        """The chosen services that this one depends on, directly or through services that were not chosen."""
        depends_on = {each.name: each.depends_on for each in self.services}
        visited: set[str] = set()
        todo = list(service.depends_on)
        while todo:
            name = todo.pop()
            if name not in visited:
                visited.add(name)
                todo += [] if name in chosen else depends_on[name]
        return visited
