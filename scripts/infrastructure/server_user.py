"""Started as root, PostgreSQL and Redis each run under a user id of their own, which owns nothing but their data."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.infrastructure.errors import NoServerUser
from scripts.infrastructure.startable_copy import COPIES, copy_for_others, startable

# The data folder as the server's working folder: this path needs no right to enter the folders above it, which only
# root may enter. Every process of the server has it.
WORKING_FOLDER = "/proc/self/cwd"


@dataclass(frozen=True)
class ServerUser:
    """A user id without a name. Below 65536, because many containers know no others."""

    server: str
    number: int
    copies: Path = COPIES  # of programs that this user could not start where they are

    @property
    def needed(self) -> bool:
        """Whether we are root. Other users start servers as themselves."""
        return os.geteuid() == 0

    def started_as(self, command: Sequence[str]) -> list[str]:
        """The command, which gives up all rights of root before the server starts."""
        number = str(self.number)
        user = ("setpriv", "--reuid", number, "--regid", number, "--clear-groups", "--inh-caps=-all", "--no-new-privs")
        return [*user, *command] if self.needed else list(command)

    def program(self, program: Path, trees: Sequence[Path]) -> Path:
        """The program as this user starts it: a copy, if he cannot enter the folders above. `trees`: what it needs."""
        return startable(program, trees, self.copies) if self.needed else program

    def demand(self, program: Path, trees: Sequence[Path]) -> None:
        """Makes the copy that is needed. Raises NoServerUser if the program cannot be started under this user id."""
        if not self.needed:
            return
        try:
            copy_for_others(program, trees, self.copies)
        except OSError as error:
            raise NoServerUser(self.server, self.number, f"no copy can be made ({error})") from None
        program = self.program(program, trees)
        # setpriv itself still has root's rights when it starts a program; `env` has none.
        command = self.started_as(["env", str(program), "--version"])
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise NoServerUser(self.server, self.number, f"{error.filename} was not found") from None
        if done.returncode != 0:
            raise NoServerUser(self.server, self.number, done.stderr.strip())

    def own(self, data: Path) -> None:
        """Gives the data folder to this user, also one that an earlier release left to root."""
        if not self.needed or data.stat().st_uid == self.number:
            return
        for parent, folders, files in os.walk(data):
            for name in (*folders, *files):
                os.lchown(Path(parent, name), self.number, self.number)
        os.chown(data, self.number, self.number)  # last, so that an interrupted change is done again

    def give(self, file: Path) -> None:
        """Gives a file in the data folder to this user, which we have written anew."""
        if self.needed:
            os.chown(file, self.number, self.number)

    def path(self, data: Path) -> str:
        """The data folder as the server names it."""
        return WORKING_FOLDER if self.needed else str(data)


POSTGRES_USER = ServerUser("PostgreSQL", 61432)
REDIS_USER = ServerUser("Redis", 61379)
