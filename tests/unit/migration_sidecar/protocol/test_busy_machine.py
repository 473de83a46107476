"""What the kernel tells of the time that a process waited for a processor."""

from __future__ import annotations

import os
from time import monotonic

from migration_sidecar.protocol.busy_machine import seconds_without_processor


def test_processes_that_share_a_processor_wait_for_it() -> None:
    (processor, *_) = os.sched_getaffinity(0)
    before, children = seconds_without_processor(), []
    usable = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {processor})
        for _ in range(2):
            child = os.fork()
            if child == 0:
                _compute(0.5)
                os._exit(0)
            children.append(child)
        _compute(0.5)
    finally:
        os.sched_setaffinity(0, usable)
        for child in children:
            os.waitpid(child, 0)
    assert seconds_without_processor() - before > 0.1


def test_of_a_process_that_is_not_there_nothing_is_told() -> None:
    assert seconds_without_processor(2**22 + 1) == 0.0


def _compute(seconds: float) -> None:
    until = monotonic() + seconds
    while monotonic() < until:
        pass
