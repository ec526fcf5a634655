"""
Holds connections to addresses that the operator allows: `domain.reach` judges, this looks and connects.

What is judged is what is connected to, after names were resolved, so that it does not help to have a name resolve to
one address when it is looked at and to another when it is used (DNS rebinding). For whoever connects by a library:

- aiohttp makes its sockets by `TCPConnector(socket_factory=guard.open_socket)`;
- a library that lets one connect for it calls `connect`, which blocks;
- for a library that connects by itself there is only `check`, just before; between the two a name may change.
"""

import socket
from errno import EACCES
from typing import Any

from pupload.domain import reach

AddrInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]

_REFUSED = "the server may not be sent to this address"


class Guard:
    """Raises `PermissionError`, which does not tell the address: who gave the name may not know it."""

    def __init__(self, policy: reach.Policy) -> None:
        self._policy = policy

    def objection(self, host: str) -> str | None:
        """What is wrong with a host as it is written; None for a name, of which only connecting tells."""
        if host.lower().rstrip(".").rpartition(".")[2] == "localhost":
            host = "127.0.0.1"
        address = reach.spelled(host)
        return None if address is None else self._policy.objection(address)

    def open_socket(self, info: AddrInfo) -> socket.socket:
        """A socket for this address, not connected yet. Raises `PermissionError`."""
        family, kind, protocol, _, address = info
        self._judge(address[0])
        return socket.socket(family, kind, protocol)

    def connect(self, host: str, port: int, timeout_seconds: float) -> socket.socket:
        """Connected to the first address of the host that may be and can be. Blocks. Raises `OSError`."""
        failed: OSError = ConnectionError("the host has no address")
        for info in _resolve(host, port):
            try:
                opened = self.open_socket(info)
            except OSError as error:
                failed = error
                continue
            try:
                opened.settimeout(timeout_seconds)
                opened.connect(info[4])
                return opened
            except OSError as error:
                opened.close()
                failed = error
        raise failed

    def check(self, host: str, port: int) -> None:
        """Whether all addresses of the host may be connected to. Blocks. Raises `OSError`."""
        for *_, address in _resolve(host, port):
            self._judge(address[0])

    def _judge(self, address: str) -> None:
        if self._policy.objection(address) is not None:
            raise PermissionError(EACCES, _REFUSED)


def _resolve(host: str, port: int) -> list[AddrInfo]:
    return list(socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM))
