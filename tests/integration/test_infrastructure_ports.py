"""Ports: who has them, and which are free."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from scripts.infrastructure import ports
from scripts.infrastructure.errors import PortTaken


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_is_not_free_and_its_owner_is_named(taken: int) -> None:
    assert not ports.is_free(taken)
    assert f"(pid {os.getpid()}, user " in ports.owner(taken)


def test_the_refusal_says_who_and_what_to_do(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"Port {taken} is taken by .*pid {os.getpid()}.* Stop it\."):
        ports.demand_free(taken, "Stop it.")


def test_chosen_ports_are_different_and_free() -> None:
    chosen = ports.choose(50)
    assert len(set(chosen)) == 50
    assert all(ports.is_free(port) for port in chosen)
