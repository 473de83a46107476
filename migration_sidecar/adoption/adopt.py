"""Takes a database that was made without this history into it, if it is to the last object what a revision makes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING

from migration_sidecar.adoption.catalog_diff import Difference, differences, left_out, snapshot
from migration_sidecar.adoption.schema_build import build_in_a_schema
from migration_sidecar.adoption.scratch_build import Built, build
from migration_sidecar.adoption.scratch_database import may_create_databases
from migration_sidecar.adoption.stamp import Proof, Stamping
from migration_sidecar.alembic_environment.agreed_revisions import Agreed
from migration_sidecar.contract.errors import LockBusy, NotAdopted, ProblemError
from migration_sidecar.contract.messages import Action, Message
from migration_sidecar.database.facts import DatabaseFacts, read_facts
from migration_sidecar.engine.engine import Engine
from migration_sidecar.protocol.catalog.snapshot import WHOSE, digest

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection, Records

LOCK_SECONDS = 600.0


class AdoptionState(StrEnum):
    ADOPTED = "adopted"  # stamped and read back
    ALREADY = "already"  # the database had this revision before
    SAME = "same"  # nothing differs; it was only looked
    DIFFERENT = "different"  # nothing was stamped


class Adoption(Message):
    """What was found out and done."""

    service: str
    database: str
    state: AdoptionState
    revisions: list[str]
    differences: list[Difference] = []
    objects: int = 0
    catalog_sha256: str | None = None
    built_in: str | None = None
    given: list[str] = []  # what the real database had beforehand and the scratch one was given
    not_looked_at: list[str] = []  # kinds of facts
    not_compared: str = "Rows are not compared: what revisions insert or change in tables is not looked for."


@dataclass(frozen=True)
class Wish:
    """What a person asked for; `leaving` are kinds of facts that are not looked at."""

    target: str
    actor: str
    dry_run: bool = False
    leaving: frozenset[str] = frozenset(WHOSE)


async def adopt(engine: Engine, wish: Wish, tell: Callable[[str], None]) -> Adoption:
    """Raises NotAdopted where a rule is in the way; differences are an answer and no error."""
    history = await engine.scripts.history()
    wanted = history.heads_after(Action.UPGRADE, [], history.between(Action.UPGRADE, [], wish.target))
    records = _only_one(await engine.place.all_records())
    async with engine.database.connection() as connection:
        facts = await _at_rest(connection, records, tell)
        if facts.revisions:
            return _managed(engine, facts, wanted)
        await _require_usable(engine, facts, wish)
        tell(f"Building {', '.join(wanted)} beside the database.")
        if await may_create_databases(connection):
            (built,) = await build(engine, connection, [wish.target])
        else:
            built = await build_in_a_schema(engine, connection, records, wish.target)
        found = await snapshot(connection, left_out(records))
    adoption = _compared(engine, wish, wanted, built, differences(found, built.facts, leaving=wish.leaving))
    if adoption.state is not AdoptionState.SAME or wish.dry_run:
        return adoption.model_copy(update={"objects": len(found), "catalog_sha256": digest(found)})
    proof = Proof(wanted, digest(found), len(found), left_out(records), built.where)
    await Stamping(engine, wish.actor, tell).carry_out(proof)
    return adoption.model_copy(
        update={"state": AdoptionState.ADOPTED, "objects": len(found), "catalog_sha256": proof.digest}
    )


def _only_one(tables: list[Records]) -> Records:
    """One version row proves nothing for the others, and each of them is written by one stamp."""
    if len(tables) > 1:
        raise NotAdopted(
            "CM-556",
            "Several version tables cannot be adopted at once",
            f"env.py keeps {len(tables)} in this database: {', '.join(each.history for each in tables)}.",
            "Let it configure one of them, chosen with -x for example, and adopt one after the other.",
        )
    return tables[0]


async def _at_rest(connection: AnyConnection, records: Records, tell: Callable[[str], None]) -> DatabaseFacts:
    """What is being migrated is not compared; raises LockBusy."""
    deadline, told = monotonic() + LOCK_SECONDS, None
    while True:
        facts = await read_facts(connection, records)
        holder = facts.lock_holder
        if holder is None:
            return facts
        if holder.pid != told:
            told = holder.pid
            tell(f"Waiting for the migration lock, held by pid {holder.pid} ({holder.application}).")
        if monotonic() > deadline:
            raise LockBusy(holder)
        await asyncio.sleep(0.2)


def _managed(engine: Engine, facts: DatabaseFacts, wanted: list[str]) -> Adoption:
    if sorted(facts.revisions) != sorted(wanted):
        raise NotAdopted(
            "CM-553",
            "The database has a revision already",
            f"It is at {', '.join(facts.revisions)}, so there is nothing to adopt.",
            "Upgrade it; or find out who wrote that revision, if it should not be there.",
        )
    return Adoption(
        service=engine.settings.service,
        database=engine.place.database,
        state=AdoptionState.ALREADY,
        revisions=wanted,
    )


async def _require_usable(engine: Engine, facts: DatabaseFacts, wish: Wish) -> None:
    history = await engine.scripts.history()
    agreed = Agreed.by(history, Action.UPGRADE, facts.revisions, wish.target)
    _, obstacles = await engine.reader.outlook(facts, agreed)
    # That it has tables and no revision is why it is adopted.
    in_the_way = [problem for problem in obstacles if problem.code != "CM-552"]
    if in_the_way:
        raise ProblemError.of(in_the_way[0])


def _compared(engine: Engine, wish: Wish, wanted: list[str], built: Built, found: list[Difference]) -> Adoption:
    if sorted(built.revisions) != sorted(wanted):
        raise NotAdopted(
            "CM-555",
            "The revision cannot be built",
            f"Beside the database it came to {', '.join(built.revisions) or 'no revision'},"
            f" not to {', '.join(wanted)}.",
            "Try `migration-sidecar upgrade` on an empty database.",
        )
    return Adoption(
        service=engine.settings.service,
        database=engine.place.database,
        state=AdoptionState.DIFFERENT if found else AdoptionState.SAME,
        revisions=wanted,
        differences=found,
        built_in=built.where,
        given=built.given,
        not_looked_at=sorted(wish.leaving),
    )
