"""The ways back when a key of the audit is lost, or when somebody recorded one that is none.

python -m services.cas_service.repair_keys remove KEY_ID --reason TEXT
python -m services.cas_service.repair_keys replace-lost --reason TEXT

Run it on the host of the signing key, with the environment of cas-audit and a login that is a member of cas_owner. What
was done is recorded in the audit. A key that is there and was stolen is rotated: see rotate_key.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg

from audit_verifier.verify import Broken, Keys, Unreadable
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.contract.strict_json import mask_url_passwords
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.engine import Engine
from services.cas_service.anchors.anchor_sinks import FolderSink
from services.cas_service.anchors.anchoring import Anchoring
from services.cas_service.anchors.settings import AnchoringSettings, read_anchoring_settings
from services.cas_service.anchors.signing import SigningKey, now, read_key, read_or_make_key
from services.cas_service.errors import AnchoringHasStalled
from services.cas_service.hash_chain import chain

if TYPE_CHECKING:
    from migration_sidecar.database.records import AnyConnection

LONGEST_REASON = 2000
ANCHORS_OF = "SELECT count(*) FROM audit.anchors WHERE key_id = $1"


class KeysLeft(ProblemError):
    """No key was changed."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__("CM-528", f"{reason}.", next_step=f"{next_step}.")


async def remove(database: DatabasePool, settings: AnchoringSettings, name: str, reason: str) -> None:
    """Takes the newest key out of the database, with its anchors, if nobody introduced it. Raises KeysLeft."""
    async with _owner(database) as connection:
        document = await chain.keys(connection)
        entries, trusted = document["keys"], _trusted(document, settings)
        if not entries or entries[-1]["key_id"] != name:
            newest = entries[-1]["key_id"] if entries else "none"
            raise KeysLeft(f"Only the newest key can be taken out, which is {newest}", "Name that one")
        if _is_introduced(document) or _is_ours(document, trusted, settings):
            raise KeysLeft(f"Key {name} is a key of this audit", "Rotate it if it was stolen: rotate_key")
        anchors = await connection.fetchval(ANCHORS_OF, name)
        # Without a place outside that knows better, or where it was the first, nothing tells them from true ones.
        if anchors and (len(entries) == 1 or not trusted):
            raise KeysLeft(
                f"Key {name} has signed anchors", "Find out who holds it; coordinator audit verify says more"
            )
        for table in ("audit.anchors", "audit.signing_keys"):
            await _delete(connection, table, name)
        await _record(connection, "audit.key_removed", reason, key_id=name, anchors=anchors)


async def replace_lost(database: DatabasePool, settings: AnchoringSettings, reason: str) -> SigningKey:
    """Has another key sign from now on, although the one before cannot introduce it. Returns the new key.

    It is written into the places outside first: until the database has it as well, nothing is signed, and a repeat goes
    on. Raises KeysLeft, and AnchoringHasStalled where a place cannot be written or contradicts the database.
    """
    new = await asyncio.to_thread(read_or_make_key, settings.key_file, may_make=True)
    async with _owner(database) as connection:
        document = await chain.keys(connection)
        names = [entry["key_id"] for entry in document["keys"]]
        if not names:
            raise KeysLeft("This audit has no key yet", "Start the service; it signs with the key in its file")
        if new.key_id in names:
            raise KeysLeft(
                f"{settings.key_file.name} holds key {new.key_id}, which is one of this audit",
                "Use rotate_key while the newest key is there; if this is an older one, move the file away first",
            )
        last = await chain.anchor_at_or_before(connection, 2**62)
        entry = _replacement(document, new, last.seq if last else 0)
        extended = {**document, "keys": [*document["keys"], entry]}
        _require_whole(extended)
        for sink in Anchoring(database, settings).sinks:
            await asyncio.to_thread(sink.trust, extended)
        after = last.seq if last else 0
        signatures = (entry["rotation"], entry["signed_by_old"], entry["signed_by_new"])
        record = "SELECT audit.record_key($1, $2, $3, $4, $5, $6, $7)"
        if not await connection.fetchval(record, len(names) + 1, new.key_id, new.public_key, after, *signatures):
            raise KeysLeft("Another key or an anchor was recorded at the same moment", "Look at verify, then repeat it")
        await _record(
            connection, "audit.key_replaced", reason, key_id=new.key_id, lost_key_id=names[-1], after_seq=after
        )
    return new


async def _delete(connection: AnyConnection, table: str, key_id: str) -> None:
    """The trigger is off for this transaction only, and its lock keeps every other writer out meanwhile."""
    await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER refuse_change")
    await connection.execute(f"DELETE FROM {table} WHERE key_id = $1", key_id)  # noqa: S608  # the names above
    await connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER refuse_change")


def _is_introduced(document: dict[str, Any]) -> bool:
    """Whether the newest key was introduced by the one before it; the first key was introduced by nobody."""
    if len(document["keys"]) < 2:
        return False
    try:
        return not [place for place, _ in Keys(document).replaced if place == len(document["keys"]) - 1]
    except (Broken, Unreadable):
        return False


def _trusted(document: dict[str, Any], settings: AnchoringSettings) -> list[Keys]:
    folders = [folder for folder in (settings.folder, settings.git) if folder]
    return [keys for folder in folders if (keys := FolderSink(folder).keys(document["chain_id"])) is not None]


def _is_ours(document: dict[str, Any], trusted: Sequence[Keys], settings: AnchoringSettings) -> bool:
    """Whether the newest key is trusted in a place outside, or is the first one and in the key file."""
    number, public_key = len(document["keys"]), document["keys"][-1]["public_key"]
    # By its place as well: somebody may have recorded a known key a second time.
    if any(len(each.keys) >= number and each.keys[number - 1][1] == public_key for each in trusted):
        return True
    try:
        return number == 1 and read_key(settings.key_file).public_key == public_key
    except AnchoringHasStalled:
        return False


def _require_whole(document: dict[str, Any]) -> None:
    try:
        Keys(document)
    except (Broken, Unreadable) as error:
        raise KeysLeft(
            f"The keys in the database do not hold ({error})", "Take out what is no key first: remove"
        ) from None


def _replacement(document: dict[str, Any], new: SigningKey, after: int) -> dict[str, Any]:
    old = document["keys"][-1]["key_id"]
    parts = ("audit-replacement-1", document["chain_id"], str(after), old, new.key_id, new.public_key, now())
    line = "|".join(parts)
    signatures = {"rotation": line, "signed_by_old": "", "signed_by_new": new.sign(line)}
    return {"key_id": new.key_id, "public_key": new.public_key, **signatures}


async def _record(connection: AnyConnection, event_type: str, reason: str, **facts: Any) -> None:
    """What is done to the keys is in the record, as `audit.record_deed` has it for segments."""
    told = mask_url_passwords(reason)[:LONGEST_REASON]
    event = {
        "event_id": str(uuid4()),
        "event_type": event_type,
        "occurred_at": now(),
        "source": "cas-audit",
        "actor": await connection.fetchval("SELECT session_user"),
        "outcome": "succeeded",
        "detail": {"actor_basis": "database login", "reason": told, **facts},
    }
    await connection.execute("SELECT audit.append($1::jsonb)", json.dumps([event]))


@asynccontextmanager
async def _owner(database: DatabasePool) -> AsyncIterator[AnyConnection]:
    """A transaction as cas_owner that keeps everybody else from keys and anchors."""
    async with database.connection() as connection, connection.transaction():
        try:
            await connection.execute("SET LOCAL ROLE cas_owner")
        except asyncpg.InsufficientPrivilegeError:
            raise KeysLeft("This login is no member of cas_owner", "Use one that is, as the migrator's") from None
        await connection.execute("SELECT FROM audit.chain FOR UPDATE")
        yield connection


async def _main(arguments: argparse.Namespace) -> str:
    engine = Engine(read_settings(Path(__file__).parent / "alembic.ini"))
    settings = read_anchoring_settings()
    try:
        if arguments.command == "remove":
            await remove(engine.database, settings, arguments.key_id, arguments.reason)
            return f"Key {arguments.key_id} was taken out; the service goes on by itself."
        key = await replace_lost(engine.database, settings, arguments.reason)
        return (
            f"The audit is signed by key {key.key_id} from now on. Nothing but the keys kept outside vouches for it:"
            " hand the new audit-keys file to everybody who has the old one, and tell them why."
        )
    finally:
        await engine.close()


def _arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.cas_service.repair_keys")
    commands = parser.add_subparsers(dest="command", required=True)
    removing = commands.add_parser("remove", help="take out the newest key, which nobody introduced")
    removing.add_argument("key_id")
    replacing = commands.add_parser("replace-lost", help="go on with another key, because the newest one is lost")
    for command in (removing, replacing):
        command.add_argument("--reason", required=True, help="why, for the audit")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        print(asyncio.run(_main(_arguments())))
    except (ProblemError, asyncpg.PostgresError, Broken, Unreadable, OSError) as error:
        sys.exit(str(error))
