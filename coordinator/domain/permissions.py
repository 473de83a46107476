"""Who may what. Every request is held against it here: calls, events and commands alike.

How a requester is known is found out at the doors; nothing is decided by a name that was only claimed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from coordinator.domain.audit_events import Actor
from coordinator.domain.tokens.identity_provider import Subject
from coordinator.errors import CoordinatorError, quote_for_message

# As in `signed_calls.names`: the name of an operator is the name of his key.
OperatorName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
# The 32 bytes of an Ed25519 key in base64, as `python -m signed_calls show` prints them.
PublicKeyText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9+/]{43}=$")]
ServiceNames = Literal["all"] | list[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]]


class Permission(StrEnum):
    """What an operator may be allowed to do."""

    REQUEST = "request"  # ask for a migration, and plan one
    APPROVE = "approve"  # agree to a run of somebody else, or refuse it
    OPERATE = "operate"  # pause, resume, cancel or retry a run
    READ = "read"  # read the audit and the journals
    ADMIN = "admin"  # all of this


EVERYTHING = frozenset(Permission)


class OperatorKind(StrEnum):
    """What an operator is. The audit shows it beside the name."""

    PERSON = "person"
    PIPELINE = "pipeline"
    AGENT = "agent"  # a program that decides by itself what to ask for


# Whatever `may` says: an approval is the word of somebody who answers for it.
NEVER = {OperatorKind.AGENT: frozenset({Permission.APPROVE})}


class Operator(BaseModel):
    """One entry of [[operators]] in fleet.toml: somebody with a key or tokens who is no application of the fleet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: OperatorName
    kind: OperatorKind = OperatorKind.PERSON
    may: list[Permission] = Field(min_length=1)
    services: ServiceNames = "all"  # for which it may request, approve and operate; reading is not held to it
    # Without them, the keys are those that are filed under its name in the folder of CALL_KEYS.
    public_keys: list[PublicKeyText] = []
    # The `sub` of its tokens, if those of [oidc] prove it, too.
    oidc_subject: Subject | None = None

    @model_validator(mode="after")
    def _refuse_what_its_kind_never_may(self) -> Self:
        """A file that says more than is true would mislead its readers."""
        if forbidden := self._listed & NEVER.get(self.kind, frozenset()):
            words = ", ".join(sorted(forbidden))
            raise ValueError(f"the operator {self.name} is of the kind {self.kind}, which may never {words}")
        return self

    @property
    def permissions(self) -> frozenset[Permission]:
        """What it may, with what follows from that: whoever may do anything may also read."""
        return self._listed - NEVER.get(self.kind, frozenset())

    @property
    def _listed(self) -> frozenset[Permission]:
        return EVERYTHING if Permission.ADMIN in self.may else frozenset(self.may) | {Permission.READ}


# Where fleet.toml names no operators: whoever made the keys of the fleet, with `infra up`.
DEFAULT_OPERATORS = (Operator(name="operator", may=[Permission.ADMIN]),)


class Proof(StrEnum):
    """How a requester is known; it is the beginning of `actor_basis` in the audit."""

    SIGNED_CALL = "signed call"
    SIGNED_EVENT = "signed event"
    TOKEN = "OIDC token"  # noqa: S105  # no secret, but what the audit calls it
    UNVERIFIED_EVENT = "unverified event"  # the broker is trusted, and nobody signed
    UNCHECKED = "claimed"  # calls are not checked


# Of those who are not known by name.
UNNAMED = {Proof.UNVERIFIED_EVENT: frozenset({Permission.REQUEST}), Proof.UNCHECKED: EVERYTHING}


@dataclass(frozen=True)
class Requester:
    """Who sent a request. `name` is verified, and None where nobody is known by name."""

    proof: Proof
    name: str | None = None
    key_id: str | None = None
    # Of a token; then both are set, also where the subject is no operator.
    issuer: str | None = None
    subject: str | None = None
    kind: OperatorKind | None = None  # of the operator; None where it is none, or nobody has looked

    @property
    def basis(self) -> str:
        """How it is known, for the audit."""
        if self.subject is not None:
            return f"{self.proof.value} of {self.issuer}, subject {self.subject}"
        return self.proof.value if self.key_id is None else f"{self.proof.value}, key {self.key_id}"

    def actor(self, claimed: str | None = None) -> Actor:
        """For an event of the audit; `claimed` is the name that the request gives."""
        basis = None if claimed is None and self == UNCHECKED else self.basis
        return Actor(claimed, self.name, basis, self.kind)


UNCHECKED = Requester(Proof.UNCHECKED)
UNVERIFIED_EVENT = Requester(Proof.UNVERIFIED_EVENT)


class NotPermitted(CoordinatorError):
    """It is known who sends this, and he may not ask for it."""

    code = "CM-109"
    next_step = "Ask as an operator who may; [[operators]] in fleet.toml says who may what."


class Permissions:
    """What [[operators]] of fleet.toml allow."""

    def __init__(self, operators: Sequence[Operator] = DEFAULT_OPERATORS) -> None:
        self._operators = {operator.name: operator for operator in operators}
        self._subjects = {each.oidc_subject: each.name for each in operators if each.oidc_subject is not None}

    def name_of_subject(self, subject: str) -> str | None:
        """The operator whose tokens have this subject, letter by letter; None if there is none."""
        return self._subjects.get(subject)

    def with_kind(self, requester: Requester) -> Requester:
        """The requester with the kind of the operator that it is, for the audit."""
        operator = self._operators.get(requester.name or "")
        return requester if operator is None else replace(requester, kind=operator.kind)

    def require(
        self, requester: Requester, permission: Permission, services: Literal["all"] | Collection[str] = ()
    ) -> None:
        """Raises NotPermitted unless the requester may do this for all of these services."""
        if requester.name is None:
            if permission not in UNNAMED.get(requester.proof, frozenset()):
                raise NotPermitted(_unnamed(requester, permission))
            return
        operator = self._operators.get(requester.name)
        if operator is None:
            raise NotPermitted(f"{requester.name} is no operator of this fleet.")
        if permission not in operator.permissions:
            raise NotPermitted(f"The operator {operator.name} may not {permission.value}.")
        if operator.services != "all" and (others := _beyond(services, operator.services)):
            raise NotPermitted(f"The operator {operator.name} may not {permission.value} for {others}.")


def _unnamed(requester: Requester, permission: Permission) -> str:
    if requester.subject is not None:
        return f"No operator of this fleet has the oidc_subject {quote_for_message(requester.subject)}."
    return f"Whoever is not known by name may not {permission.value}."


def _beyond(services: Literal["all"] | Collection[str], permitted: Collection[str]) -> str:
    """The services that are not among the permitted ones, for a sentence; empty if there are none."""
    if services == "all":
        return "all services"
    return ", ".join(quote_for_message(name) for name in sorted(set(services) - set(permitted))[:5])
