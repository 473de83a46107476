"""Verifies tokens of OpenID Connect: JWTs that the issuer named in fleet.toml has signed. A token is never shown."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import jwt

from coordinator.adapters.jwks import ALGORITHMS
from coordinator.adapters.jwks_sources import FetchedKeys, FileKeys, TokenKeys
from coordinator.domain.tokens.identity_provider import SUBJECT, IdentityProvider
from coordinator.domain.tokens.refusal import TokenRefusal, TokenRefused
from coordinator.ports import TokenSubject

LEEWAY = timedelta(seconds=30)  # between the issuer's clock and ours
# A token cannot be taken back before it expires: this is how long a stolen one would be good at most.
LONGEST_LIFE = timedelta(hours=24)
REQUIRED = ("iss", "aud", "exp", "iat", "sub")
# The first one that fits decides: some of these classes are subclasses of others.
KINDS: tuple[tuple[type[Exception], TokenRefusal], ...] = (
    (jwt.InvalidSignatureError, TokenRefusal.WRONG_SIGNATURE),
    (jwt.InvalidAlgorithmError, TokenRefusal.ALGORITHM),
    (jwt.MissingRequiredClaimError, TokenRefusal.CLAIM_MISSING),
    (jwt.ExpiredSignatureError, TokenRefusal.EXPIRED),
    (jwt.ImmatureSignatureError, TokenRefusal.NOT_YET),
    (jwt.InvalidIssuerError, TokenRefusal.OTHER_ISSUER),
    (jwt.InvalidAudienceError, TokenRefusal.OTHER_AUDIENCE),
    (jwt.exceptions.InvalidSubjectError, TokenRefusal.BAD_SUBJECT),
)
_SUBJECT = re.compile(SUBJECT, re.ASCII)


class OidcTokens:
    """Implements TokenVerifier for one issuer."""

    def __init__(self, provider: IdentityProvider, keys: TokenKeys) -> None:
        self._provider, self._keys = provider, keys

    @classmethod
    def of(cls, provider: IdentityProvider, folder: Path) -> Self:
        """With the keys that the provider names; a file that is not absolute is in this folder."""
        if (address := provider.address) is not None:
            return cls(provider, FetchedKeys(address))
        return cls(provider, FileKeys(provider.file_in(folder)))

    async def verify(self, token: str) -> TokenSubject:
        """As TokenVerifier.verify. Of the claims nothing is told before the signature is right."""
        algorithm, kid = _header_of(token)
        if algorithm not in ALGORITHMS:  # before keys are asked for: such a token makes us fetch nothing
            raise TokenRefused(TokenRefusal.ALGORITHM)
        if kid is None or (key := await self._keys.find(kid)) is None:
            raise TokenRefused(TokenRefusal.UNKNOWN_KEY)
        try:
            claims = jwt.decode(
                token,
                key.public,
                algorithms=sorted(key.algorithms),
                audience=self._provider.audience,
                issuer=self._provider.issuer,
                leeway=LEEWAY,
                options={"require": list(REQUIRED)},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise TokenRefused(_kind_of(error)) from None
        _require_short_life(claims)
        if not _SUBJECT.fullmatch(claims["sub"]):
            raise TokenRefused(TokenRefusal.BAD_SUBJECT)
        return TokenSubject(self._provider.issuer, claims["sub"])


def _header_of(token: str) -> tuple[Any, str | None]:
    """Its algorithm and the name of its key, neither of them proven."""
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError):
        raise TokenRefused(TokenRefusal.MALFORMED) from None
    algorithm = header.get("alg")
    return (algorithm if isinstance(algorithm, str) else None), header.get("kid")


def _kind_of(error: Exception) -> TokenRefusal:
    return next((kind for of, kind in KINDS if isinstance(error, of)), TokenRefusal.MALFORMED)


def _require_short_life(claims: dict[str, Any]) -> None:
    """PyJWT has looked at both times, but reads text as numbers, too."""
    issued, expires = claims["iat"], claims["exp"]
    if not all(isinstance(each, int | float) and not isinstance(each, bool) for each in (issued, expires)):
        raise TokenRefused(TokenRefusal.MALFORMED)
    if expires - issued > LONGEST_LIFE.total_seconds():
        raise TokenRefused(TokenRefusal.GOOD_FOR_TOO_LONG)
