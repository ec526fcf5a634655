"""
Credentials on a real server and engine: a node that names a value of one has it, and nobody else does.

What is looked through are all bytes that the server keeps, all it logs at DEBUG, and all that the engine tells of the
container.
"""

import json
from collections.abc import Callable

import pytest

from pupload.adapters.system import memory
from tests.faults.test_secrets import MARKER, handed_out, leaks, leaks_in, told
from tests.system import flows
from tests.system.server import Server

CREDENTIALS = "/api/v1/flow/credentials"

READ = 'cat "$FLAG_KEY"; echo; cat "$FLAG_HEADERS"; echo; echo "sending X-Key: $(cut -d\'"\' -f4 "$FLAG_HEADERS")"; '

pytestmark = pytest.mark.skipif(memory.place() is None, reason="this machine has no folder in memory")


def an_order(script: str) -> flows.Json:
    flags = {"key": "${credential.provider.api_key}", "headers": "${credential.1.custom_headers}"}
    return flows.an_order([flows.a_node("step", flags=flags)], [flows.a_script("step", script)])


async def test_a_node_reads_what_it_names_and_nothing_else_holds_it(own_server: Callable[..., Server]) -> None:
    server = own_server(PUPLOAD_LOG_LEVEL="DEBUG", PUPLOAD_ACCESS_LOG="true")
    detail = {"api_key": MARKER, "custom_headers": {"X-Key": f"{MARKER}2"}, "base_url": "http://127.0.0.1:9"}
    async with server.client() as client:
        made = await client.ask("POST", CREDENTIALS, {"Name": "provider", "Type": "llm", "Detail": detail})
        assert made["ID"] == 1
        tried = await client.ask("POST", f"{CREDENTIALS}/1/test", {})
        last = 'echo "and on stderr: $(cat "$FLAG_KEY")" >&2; exit 3'
        run = await client.start(an_order(f"{READ}{flows.HOLD}{last}"))
        await flows.until_line(client, run, "held")
        (container,) = server.containers(run=run["ID"])
        assert sorted(path.name for path in handed_out(server)) == ["api_key@provider", "custom_headers@1"]
        await flows.let_go(server, run)
        run = await client.wait(run["ID"])
        said = await flows.said(client, run)
        listed = await client.ask("GET", CREDENTIALS)
        await client.rotate_secrets(new_key=True)
        again = await client.ask("GET", f"{CREDENTIALS}/provider")
    # The node itself had everything.
    assert said[:3] == ["***", "***", "sending X-Key: ***"]
    assert run["NodeState"]["step"]["Error"] == "exit code 3: and on stderr: ***"
    # Nobody else had anything.
    assert container["Config"]["Env"].count("FLAG_KEY=/run/secrets/api_key@provider") == 1
    for what, document in {"docker inspect": container, "answers": [made, tried, listed, again]}.items():
        assert not leaks(what, json.dumps(document, ensure_ascii=False).encode())
    assert not [leak for name, answer in (await told(server, run)).items() for leak in leaks(name, answer)]
    assert not handed_out(server)
    assert not leaks("the server's log", server.stderr().encode())
    assert not leaks_in(server.folder)
    server.stop()
    assert not leaks_in(server.folder)
