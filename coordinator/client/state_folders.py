"""Where the key and the token of the person at this machine are: the folders that `./scripts/infra up` fills."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from signed_calls.sidecar_token import sidecar_token

STATE = "RMBRAIN_STATE_DIR"
NAME = ".rmbrain"
CHECKOUT = Path(__file__).resolve().parents[2]


def state_folders(environment: Mapping[str, str] = os.environ, here: Path | None = None) -> Iterator[Path]:
    """RMBRAIN_STATE_DIR alone; without it `.rmbrain` of this folder, of those above it, and of the checkout."""
    if state := environment.get(STATE):
        yield Path(state)
        return
    here = here or Path.cwd()
    for folder in dict.fromkeys((here, *here.parents, CHECKOUT)):
        yield folder / NAME


def token_of_daprd(environment: Mapping[str, str] = os.environ, here: Path | None = None) -> str:
    """DAPR_API_TOKEN, or the token that `infra up` has made; empty if there is none."""
    found = (sidecar_token(environment, folder) for folder in state_folders(environment, here))
    return next((token for token in found if token), "")
