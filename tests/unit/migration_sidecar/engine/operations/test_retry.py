"""What is worth waiting for, and how often a server is asked meanwhile."""

from __future__ import annotations

import pytest

from migration_sidecar.contract.errors import DatabaseUnreachable, UnknownTarget
from migration_sidecar.engine.operations.retry import _is_transient


def unreachable(code: str, *, retryable: bool = True) -> DatabaseUnreachable:
    return DatabaseUnreachable(code, "detail", retryable=retryable)


def test_a_server_without_a_free_connection_is_asked_once_a_second_at_most() -> None:
    assert all(1 <= _is_transient(unreachable("CM-531")) <= 3 for _ in range(100))


@pytest.mark.parametrize("code", ["CM-513", "CM-521", "CM-532"])
def test_what_passes_by_itself_is_waited_for(code: str) -> None:
    assert _is_transient(unreachable(code)) is True


@pytest.mark.parametrize("error", [unreachable("CM-501", retryable=False), UnknownTarget("a"), ValueError()])
def test_what_does_not_pass_is_told_at_once(error: Exception) -> None:
    assert _is_transient(error) is False
