"""A key for every application of the fleet, and one for the person at this machine: `keys` in the state directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from scripts.infrastructure.catalog import members
from scripts.infrastructure.errors import InfrastructureError
from signed_calls.key_folder import make_key, private_file, public_folder, publish
from signed_calls.keys import BadKey, read_private_file, read_signing_key
from signed_calls.names import InvalidName
from signed_calls.settings import KEY_FILE, KEYS
from signed_calls.signature import Call

COORDINATOR, OPERATOR = "migration-coordinator", "operator"


def make_call_keys(folder: Path) -> None:
    """Keeps the keys that exist. A renamed service also speaks for the names it had: its journal has rows of them.

    Raises InfrastructureError.
    """
    try:
        for name in (COORDINATOR, OPERATOR):
            make_key(folder, name)
        for member in members():
            key = make_key(folder, member.name)
            for former in member.former_names:
                publish(folder, former, key)
    except (BadKey, InvalidName) as error:
        raise InfrastructureError(str(error)) from None
    except OSError as error:
        raise InfrastructureError(f"The keys in {folder} cannot be made: {error.strerror}.") from None


def operator_file(folder: Path) -> Path:
    """The private key of the person at this machine."""
    return private_file(folder, OPERATOR)


def sign_as_operator(folder: Path, call: Call) -> dict[str, str]:
    """The headers of one call of ours, for a fleet whose keys are in this folder. Raises BadKey."""
    file = operator_file(folder)
    return read_signing_key(OPERATOR, read_private_file(file), str(file)).sign(call)


def of_application(folder: Path, name: str, environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of a rendered application, for the keys in this folder; only those that the committed file sets."""
    paths = {KEYS: public_folder(folder), KEY_FILE: private_file(folder, name)}
    return {variable: str(path.absolute()) for variable, path in paths.items() if variable in environment}
