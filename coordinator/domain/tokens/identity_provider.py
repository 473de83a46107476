"""The entry [oidc] of fleet.toml: who issues the tokens that prove an operator, and where its public keys are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

from migration_sidecar.contract.host_names import LOOPBACK

# Printable ASCII: both stand in the audit, and are compared letter by letter. OpenID Connect allows no longer subject.
IssuerName = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]{1,255}$")]
SUBJECT = r"[!-~](?:[ -~]{0,253}[!-~])?"
Subject = Annotated[str, StringConstraints(pattern=f"^{SUBJECT}$")]
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.ASCII | re.IGNORECASE)


class IdentityProvider(BaseModel):
    """Whose tokens are taken. A token must name exactly this issuer and, among its audiences, this one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    issuer: IssuerName
    audience: IssuerName
    jwks: Annotated[str, StringConstraints(min_length=1, max_length=1000)]  # its public keys: a file, or an address

    @model_validator(mode="after")
    def _validate_jwks(self) -> Self:
        if not self.jwks.isprintable():
            raise ValueError("jwks has a character that does not print")
        if _SCHEME.match(self.jwks) and (wrong := _what_is_wrong_with(self.jwks)):
            raise ValueError(f"jwks {wrong}")
        return self

    @property
    def address(self) -> str | None:
        """From where the keys are fetched; None if they are in a file."""
        return self.jwks if _SCHEME.match(self.jwks) else None

    def file_in(self, folder: Path) -> Path:
        """The file of the keys; a path that is not absolute begins in this folder."""
        return folder / self.jwks


def _what_is_wrong_with(address: str) -> str | None:
    """Whoever can change the answer on its way could name keys of his own: so no plain http but on this machine."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return "is no address"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "must be a file, or an address that begins with https://"
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        return "must begin with https://, because the keys come from another machine"
    if "@" in parts.netloc or parts.fragment:
        return "must have neither a user name nor a fragment"
    return None
