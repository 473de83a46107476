"""What a run of many examples has tried and found, as a report that can be kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from tests.environments.generated.environment import EnvFile, Generated
from tests.environments.generated.sides import Compared, stopped_half_done
from tests.environments.generated.strategies import (
    BY_ITSELF,
    IN_SAVEPOINTS,
    PIECES_BY_THEMSELVES,
    PIECES_IN_SAVEPOINTS,
)


@dataclass
class Tally:
    """`path` is where the report goes; it is written again after each example, because a long run may be ended."""

    path: Path
    tried: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def note(self, example: Generated, compared: Compared, disagreement: str) -> None:
        with self._lock:
            self.tried += 1
            self.kinds.update(_kinds(example, compared))
            if disagreement:
                said = "\n".join(f"{each.step}: {each.said[-1500:]}" for each in compared.ours)
                self.found.append(f"{disagreement}\n\n{said}\n\n{example}")
            self.path.write_text(self.text())

    def text(self) -> str:
        rows = "\n".join(f"| {kind} | {number} |" for kind, number in sorted(self.kinds.items()))
        found = "\n\n".join(f"## {number}\n\n```\n{each}\n```" for number, each in enumerate(self.found, 1))
        head = f"{self.tried} generated environments, {len(self.found)} that did not end as with bare Alembic."
        return f"# Transactions of env.py\n\n{head}\n\n| what was in it | examples |\n|---|---|\n{rows}\n\n{found}\n"


def _kinds(example: Generated, compared: Compared) -> list[str]:
    env = example.env
    facts = {
        f"driver {env.driver}": True,
        "by hand" if example.by_hand else "by the endpoint": True,
        "a transaction of env.py's own": env.begins == "begin",
        "AUTOCOMMIT": env.autocommit,
        "no begin_transaction": not env.has_block,
        "a transaction for each revision": "transaction_per_migration=True" in env.options,
        "transactional_ddl=False": "transactional_ddl=False" in env.options,
        "on_version_apply": "on_version_apply=noted" in env.options,
        "a version table of another name or schema": any("version_table" in option for option in env.options),
        "a loop over tenants": bool(env.tenants),
        "statements before configure": bool(env.before),
        "statements between configure and the block": bool(env.between),
        "statements in the block, before the migrations": bool(env.inside),
        "statements in the block, after the migrations": bool(env.inside_after),
        "statements after the block": bool(env.after),
        "errors that env.py keeps to itself": bool(env.catches),
        "an autocommit block in a revision": any(
            "autocommit_block" in each for body in example.revisions for each in body
        ),
        "the operator chose transaction_per_revision": example.per_revision,
        "and that is not what env.py asks for": compared.as_is is not None,
        "COMMIT, BEGIN or ROLLBACK by env.py": _says(BY_ITSELF, env),
        "COMMIT, BEGIN or ROLLBACK by a revision": _has(PIECES_BY_THEMSELVES, example),
        "savepoints of env.py": bool(env.savepoint) or _says(IN_SAVEPOINTS, env),
        "savepoints of a revision": _has(PIECES_IN_SAVEPOINTS, example),
        "bare Alembic fails": not compared.bare[-1].done,
        "bare Alembic succeeds": compared.bare[-1].done,
        "stopped at what a revision left half done, where bare Alembic goes on (CM-405)": any(
            stopped_half_done(example, each) for each in compared.ours
        ),
        f"{len(example.revisions)} revisions": True,
    }
    return [fact for fact, holds in facts.items() if holds]


def _says(statements: tuple[str, ...], env: EnvFile) -> bool:
    said = {*env.before, *env.between, *env.inside, *env.inside_after, *env.after}
    return not said.isdisjoint(statements)


def _has(pieces: tuple[str, ...], example: Generated) -> bool:
    return any(piece in pieces for body in example.revisions for piece in body)
