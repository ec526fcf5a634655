"""
Whether nodes on a network would reach the machine's metadata service.

A cloud gives its machines keys at an address that every process on them can ask, containers on a bridge included, and
the engine has no setting against that: a packet filter must forbid it. Trying it from a container is the only way to
know, so `pup doctor` does.
"""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from pupload import errors
from pupload.adapters.docker import calls

ADDRESS = "169.254.169.254"
"""Of Amazon, Google, Azure and most others."""

PORT = 80

RULE = f"iptables -I DOCKER-USER -d {ADDRESS} -j REJECT"
"""What forbids it to all containers of the machine's engine, on its bridge and on networks of its own."""

_IMAGES = ("pupload/base:bookworm", "pupload/resize:latest")
"""Any with bash and timeout in it; those that ship."""

_PATIENCE_SECONDS = 3
_REACHED = 0


async def reached(engine: calls.Calls, network: str, *, address: str = ADDRESS, port: int = PORT) -> bool | None:
    """
    Whether a container on the network can connect to the address; None when there is no image to try it with.

    Raises `errors.ExecutorUnavailable`.
    """
    image = await _an_image(engine, _IMAGES)
    if image is None:
        return None
    asked = {
        "Image": image,
        "Entrypoint": ["timeout", str(_PATIENCE_SECONDS), "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"],
        "Cmd": [],
        "User": "65534:65534",
        "HostConfig": {
            "NetworkMode": network,
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "Memory": 64 << 20,
            "PidsLimit": 16,
        },
    }
    name = f"pupload-doctor-{secrets.token_hex(6)}"
    try:
        await engine.slow(lambda client: client.create_container_from_config(asked, name))
        await engine.slow(lambda client: client.start(name))
        ended = await engine.slow(lambda client: client.wait(name, timeout=_PATIENCE_SECONDS * 10))
    finally:
        with suppress(errors.ExecutorUnavailable):
            await engine.slow(lambda client: client.remove_container(name, v=True, force=True))
    return int(ended["StatusCode"]) == _REACHED


async def _an_image(engine: calls.Calls, names: Sequence[str]) -> str | None:
    for name in names:
        with suppress(calls.Refusal):
            found: dict[str, str] = await engine.quick(partial(_inspected, name))
            return found["Id"]
    return None


def _inspected(name: str, client: calls.Sdk) -> dict[str, str]:
    found: dict[str, str] = client.inspect_image(name)
    return found
