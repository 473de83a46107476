"""The fleet as fleet.toml describes it: which services there are, and in which order they migrate."""

from __future__ import annotations

import graphlib
import tomllib
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.permissions import DEFAULT_OPERATORS, Operator
from coordinator.domain.request import NO_TARGET, MigrationRequest, is_absolute
from coordinator.domain.tokens.identity_provider import IdentityProvider
from coordinator.domain.windows.calendar import Calendar
from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.named_services import with_names_of_today
from coordinator.domain.windows.window import Window
from coordinator.errors import BadCatalog, RenamedService, ServiceLeft, ServiceWithoutDatabase, UnknownService

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

    def select(self, request: MigrationRequest) -> list[Service]:
        """The services of a request in migration order; raises CM-201 for an unknown name."""
        targets = [] if isinstance(request.target, str) else list(request.target)
        named = None if request.services == "all" else [self.find(name) for name in request.services]
        for name in (*targets, *request.beside_other_tables):
            self.find(name)
        return [service for service in self.databases if named is None or service in named]

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


def read_catalog(text: str) -> Catalog:
    """The catalog in the text of fleet.toml, its services in migration order.

    The only place that decides on the order; set-up uses it too. Raises CM-701 with one sentence that says where the
    file is wrong.
    """
    try:
        catalog = Catalog.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadCatalog(f"The catalog is not TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadCatalog(f"In the catalog, {where}: {first['msg']}.") from None
    _require_distinct(_names(catalog), "service")
    _require_distinct([operator.name for operator in catalog.operators], "operator")
    _require_no_application(catalog)
    _require_issuer(catalog)
    _require_distinct([service.database for service in catalog.databases if service.database], "database")
    _require_reasons(catalog)
    today = {name: service.name for service in catalog.databases for name in (service.name, *service.former_names)}
    rules = with_names_of_today({"windows": catalog.windows, "freezes": catalog.freezes}, today)
    return catalog.model_copy(update={"services": _in_order(catalog), **rules})


def _names(catalog: Catalog) -> list[str]:
    """Present names, former names, and names of former services: no two services may share one."""
    names = [name for service in catalog.services for name in (service.name, *service.former_names)]
    return names + [former.name for former in catalog.former_services]


def _require_distinct(names: list[str], what: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadCatalog(f"The catalog names the {what} {name} more than once.")


def _require_no_application(catalog: Catalog) -> None:
    """An application must not become an operator because of its name: its key would be the operator's."""
    applications = {COORDINATOR, *_names(catalog)}
    for operator in catalog.operators:
        if operator.name in applications:
            raise BadCatalog(f"The operator {operator.name} has the name of an application.")


def _require_issuer(catalog: Catalog) -> None:
    having_one = [operator for operator in catalog.operators if operator.oidc_subject is not None]
    if having_one and catalog.oidc is None:
        raise BadCatalog(f"The operator {having_one[0].name} has an oidc_subject, but [oidc] is missing.")
    _require_distinct([operator.oidc_subject or "" for operator in having_one], "oidc_subject")


def _require_reasons(catalog: Catalog) -> None:
    known = {service.name for service in catalog.databases}
    for service in catalog.services:
        if (service.database is None) == (service.no_database is None):
            raise BadCatalog(f"{service.name} needs either a database or, in no_database, why it has none.")
        for other in service.depends_on:
            if other not in known:
                raise BadCatalog(f"{service.name} depends on {other}, which is no service with a database.")
    if catalog.fleet.audit not in known:
        raise BadCatalog(f"The audit service {catalog.fleet.audit} is no service with a database.")


def _in_order(catalog: Catalog) -> list[Service]:
    before = {service.name: set(service.depends_on) for service in catalog.services}
    for service in catalog.databases:
        if service.name != catalog.fleet.audit:
            before[service.name].add(catalog.fleet.audit)
    try:
        graphlib.TopologicalSorter(before).prepare()
    except graphlib.CycleError as error:
        raise BadCatalog(f"The catalog's order goes in a circle: {' -> '.join(reversed(error.args[1]))}.") from None
    ordered: list[Service] = []
    waiting = list(catalog.services)
    while waiting:
        done = {service.name for service in ordered}
        ready = next(service for service in waiting if before[service.name] <= done)
        waiting.remove(ready)
        ordered.append(ready)
    return ordered
