"""
Secrets on a real server and engine: a node has them, and nobody else (I11), whatever happens to the server.

What is looked through are all bytes that the server keeps, all it logs at DEBUG, and all that the engine tells of the
container.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pupload.adapters.system import memory
from tests.system import flows
from tests.system.server import Server

MARKER = "MARKER-9f86d081/884c=7d"
KEY = f"-----BEGIN KEY-----\n{MARKER}+line\nxyz\n-----END KEY-----"

READ = (
    'cat "$FLAG_TOKEN"; echo; cat /run/secrets/PRIVATE; echo; '
    'echo "{\\"message\\": \\"token $(cat "$FLAG_TOKEN")\\"}"; base64 -w0 "$FLAG_TOKEN"; echo; '
)
LOOK = (
    "grep ' /run/secrets ' /proc/mounts; ls -ln /run/secrets/TOKEN; "
    "(echo x > /run/secrets/new) 2>/dev/null || echo cannot write; "
    "(rm -f /run/secrets/TOKEN) 2>/dev/null || echo cannot remove; "
)

pytestmark = pytest.mark.skipif(memory.place() is None, reason="this machine has no folder in memory")


def an_order(script: str) -> flows.Json:
    """One node that names a secret in a flag, and whose definition names another."""
    node = flows.a_node("step", flags={"token": "${secret.TOKEN}"})
    return flows.an_order([node], [flows.a_script("step", script, Secrets=["PRIVATE"])])


async def set_both(server: Server) -> None:
    async with server.client() as client:
        await client.put_secret("TOKEN", MARKER)
        await client.put_secret("PRIVATE", KEY)


def handed_out(server: Server) -> list[Path]:
    """What nodes were given and is still there."""
    place = memory.place()
    assert place is not None
    return [path for path in (place / f"pupload-{server.instance}").rglob("*") if path.is_file()]


def forms() -> Iterator[bytes]:
    """What is looked for."""
    yield MARKER.encode()
    yield base64.b64encode(MARKER.encode()).rstrip(b"=")
    yield b"9f86d081%2F884c%3D7d"
    yield b"9f86d081"


def leaks(what: str, data: bytes) -> list[str]:
    return [f"{what} holds {form!r}" for form in forms() if form in data]


def leaks_in(folder: Path) -> list[str]:
    """Every byte of every file below it."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    return [leak for path in files for leak in leaks(str(path.relative_to(folder)), path.read_bytes())]


async def told(server: Server, run: flows.Json) -> dict[str, bytes]:
    """All that the API tells of the run."""
    async with server.client() as client:
        answers: dict[str, Any] = {
            "status": await client.status(run["ID"]),
            "logs": await client.logs(run["ID"]),
            "events": [event.data async for event in client.events(run["ID"])],
            "list": await client.list(),
            "secrets": await client.secrets(),
        }
    return {name: json.dumps(answer, ensure_ascii=False).encode() for name, answer in answers.items()}


async def test_a_node_reads_its_secrets_and_nothing_else_holds_them(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_LOG_LEVEL="DEBUG", PUPLOAD_ACCESS_LOG="true")
    await set_both(server)
    async with server.client() as client:
        last = 'echo "and on stderr: $(cat "$FLAG_TOKEN")" >&2; exit 3'
        run = await client.start(an_order(f"{LOOK}{READ}{flows.HOLD}{last}"))
        await flows.until_line(client, run, "held")
        (container,) = server.containers(run=run["ID"])
        files = handed_out(server)
        assert sorted(path.name for path in files) == ["PRIVATE", "TOKEN"]
        await flows.let_go(server, run)
        run = await client.wait(run["ID"])
        said = await flows.said(client, run)
    # The node itself had everything.
    assert said[0].startswith("tmpfs /run/secrets tmpfs ro,")
    assert said[1].startswith("-r--------")
    assert " 65534 " in said[1]
    assert said[2:4] == ["cannot write", "cannot remove"]
    assert said[4:9] == ["***", "***", "***", "xyz", "***"]
    assert said[9:11] == ["token ***", "***"]
    assert run["NodeState"]["step"]["Error"] == "exit code 3: and on stderr: ***"
    # Nobody else had anything: of the mount only its path is told.
    assert not leaks("docker inspect", json.dumps(container, ensure_ascii=False).encode())
    mounts = {mount["Destination"]: mount for mount in container["Mounts"]}
    assert mounts["/run/secrets"]["RW"] is False
    assert mounts["/run/secrets"]["Source"] == str(files[0].parent)
    assert container["Config"]["Env"].count("FLAG_TOKEN=/run/secrets/TOKEN") == 1
    assert not [leak for name, answer in (await told(server, run)).items() for leak in leaks(name, answer)]
    assert not handed_out(server)
    assert not leaks("the server's log", server.stderr().encode())
    assert not leaks_in(server.folder)
    server.stop()
    assert not leaks_in(server.folder)


async def test_a_server_that_is_killed_leaves_no_secret_behind(own_server: Callable[..., Server]) -> None:
    server = own_server()
    await set_both(server)
    async with server.client() as client:
        run = await client.start(an_order(f"{flows.HOLD}{READ}"))
        await flows.until_line(client, run, "held")
    server.kill()
    assert len(handed_out(server)) == 2, "the container goes on and needs them"
    orphan = handed_out(server)[0].parent.parent / f"run_{'0' * 26}.step.1"
    orphan.mkdir()
    (orphan / "TOKEN").write_text(MARKER)
    server.start()
    async with server.client() as client:
        await client.put_secret("TOKEN", "another value by now")
        await flows.let_go(server, run)
        run = await client.wait(run["ID"])
        assert run["Status"] == "COMPLETE", run["Error"]
        assert (await flows.said(client, run))[:3] == ["held", "***", "***"]
    assert not [leak for name, answer in (await told(server, run)).items() for leak in leaks(name, answer)]
    await gone(lambda: not handed_out(server))
    assert not leaks_in(server.folder)


async def test_a_server_that_is_killed_while_it_hands_out_leaves_no_secret(own_server: Callable[..., Server]) -> None:
    """Killed at whatever moment before the container runs: what lies there then goes at the next start."""
    server = own_server()
    await set_both(server)
    async with server.client() as client:
        run = await client.start(an_order(READ))
    server.kill()
    server.start()
    async with server.client() as client:
        run = await client.wait(run["ID"])
        assert run["Status"] == "COMPLETE", run["Error"]
    await gone(lambda: not handed_out(server))
    assert not leaks_in(server.folder)


async def test_an_attempt_that_never_starts_leaves_no_secret(own_server: Callable[..., Server]) -> None:
    server = own_server()
    await set_both(server)
    order = an_order(READ)
    order["NodeDefs"][0]["Command"]["Exec"] = ["/no/such/program"]
    async with server.client() as client:
        run = await flows.finish(client, order)
        assert run["Status"] == "ERROR"
    assert not handed_out(server)


async def test_a_stores_keys_are_looked_up_whenever_they_are_needed(own_server: Callable[..., Server]) -> None:
    """After a restart as well; one that is taken away meanwhile stops nothing for good."""
    server = own_server()
    keys = server.credentials
    params = {
        "Endpoint": f"127.0.0.1:{server.store_port}",
        "BucketName": "pupload",
        "AccessKey": "${secret.S3_ID}",
        "SecretKey": "${secret.S3_KEY}",
        "Secure": False,
    }
    order = flows.copying()
    order["Flow"]["Stores"] = [{"Name": "elsewhere", "Type": "s3", "Params": params}]
    order["Flow"]["DataWells"] = [
        {"Edge": "there", "Store": "elsewhere", "Source": "upload", "Key": "own/${RUN_ID}/in"},
        {"Edge": "here", "Store": "elsewhere", "Key": "own/${RUN_ID}/out"},
    ]
    async with server.client() as client:
        await client.put_secret("S3_ID", keys["access_key"])
        await client.put_secret("S3_KEY", keys["secret_key"])
        run = await client.start(order)
    server.kill()
    server.start()
    async with server.client() as client:
        await client.remove_secret("S3_KEY")
        run = await client.status(run["ID"])
        assert run["Status"] == "WAITING"
        await client.put_secret("S3_KEY", keys["secret_key"])
        run = await client.status(run["ID"])
        assert await flows.put(run, "there", b"far away") == 200
        done = await client.wait(run["ID"])
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "here") == b"far away"
    for name, answer in (await told(server, run)).items():
        assert keys["secret_key"].encode() not in answer, name
    database = b"".join(path.read_bytes() for path in server.data.glob("pupload.db*"))
    assert keys["secret_key"].encode() not in database


async def gone(condition: Callable[[], bool]) -> None:
    """An attempt is cleaned up once its end was told, and nobody is told of that."""
    for _ in range(300):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it never came to be")
