"""Reads requirements.lock. As a command it prints the part of it that runs in production, for `scripts/sbom`."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
IN_PRODUCTION = ("coordinator", "audit", "report")
ON_ONE_MACHINE = ("local",)


@dataclass(frozen=True)
class Locked:
    """One package of the lock; `via` are the packages that ask for it."""

    name: str
    version: str
    via: frozenset[str]
    lines: str


def locked(text: str) -> list[Locked]:
    return [_package(block) for block in re.split(r"\n(?=[a-z0-9])", text.strip())]


def _package(block: str) -> Locked:
    first = re.match(r"([\w.-]+)==([\w.+!-]+)", block)
    if first is None:
        raise ValueError(f"{block.splitlines()[0]!r} of requirements.lock names no package with its version")
    comments = " ".join(re.findall(r"^ +# *(.*)$", block, re.MULTILINE))
    return Locked(normal(first[1]), first[2], frozenset(map(normal, re.findall(r"[\w.-]+", comments))), block)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def asked_for(project: dict[str, Any], extras: tuple[str, ...]) -> set[str]:
    """The names in pyproject.toml's own dependencies and in these extras."""
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return {normal(re.split(r"[\[<>=;! ]", line)[0]) for line in lines}


def needed(packages: list[Locked], names: set[str]) -> list[Locked]:
    """The packages of these names, and those that they ask for."""
    found = set(names)
    while more := {each.name for each in packages if each.via & found} - found:
        found |= more
    return [each for each in packages if each.name in found]


def of_this_checkout(*extras: str) -> list[Locked]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return needed(locked(LOCK.read_text()), asked_for(project, extras))


def lines() -> Iterator[str]:
    for each in of_this_checkout(*IN_PRODUCTION):
        yield each.lines


if __name__ == "__main__":
    sys.stdout.write("\n".join(lines()) + "\n")
