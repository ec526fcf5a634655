"""Nodes that move their bytes themselves, by URLs that they asked for and the operator allowed."""

import subprocess
from collections.abc import Callable

import pytest

from tests.system import flows
from tests.system.server import Server

PUT_BY_HAND = r"""
url=${OUTPUT_OUT_URL#http://}; host=${url%%/*}; path=/${url#*/}
wget -q -O /tmp/in "$INPUT_IN_URL"
tr a-z A-Z < /tmp/in > /tmp/out
mkfifo /tmp/answered  # a client that shuts its side down before the answer is taken for gone
{ printf 'PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %s\r\nConnection: close\r\n\r\n' \
    "$path" "$host" "$(wc -c < /tmp/out)"; cat /tmp/out; read -r _ < /tmp/answered; } |
  nc "${host%%:*}" "${host##*:}" | { head -1; echo > /tmp/answered; }
""".replace("${", "$${")  # the server puts values into ${...}


def bridge_address() -> str:
    """This machine's address on the engine's bridge; skips the test where there is none."""
    shown = subprocess.run(["ip", "-4", "-o", "addr", "show", "docker0"], capture_output=True, text=True, check=False)
    if shown.returncode != 0 or "inet " not in shown.stdout:
        pytest.skip("the engine has no bridge of its own here")
    return shown.stdout.split("inet ")[1].split("/")[0]


async def test_a_node_gets_and_puts_its_bytes_by_url(own_server: Callable[..., Server]) -> None:
    server = own_server(
        PUPLOAD_NETWORKS='["none","bridge"]',
        PUPLOAD_TRANSFERS='["files","urls"]',
        PUPLOAD_STORE_NODE_HOST=bridge_address(),
    )
    async with server.client() as client:
        order = flows.copying(PUT_BY_HAND, Network="bridge", Transfer="urls")
        run = await flows.finish(client, order, there=b"by hand")
        assert run["Status"] == "COMPLETE", run["NodeState"]
        assert await flows.get(run, "here") == b"BY HAND"


async def test_urls_are_refused_where_the_operator_does_not_allow_them(server: Server) -> None:
    async with server.client() as client:
        found = await client.validate(flows.copying("true", Network="bridge", Transfer="urls"))
        assert {finding["Code"] for finding in found["Findings"]} == {"POLICY_002", "POLICY_003"}
