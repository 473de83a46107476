"""The sections about who requested the run and why, and about who approved it."""

from __future__ import annotations

import json

from coordinator.report.document import Block, KeyValueList, Line, Paragraph, Quote, Section, code, text
from coordinator.report.inputs import ReportedEvent, RunFacts
from coordinator.report.phrases import instant, known_by, revision_list

UNKNOWN_ACTOR = "unknown"  # the actor of a request without a name
POLICIES = {
    "stop": "stop at the first failure; databases that were not started stay unchanged",
    "continue": "continue with databases that do not depend on the one that failed",
    "compensate": "take back the changes of this run",
}


def request_section(facts: RunFacts) -> Section:
    """Who requested the run, how that name is known, what was requested, and the reason."""
    run, requested = facts.run, facts.first("migration.requested", "migration.rejected")
    basis = requested.detail.get("actor_basis") if requested else None
    actor, claimed = _known_name(requested.actor if requested else ""), _claimed(facts, requested)
    actor = actor or claimed
    rows: list[tuple[str, Line]] = [("Asked by", text(actor or "not known"))]
    if actor:
        rows.append(("How that is known", text(known_by(basis))))
    if kind := requested.detail.get("actor_kind") if requested else None:
        rows.append(("Kind of operator", text(str(kind))))
    if claimed and claimed != actor:
        rows.append(("Name given in the request", text(claimed)))
    if not run.asked("services"):
        line = text("The audit records that the request was refused, but not what it asked for.")
        return Section("Who asked, and why", [KeyValueList(rows), Paragraph(line)])
    rows += [
        ("Accepted", text(f"{instant(run.accepted_at)} UTC" if run.accepted_at else "never")),
        ("Services asked for", _services(run.asked("services"))),
        ("Target", _target(run.asked("target"))),
    ]
    if policy := POLICIES.get(str(run.asked("on_failure"))):
        rows.append(("If a database fails", text(policy)))
    if run.request_digest:
        rows.append(("SHA-256 of the request", code(run.request_digest)))
    return Section("Who asked, and why", [KeyValueList(rows), *_reason(str(run.asked("reason") or ""))])


def approved(facts: RunFacts) -> Section:
    """Requests that call for an approval are refused until approvals are built."""
    line = text(
        "Nobody had to: the request was refused before that."
        if facts.run.state == "rejected"
        else "No approval was asked for: the request left it at “none”, and the audit holds no approval for this run."
    )
    return Section("Who agreed", [Paragraph(line)])


def _claimed(facts: RunFacts, requested: ReportedEvent | None) -> str:
    in_audit = requested.detail.get("requested_by") if requested else None
    return _known_name(str(facts.run.asked("requested_by") or in_audit or ""))


def _known_name(actor: str) -> str:
    return "" if actor == UNKNOWN_ACTOR else actor


def _reason(reason: str) -> list[Block]:
    if not reason:
        return [Paragraph(text("No reason was given."))]
    return [Paragraph(text("The reason, in the words of the request:")), Quote(reason.splitlines() or [reason])]


def _services(services: object) -> Line:
    if isinstance(services, list):
        return revision_list([str(service) for service in services])
    return text("every one of the fleet" if services == "all" else "not known")


def _target(target: object) -> Line:
    if isinstance(target, dict):
        return code(json.dumps(target, ensure_ascii=False))
    ends = {"head": "the newest revision of each", "heads": "all heads of each"}
    return text(ends.get(str(target or "head"), str(target)))
