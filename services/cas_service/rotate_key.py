"""Replaces the audit's signing key: `python -m services.cas_service.rotate_key`.

Both keys sign the line that introduces the new key, so a verifier that trusts the old key may trust the new one. The
new key is first written beside the old one, and replaces it last. If this is interrupted, run it again.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.database.pool import DatabasePool
from migration_sidecar.engine.engine import Engine
from services.cas_service.anchors.settings import read_anchoring_settings
from services.cas_service.anchors.signing import SigningKey, now, read_key, read_or_make_key
from services.cas_service.errors import AnchoringHasStalled
from services.cas_service.events.store import Role, session
from services.cas_service.hash_chain import chain


async def rotate(database: DatabasePool, key_file: Path) -> SigningKey:
    """Returns the new key.

    Raises AnchoringStandsStill when the key in the file is not the one that signs this audit.
    """
    prepared = key_file.with_name(f"{key_file.name}.next")
    old, new = read_key(key_file), read_or_make_key(prepared, may_make=True)
    async with session(database, Role.WITNESS) as connection:
        known = await chain.keys(connection)
        newest = known["keys"][-1]["key_id"] if known["keys"] else None
        if newest == old.key_id:
            last = await chain.anchor_at_or_before(connection, 2**62)
            line = _introduction(known["chain_id"], last.seq if last else 0, old, new)
            recorded = await connection.fetchval(
                "SELECT audit.record_key($1, $2, $3, $4, $5, $6, $7)",
                len(known["keys"]) + 1,
                new.key_id,
                new.public_key,
                last.seq if last else 0,
                line,
                old.sign(line),
                new.sign(line),
            )
            if not recorded:
                raise AnchoringHasStalled("an anchor was signed at the same moment", "Rotate again")
        elif newest != new.key_id:
            raise AnchoringHasStalled(
                f"the key file holds {old.key_id}, and this audit is signed by {newest}", "Put that key back first"
            )
    prepared.replace(key_file)
    return new


def _introduction(chain_id: str, after_seq: int, old: SigningKey, new: SigningKey) -> str:
    parts = ("audit-rotation-1", chain_id, str(after_seq), old.key_id, new.key_id, new.public_key, now())
    return "|".join(parts)


async def _main() -> int:
    engine = Engine(read_settings(Path(__file__).parent / "alembic.ini"))
    try:
        key = await rotate(engine.database, read_anchoring_settings().key_file)
    finally:
        await engine.close()
    print(f"The audit is signed by key {key.key_id} from now on.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(_main()))
    except ProblemError as error:
        sys.exit(str(error))
