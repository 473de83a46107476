"""What a comparison can find wrong: one kind for each way in which records can contradict each other."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class Kind(StrEnum):
    """The kinds. Their values are part of `--json` output."""

    NOT_IN_AUDIT = "not_in_audit"  # a journal has it, and its service noted that the audit took it
    NEVER_SENT = "never_sent"  # a journal has it, and it has waited longer than a relay ever does
    UNREADABLE_ROW = "unreadable_row"  # a journal has a row that its own service cannot make an event of
    NOT_IN_JOURNAL = "not_in_journal"  # the audit has it from a journal that has no such row
    OTHER_CONTENT = "other_content"  # one event with different content in two places
    CONTESTED = "contested"  # an event id was told to the audit with two contents; it kept the first one
    UNKNOWN_SOURCE = "unknown_source"  # no service of the fleet could have sent it
    RUN_NOT_IN_AUDIT = "run_not_in_audit"  # a run record says it happened, and the audit does not
    NOT_IN_ANY_JOURNAL = "not_in_any_journal"  # a run record says that it was applied, and no journal has it
    NOT_IN_RUN_RECORD = "not_in_run_record"  # a journal says that an operation of a run did it, and its record does not
    UNSIGNED_RECORD = "unsigned_record"  # a record without a signature, of a time when the coordinator signed
    NO_RUN_RECORD = "no_run_record"  # the audit has events of a run without a record
    NOT_OF_THE_RUN = "not_of_the_run"  # the audit has an event of a run that its record does not have
    APPLIED_TWICE = "applied_twice"  # a revision took effect twice without being reverted between
    HISTORY_BROKEN = "course_broken"  # a revision began where the one before did not end
    VERSION_UNEXPLAINED = "version_unexplained"  # the version table is not where the journal ends
    ATTEMPT_WITHOUT_END = "attempt_without_end"  # it began, its operation is over, and nothing says how it ended
    ATTEMPT_MISSING = "attempt_missing"  # the journal has what follows from it, and not the attempt
    NOT_VERIFIED = "not_verified"  # the audit's own chain does not hold


class Discrepancy(BaseModel):
    """One discrepancy: a sentence for people, and the facts for programs."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    sentence: str
    service: str | None = None
    request_id: str | None = None
    event_id: str | None = None
    seq: int | None = None  # of the audit
