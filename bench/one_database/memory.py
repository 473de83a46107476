"""Measures the memory of a service before and after many operations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

from bench.one_database.environments import Style, make_environment, tables
from bench.one_database.ground import Ground
from bench.one_database.serving import Service, serving

WARMING_OPERATIONS = 4


@dataclass(frozen=True)
class Memory:
    """Resident bytes by process, before and after."""

    operations: int
    before: Mapping[str, int]  # resident bytes by process
    after: Mapping[str, int]

    def growth(self, part: str) -> float:
        """The growth of one process, as a fraction of its size before."""
        return (self.after[part] - self.before[part]) / self.before[part]


def memory_after(ground: Ground, folder: Path, operations: int) -> Memory:
    """Upgrades and downgrades in turn. First runs a few operations that load what is loaded on first use."""
    environment = make_environment(folder / "heavy", ground.url, Style.OURS, tables(3))
    with serving(environment, folder) as service:
        replace(ground, services=[service]).make_databases_anew()
        _up_and_down(service, WARMING_OPERATIONS)
        before = service.resident_bytes()
        _up_and_down(service, operations)
        return Memory(operations, before, service.resident_bytes())


def _up_and_down(service: Service, operations: int) -> None:
    there_and_back = cycle([("head", "upgrade"), ("0001", "downgrade")])
    for (target, action), _ in zip(there_and_back, range(operations), strict=False):
        service.migrate(target, action)
