"""Connections that go where the operator lets them, whatever names resolve to."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from pupload.adapters.system import outbound
from pupload.domain import reach

STRICT, AT_HOME = outbound.Guard(reach.Policy()), outbound.Guard(reach.Policy(private=True))


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a socket on loopback that nobody may find."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.fixture
def neighbour() -> Iterator[int]:
    """The port of a socket on loopback that is there for us."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Names resolve to the first of these addresses, then to the next."""
    left = list(answers)

    def resolve(host: str, port: int, **_: Any) -> list[outbound.AddrInfo]:
        found = left.pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_host_as_written_is_judged_by_what_it_spells() -> None:
    assert STRICT.objection("0x7f.1")
    assert STRICT.objection("localhost")
    assert STRICT.objection("Store.LOCALHOST.")
    assert STRICT.objection("s3.example") is None
    assert STRICT.objection("localhost.example") is None
    assert AT_HOME.objection("localhost") is None
    assert AT_HOME.objection("169.254.169.254")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0177.1"])
def test_no_connection_is_made_to_what_is_not_allowed(host: str, listening: int) -> None:
    with pytest.raises(PermissionError):
        STRICT.connect(host, listening, 5)
    with pytest.raises(PermissionError):
        STRICT.check(host, listening)


def test_a_connection_is_made_to_what_is_allowed(neighbour: int) -> None:
    AT_HOME.check("localhost", neighbour)
    with AT_HOME.connect("localhost", neighbour, 5) as connection:
        assert connection.getpeername() == ("127.0.0.1", neighbour)


def test_a_name_is_resolved_once_for_looking_and_connecting(monkeypatch: pytest.MonkeyPatch, neighbour: int) -> None:
    resolving(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
    with AT_HOME.connect("turns.example", neighbour, 5) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_one_allowed_address_among_others_is_the_one_that_is_used(
    monkeypatch: pytest.MonkeyPatch, neighbour: int
) -> None:
    resolving(monkeypatch, ["169.254.169.254", "127.0.0.1", "0.0.0.0"])
    with AT_HOME.connect("mixed.example", neighbour, 5) as connection:
        assert connection.getpeername()[0] == "127.0.0.1"


def test_looking_alone_wants_every_address_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, ["127.0.0.1", "169.254.169.254"])
    with pytest.raises(PermissionError) as refused:
        AT_HOME.check("mixed.example", 80)
    assert "169.254" not in str(refused.value)


def test_a_port_where_nobody_listens_is_told_as_that() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        AT_HOME.connect("127.0.0.1", port, 5)


def test_a_host_without_addresses_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, [])
    with pytest.raises(ConnectionError):
        AT_HOME.connect("none.example", 80, 5)
