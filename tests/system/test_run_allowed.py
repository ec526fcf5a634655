"""`pupload/run`: any line of shell, in any image, where the operator's policy says so."""

import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pupload import errors
from pupload.cli import borrowing
from pupload.client import Client
from tests import images
from tests.system import flows
from tests.system.conftest import only_here
from tests.system.server import Server

LINE = 'tr a-z A-Z <"$INPUT_TEXT" >"$OUTPUT_LOUD"; echo "in $PWD, $HOME at home, $#"'


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose operator allows every type, and not every image."""
    subprocess.run(["scripts/node-images", "run", "resize"], check=True, capture_output=True)
    folder = tmp_path_factory.mktemp("opened")
    policy = folder / "policy.yaml"
    policy.write_text("Types: {Deny: []}\nImages: {Deny: [pupload/resize]}\n")
    with only_here(folder, PUPLOAD_POLICY=str(policy), PUPLOAD_MEMOIZE="true") as found:
        yield found


def an_order(line: str, image: str = "") -> flows.Json:
    flags = {"line": line, **({"image": image} if image else {})}
    node = flows.a_node("step", inputs={"text": "there"}, outputs={"loud": "here"}, flags=flags)
    return flows.an_order([{**node, "Uses": "pupload/run"}], [])


async def lined(client: Client, order: flows.Json) -> tuple[flows.Json, list[str]]:
    """The run of an order, ended, and what its node said."""
    done = await flows.finish(client, order, there=b"quiet words")
    logs = await client.logs(done["ID"], node="step")
    return done, [record["message"] for record in logs["Logs"]]


async def test_it_is_off_until_the_policy_allows_it(server: Server, client: Client) -> None:
    """It is refused where the flow names it, at a server without a policy, and nothing of it is kept."""
    before = await client.list()
    for image in ("", images.busybox()):
        with pytest.raises(errors.Invalid) as caught:
            await client.start(an_order(LINE, image))
        (found,) = [each for each in caught.value.findings if each.is_error]
        assert (found.code, found.path) == ("POLICY_010", "/Flow/Nodes/0/Uses")
        assert "Node step uses pupload/run, which the operator's policy does not allow" in found.description
    assert await client.list() == before


@pytest.mark.timeout(900)  # whoever comes first builds the image
@pytest.mark.parametrize("image", ["", images.BUSYBOX, "pupload/base:bookworm"])
async def test_a_line_runs_in_the_image_that_the_node_names(opened: Server, image: str) -> None:
    images.busybox()
    async with opened.client() as client:
        done, said = await lined(client, an_order(LINE, image))
        assert done["Status"] == "COMPLETE", done["Error"]
        assert await flows.get(done, "here") == b"QUIET WORDS"
        started = [event async for event in client.events(done["ID"]) if event.kind == "node.started"]
    assert said == ["in /tmp, /tmp at home, 0"]
    assert [event.data["Data"]["Image"] for event in started] == [image_id(image or "pupload/run:latest")]


async def test_a_parameter_may_choose_the_image_and_no_image_that_is_denied(opened: Server) -> None:
    order = an_order(LINE, "${param.image}")
    async with opened.client() as client:
        done, _ = await lined(client, {**order, "Params": {"image": images.busybox()}})
        assert done["Status"] == "COMPLETE", done["Error"]
        for image, code in (("pupload/resize:latest", "POLICY_001"), ("--privileged", "NODE_015")):
            with pytest.raises(errors.Invalid) as caught:
                await client.start({**order, "Params": {"image": image}})
            (found,) = [each for each in caught.value.findings if each.is_error]
            assert (found.code, found.path) == (code, "/Flow/Nodes/0/Flags/1/Value")


async def test_work_is_used_again_in_the_same_image_alone(opened: Server) -> None:
    line = 'cat "$INPUT_TEXT" /etc/os-release 2>/dev/null >"$OUTPUT_LOUD" || true; echo again'
    async with opened.client() as client:
        first, _ = await lined(client, an_order(line))
        again, _ = await lined(client, an_order(line))
        other, _ = await lined(client, an_order(line, images.busybox()))
    reused = [run["NodeState"]["step"].get("Reused", False) for run in (first, again, other)]
    assert reused == [False, True, False]


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("echo '${line} $$ [x ${image}] `'; false; echo no", 1, "${line} $$ [x ${image}] `"),
        ("-x", 127, "-x: not found"),
        ("echo one\necho $(echo two | wc -w); exit 3", 3, "one"),
        ("", 64, "flag line must be a line of shell"),
        ("echo $NONE", 2, "NONE: parameter not set"),
    ],
)
async def test_a_line_is_one_argument_whatever_is_in_it(opened: Server, line: str, code: int, says: str) -> None:
    async with opened.client() as client:
        done, said = await lined(client, an_order(line, images.busybox()))
    assert done["NodeState"]["step"]["ExitCode"] == code
    assert says in said[0]


async def test_an_image_without_a_shell_is_told_in_words(opened: Server) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("nothing"))
    image = images.make("pupload-test/shell-less:1", content.getvalue(), changes=('ENTRYPOINT ["/nothing"]',))
    async with opened.client() as client:
        done, _ = await lined(client, an_order(LINE, image))
    assert done["Status"] == "ERROR"
    assert "/bin/sh" in done["Error"]
    assert "no such file" in done["Error"]


async def test_the_server_of_a_test_alone_runs_every_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`pup node test` starts one; who has a policy of their own keeps it."""
    for name in [name for name in os.environ if name.startswith("PUPLOAD_")]:
        monkeypatch.delenv(name)
    order = an_order(LINE, images.busybox())
    async with borrowing.own_server(None, every_type=True) as url, Client(url) as client:
        done, _ = await lined(client, order)
    assert done["Status"] == "COMPLETE"
    policy = tmp_path / "policy.yaml"
    policy.write_text("Images: {}\n")
    async with borrowing.own_server(None, every_type=True, policy=policy) as url, Client(url) as client:
        with pytest.raises(errors.Invalid):
            await client.start(order)


def image_id(reference: str) -> str:
    told = subprocess.check_output(["docker", "image", "inspect", "-f", "{{.Id}}", reference], text=True)
    return told.strip()
