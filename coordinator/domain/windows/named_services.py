"""The services that windows and freezes name, held against the catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordinator.domain.windows.freeze import Freeze
from coordinator.domain.windows.window import Window
from coordinator.errors import BadCatalog, quote_for_message


def with_names_of_today(
    sections: Mapping[str, Sequence[Window | Freeze]], today: Mapping[str, str]
) -> dict[str, list[Window | Freeze]]:
    """The entries of each section of fleet.toml, with a service under its name of today where they use a former one.

    `today` has the names of the services with a database, and of each its former ones. Raises BadCatalog (CM-701).
    """
    for section, entries in sections.items():
        _require_distinct(section, [entry.rule.name for entry in entries])
    return {
        section: [_renamed(entry, f"{section}.{place}.services", today) for place, entry in enumerate(entries)]
        for section, entries in sections.items()
    }


def _require_distinct(section: str, names: list[str]) -> None:
    for place, name in enumerate(names):
        if name in names[:place]:
            raise BadCatalog(f"In the catalog, {section}.{place}.name: {name} is the name of another of the {section}.")


def _renamed(entry: Window | Freeze, where: str, today: Mapping[str, str]) -> Window | Freeze:
    if entry.services == "all":
        return entry
    for name in entry.services:
        if name not in today:
            raise BadCatalog(f"In the catalog, {where}: {quote_for_message(name)} is no service with a database.")
    return entry.model_copy(update={"services": tuple(dict.fromkeys(today[name] for name in entry.services))})
