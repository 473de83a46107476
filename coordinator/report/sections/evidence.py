"""The sections about evidence: results of the checks, the events, how to check them, and what they cannot prove."""

from __future__ import annotations

from coordinator.client.audit_verification import LiveVerdict
from coordinator.domain.reconciliation.reconciliation import AUDIT_SOURCE, CONFLICT
from coordinator.presentation.formatting import count
from coordinator.report.document import (
    BREAK,
    Block,
    Callout,
    Column,
    Commands,
    KeyValueList,
    Line,
    Paragraph,
    Points,
    Section,
    Subheading,
    Table,
    Tone,
    badge,
    code,
    text,
)
from coordinator.report.inputs import Anchor, Proof, ReportedEvent, RunFacts
from coordinator.report.phrases import clock, day, instant

EVENTS = [
    Column("No.", 1.2, True),
    Column("Time (UTC)", 2.1),
    Column("Event", 3.5),
    Column("Database", 2.6),
    Column("Hash of the event", 5.1),
    Column("Proof", 1.9),
]


def checked(facts: RunFacts) -> Section:
    """The results of all checks. The events that were checked follow in the section of `rests_on`."""
    return Section("What was checked", [*_notices(facts)])


def contradicts_record(facts: RunFacts) -> bool:
    """Whether a check contradicts the report. A check that was not possible does not contradict it."""
    return any(notice.tone is Tone.BAD for notice in _notices(facts))


def _notices(facts: RunFacts) -> list[Callout]:
    return [chain_notice(facts), proof_notice(facts), *_contested(facts), *_unsigned(facts), *_disagreements(facts)]


def proof_notice(facts: RunFacts) -> Callout:
    """Whether every event of the run is proven; also used by the summary in `build`."""
    proofs = [facts.evidence.of(event) for event in facts.events]
    forged = [event for event in facts.events if facts.evidence.of(event).forged]
    if forged:
        numbers = ", ".join(str(event.seq) for event in forged[:20])
        reasons = dict.fromkeys(f"{facts.evidence.of(event).trouble}." for event in forged[:20])
        lines = [text(f"Trust none of this. Numbers {numbers}:"), *map(text, reasons)]
        return Callout(Tone.BAD, "Events contradict their proof", lines)
    proven = [proof for proof in proofs if proof.anchor]
    if not proofs:
        return Callout(Tone.WARN, "There are no events", [text("The audit holds nothing about this request.")])
    if len(proven) == len(proofs):
        line = text(
            f"Events of this run: {len(proofs)}. Each is covered by a signed anchor: its hash was computed again from "
            "its content, and led to a signature that the public key confirms."
        )
        return Callout(Tone.GOOD, "Every event is proven", [line, _origin_of_keys(facts)])
    reasons = dict.fromkeys(proof.trouble for proof in proofs if not proof.anchor)
    line = text(
        f"{len(proven)} of {len(proofs)} events are covered by a signed anchor. The others: {'; '.join(reasons)}."
    )
    return Callout(Tone.WARN, "Not every event is proven yet", [line, _origin_of_keys(facts)])


def chain_notice(facts: RunFacts) -> Callout:
    """Whether the audit's chain is valid; also used by the summary in `build`."""
    chain = facts.evidence.chain
    if chain is None:
        return Callout(Tone.WARN, "The chain was not verified", [text("The audit gave no answer about its chain.")])
    _, *notes = map(text, chain.lines())
    if not chain.ok:
        where = f"The first event that is wrong is number {chain.first_bad_seq}. " if chain.first_bad_seq else ""
        return Callout(Tone.BAD, "The chain of the audit is broken", [text(f"{where}{chain.sentence}"), *notes])
    return Callout(Tone.GOOD, "The chain of the audit is whole", [text(_verified_range(chain)), *notes])


def evidence_section(facts: RunFacts) -> Section:
    """All events of the run, and the anchors that sign them."""
    days = {day(event.occurred_at) for event in facts.events}
    format_time = clock if len(days) == 1 else instant
    rows = [_event_row(event, facts.evidence.of(event), format_time(event.occurred_at)) for event in facts.events]
    caption = f"The events of this run, {days.pop()}" if len(days) == 1 else "The events of this run"
    line = text("Each line is one event of the audit, in the order in which the audit recorded the events.")
    blocks: list[Block] = [Paragraph(line), Table(caption, EVENTS, rows)]
    for anchor in facts.evidence.anchors:
        blocks += [Subheading(f"The anchor at number {anchor.seq}"), KeyValueList(_anchor_rows(anchor))]
    return Section("What this report rests on", blocks)


def check_yourself(facts: RunFacts) -> Section:
    """The commands with which a reader can check the events."""
    first = facts.events[0].event_id if facts.events else "EVENT_ID"
    return Section(
        "How to check it yourself",
        [
            Paragraph(
                text("If you can reach the fleet, verify the whole chain, and show the audit's events of this run:")
            ),
            Commands(["coordinator audit verify", f"coordinator audit show {facts.run.request_id}"]),
            Paragraph(
                text(
                    "Without the fleet and without trusting this program: take the proof of one event, and the public "
                    "keys from a person you trust. The verifier is one file and does not use this program."
                )
            ),
            Commands(
                [
                    f"coordinator audit proof {first} -o proof.json",
                    "python verify.py proof.json --keys audit-keys.json",
                ]
            ),
        ],
    )


def limits(facts: RunFacts) -> Section:
    """What the evidence cannot prove."""
    lines = [
        "It proves that the audit recorded these events and that nobody changed them after they were signed. "
        "It does not prove that the services reported the truth.",
        "Events after the last anchor are not signed yet. An administrator of the audit's database could rewrite "
        "these events, but no others, without a trace.",
        "It shows what was reported to the audit about this request. It does not show a change that a superuser made "
        "in a database without a migration; “coordinator audit reconcile” looks for gaps.",
        "Times are from the clocks of the machines that reported them. The numbers are in the order of arrival.",
    ]
    if not facts.evidence.keys_from:
        lines.append(
            "The public keys came from the same server as the events. An administrator of that server could have made "
            "both: print again with --keys and a file that you keep."
        )
    return Section("What this does not prove", [Points([text(line) for line in lines])])


def _origin_of_keys(facts: RunFacts) -> Line:
    if facts.evidence.keys_from:
        return text(f"The public keys were read from {facts.evidence.keys_from}, a file chosen for this printing.")
    return text("The public keys came from the server itself, see the last section.")


def _verified_range(chain: LiveVerdict) -> str:
    return (
        f"The audit computed the hashes of its {count(chain.events, 'event')} from number {chain.first_seq} to "
        f"{chain.last_seq} again; each follows from the one before. "
        f"Anchors sign it up to number {chain.anchored_seq}."
    )


def _event_row(event: ReportedEvent, proof: Proof, at: str) -> list[Line]:
    tone = Tone.GOOD if proof.anchor else Tone.BAD if proof.forged else Tone.WARN
    label = f"anchor {proof.anchor.seq}" if proof.anchor else "contradicted" if proof.forged else "not yet"
    outcome = (*BREAK, *text(event.outcome)) if event.outcome else ()
    return [
        text(event.seq),
        text(at),
        (*code(event.event_type), *outcome),
        code(event.database),
        code(proof.hash),
        badge(label, tone),
    ]


def _anchor_rows(anchor: Anchor) -> list[tuple[str, Line]]:
    return [
        ("Signed at", text(anchor.signed_at)),
        ("Signs the hash", code(anchor.hash)),
        ("Key", code(anchor.key_id)),
        ("Signature (Ed25519)", code(anchor.signature)),
    ]


def _contested(facts: RunFacts) -> list[Callout]:
    """Of an event that was told with two contents, nobody but a person can say which one is true."""
    told = [event for event in facts.events if event.event_type == CONFLICT and event.source == AUDIT_SOURCE]
    lines = [text(f"Event {event.detail.get('seq')}: event {event.seq} tells of the second content.") for event in told]
    if not lines:
        return []
    how = text("One of the two was forged or sent by mistake. The view audit.contested shows both.")
    return [Callout(Tone.BAD, "Events were told twice, with different contents", [*lines[:20], how])]


def _unsigned(facts: RunFacts) -> list[Callout]:
    """A record that anybody who reaches the state store could have written: the whole fleet must be asked for that."""
    if not facts.recorded or facts.run.is_signed is not False:
        return []
    line = text(
        "It is of an earlier release, was signed with a key that was retired, or was written past the coordinator."
        " Only coordinator audit reconcile, which sees the records of all runs, can tell."
    )
    return [Callout(Tone.WARN, "The run record bears no signature of the coordinator", [line])]


def _disagreements(facts: RunFacts) -> list[Callout]:
    if not facts.recorded:
        line = text("There is no run record; everything above the evidence was put together from the audit's events.")
        return [Callout(Tone.WARN, "From the audit alone", [line])]
    if facts.disagreements is None:
        line = text("The run record is of another release than this program, which cannot compare it with the audit.")
        return [Callout(Tone.WARN, "The run record was not compared with the audit", [line])]
    if facts.disagreements:
        lines = [text(one) for one in facts.disagreements[:20]]
        return [Callout(Tone.BAD, "The run record and the audit disagree", lines)]
    line = text("What the run record says of each database is what the audit holds of it.")
    return [Callout(Tone.GOOD, "The run record and the audit agree", [line])]
