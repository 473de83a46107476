"""What a nemesis may use, and what it prepares before the service starts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from tests.campaign.faults import Attack
from tests.campaign.ground import Database, Ground


@dataclass
class Prepared:
    """What a nemesis changed before the service starts: how it reaches the database, and its environment."""

    url: str
    environment: dict[str, str] = field(default_factory=dict)
    works: list[Callable[[Attack], None]] = field(default_factory=list)
    loses_lock: bool = False  # the migration gives its lock away before a COMMIT
    longer: tuple[str, float] = ("", 0.0)  # a revision, and the seconds that one of its statements takes longer


@dataclass(frozen=True)
class Stage:
    """What a nemesis may use."""

    ground: Ground
    database: Database
    folder: Path
    random: Random


def some_time_after_it_began(attack: Attack, latest: float = 1.2) -> bool:
    return attack.until(attack.has_session) and attack.wait(attack.random.uniform(0, latest))


@cache
def can_mount() -> bool:
    return os.geteuid() == 0 and shutil.which("mount") is not None
