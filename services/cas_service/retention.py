"""Removes old events from the audit's database without breaking its chain.

python -m services.cas_service.retention seal --before 2026-01-01 --into FOLDER
python -m services.cas_service.retention retire FILE --keys audit-keys.json

`seal` writes the file and records its SHA-256. Copy the file to its archive, then `retire` deletes exactly the rows in
it. The login for `retire` must be a member of cas_owner.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from audit_verifier.verify import Broken, Unreadable
from migration_sidecar.config.settings import read_settings
from migration_sidecar.contract.errors import ProblemError
from migration_sidecar.engine.engine import Engine
from services.cas_service.segment_sealing import retire, seal


async def _main(arguments: argparse.Namespace) -> str:
    engine = Engine(read_settings(Path(__file__).parent / "alembic.ini"))
    try:
        if arguments.command == "seal":
            sealed = await seal(engine.database, arguments.before, arguments.into)
            return (
                f"Events {sealed.first_seq} to {sealed.last_seq} are sealed in {sealed.file}, SHA-256 {sealed.sha256}."
            )
        retired = await retire(engine.database, arguments.file, arguments.keys)
        return f"{retired} events were taken out of the database; they are in {arguments.file}."
    finally:
        await engine.close()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m services.cas_service.retention")
    commands = parser.add_subparsers(dest="command", required=True)
    sealing = commands.add_parser("seal")
    sealing.add_argument("--before", required=True, type=_moment, help="a date or a time in UTC, such as 2026-01-01")
    sealing.add_argument("--into", required=True, type=Path, help="a folder")
    retiring = commands.add_parser("retire")
    retiring.add_argument("file", type=Path)
    retiring.add_argument("--keys", required=True, type=Path, help="the trusted keys")
    return parser.parse_args()


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


if __name__ == "__main__":
    try:
        print(asyncio.run(_main(_arguments())))
    except (ProblemError, asyncpg.PostgresError, Broken, Unreadable, OSError) as error:
        sys.exit(str(error))
