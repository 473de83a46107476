"""The types of the progress events."""

from __future__ import annotations

from enum import StrEnum


class ProgressEventType(StrEnum):
    """CloudEvent types on the topic migrate.events."""

    ACCEPTED = "migrate.accepted"
    REJECTED = "migrate.rejected"
    STEP_FINISHED = "migrate.step.finished"
    FINISHED = "migrate.finished"
