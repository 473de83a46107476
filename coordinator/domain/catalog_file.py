"""Reads fleet.toml, and says in one sentence where it is wrong. The only place that decides on the order."""

from __future__ import annotations

import graphlib
import tomllib

from pydantic import ValidationError

from coordinator.domain.audit_events import SOURCE as COORDINATOR
from coordinator.domain.catalog import Catalog, Service
from coordinator.domain.windows.named_services import with_names_of_today
from coordinator.errors import BadCatalog


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
