"""Why a token is refused. The sentences are for the caller and hold nothing of the token."""

from __future__ import annotations

from enum import StrEnum


class TokenRefusal(StrEnum):
    """The kinds. The value is counted in logs; nothing is decided by a sentence."""

    MALFORMED = "token_malformed"
    ALGORITHM = "token_algorithm"
    UNKNOWN_KEY = "token_unknown_key"
    KEYS_UNAVAILABLE = "token_keys_unavailable"
    WRONG_SIGNATURE = "token_wrong_signature"
    CLAIM_MISSING = "token_claim_missing"
    OTHER_ISSUER = "token_other_issuer"
    OTHER_AUDIENCE = "token_other_audience"
    NOT_YET = "token_not_yet"
    EXPIRED = "token_expired"
    GOOD_FOR_TOO_LONG = "token_good_for_too_long"
    BAD_SUBJECT = "token_bad_subject"


SENTENCES = {
    TokenRefusal.MALFORMED: "It has not exactly one Authorization header with one bearer token (a JWT), and no"
    " signature instead.",
    TokenRefusal.ALGORITHM: "Its token is signed in a way that is not taken: RS256, PS256, ES256 and EdDSA are, if the"
    " key is one for that.",
    TokenRefusal.UNKNOWN_KEY: "Its token names no key (kid), or one that is not among the issuer's keys known here.",
    TokenRefusal.KEYS_UNAVAILABLE: "Its token cannot be verified: the issuer's keys could not be read yet.",
    TokenRefusal.WRONG_SIGNATURE: "The signature of its token is wrong.",
    TokenRefusal.CLAIM_MISSING: "Its token lacks one of the claims iss, aud, exp, iat and sub.",
    TokenRefusal.OTHER_ISSUER: "Its token is of another issuer than the one in fleet.toml.",
    TokenRefusal.OTHER_AUDIENCE: "Its token is meant for another audience than the one in fleet.toml.",
    TokenRefusal.NOT_YET: "Its token is not valid yet, or this machine's clock is late.",
    TokenRefusal.EXPIRED: "Its token has expired.",
    TokenRefusal.GOOD_FOR_TOO_LONG: "Its token is good for longer than 24 hours, and cannot be taken back.",
    TokenRefusal.BAD_SUBJECT: "The subject (sub) of its token is not 1 to 255 characters of printable ASCII.",
}

# The same call may be taken later: the issuer's keys are being changed or cannot be reached, or clocks differ.
PASSING = frozenset({TokenRefusal.UNKNOWN_KEY, TokenRefusal.KEYS_UNAVAILABLE, TokenRefusal.NOT_YET})


class TokenRefused(Exception):
    """The token proves nobody."""

    def __init__(self, kind: TokenRefusal) -> None:
        self.kind, self.detail = kind, SENTENCES[kind]
        super().__init__(self.detail)
