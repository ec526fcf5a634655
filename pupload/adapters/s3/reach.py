"""How stores that flows bring along are kept from addresses that the operator does not let flows reach."""

import socket
from typing import Any, Protocol

import aiohttp

from pupload import errors

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


class Guard(Protocol):
    """Knows which addresses those are. All but the first raise `PermissionError` for them."""

    def objection(self, host: str) -> str | None:
        """What is wrong with a host as it is written; None for a name, of which only connecting tells."""

    def open_socket(self, info: AddrInfo) -> socket.socket:
        """A socket for this address, not connected yet."""

    def connect(self, host: str, port: int, timeout_seconds: float) -> socket.socket:
        """Connected to an address of the host. Blocks. Raises `OSError`."""

    def check(self, host: str, port: int) -> None:
        """Whether all addresses of the host may be connected to. Blocks. Raises `OSError`."""


def connector(guard: Guard | None, *, limit: int) -> aiohttp.TCPConnector:
    """Connects to what the guard allows, to everything where there is none: the operator's own store."""
    return aiohttp.TCPConnector(limit=limit, socket_factory=None if guard is None else guard.open_socket)


def refused(store: str) -> errors.StoreRefused:
    """The error for a store at such an address. Raised by the caller."""
    reason = "flows may not send this server to its address; the operator's `store_private_endpoints` decides"
    return errors.StoreRefused(store=store, code="AddressRefused", reason=reason)
