"""Ports: who has them, and which are free."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.infrastructure import ports
from scripts.infrastructure.errors import PortHeldForTheMoment, PortTaken
from scripts.infrastructure.ports import Reservations


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind((ports.LOOPBACK, 0))
        listening.listen()
        yield listening


@pytest.fixture
def taken(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def test_a_taken_port_is_not_free_and_its_owner_is_named(taken: int) -> None:
    assert not ports.is_free(taken)
    assert f"(pid {os.getpid()}, user " in ports.owner(taken)


def test_a_port_that_an_outgoing_connection_uses_is_named_too(taken: int) -> None:
    with socket.create_connection((ports.LOOPBACK, taken)) as connection:
        port = connection.getsockname()[1]
        assert not ports.is_free(port)
        assert f"(pid {os.getpid()}, user " in ports.owner(port)


def test_the_refusal_says_who_and_what_to_do(taken: int) -> None:
    with pytest.raises(PortTaken, match=rf"Port {taken} is taken by .*pid {os.getpid()}.* Stop it\."):
        ports.demand_free(taken, "Stop it.", "export PORT=1")


def test_a_port_that_only_an_outgoing_connection_has_is_not_called_taken(taken: int) -> None:
    """There is no program to stop and no server to use: the port comes back by itself."""
    with socket.create_connection((ports.LOOPBACK, taken)) as connection:
        port = connection.getsockname()[1]
        held = rf"Port {port} is held .* outgoing connection of .*pid {os.getpid()}.* Wait a minute .*: export PORT=1\."
        with pytest.raises(PortHeldForTheMoment, match=held):
            ports.demand_free(port, "Stop it.", "export PORT=1")


def test_a_port_that_a_closed_connection_had_is_named_as_such(listener: socket.socket) -> None:
    connection = socket.create_connection(listener.getsockname())
    port = connection.getsockname()[1]
    accepted, _ = listener.accept()
    connection.close()
    accepted.close()
    with pytest.raises(PortHeldForTheMoment, match=f"Port {port} is held for the moment by a connection that was clo"):
        ports.demand_free(port, "Stop it.", "export PORT=1")


def test_chosen_ports_are_different_and_free() -> None:
    chosen = ports.choose(50)
    assert len(set(chosen)) == 50
    assert all(ports.is_free(port) for port in chosen)


def test_two_sessions_never_choose_the_same_port(tmp_path: Path) -> None:
    """The lock, not luck: all blocks but the last are taken by the first."""
    first, second = Reservations(tmp_path), Reservations(tmp_path)
    theirs = {port for _ in ports.BLOCKS[1:] for port in first.reserve_block()}
    assert not set(second.reserve_block()) & theirs


def test_a_port_that_somebody_took_meanwhile_is_passed_over(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    (before,) = reservations.choose(1)
    with socket.socket() as stranger:
        stranger.bind((ports.LOOPBACK, before + 1))
        assert before + 1 not in reservations.choose(5)
