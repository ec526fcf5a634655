"""`pup`, from the words on the command line to what is printed and how it ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer

from pupload import doctor, offline
from pupload.api.flow import wire
from pupload.cli import main, servers, trial
from pupload.cli.failures import Usage
from pupload.domain.flow import Callback
from pupload.ports import ProbeLine
from tests.api.house import a_house
from tests.bench import PNG
from tests.builders import a_flow, a_node, a_well, definitions_for


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PUPLOAD_URL", raising=False)


class Pup:
    """Runs command lines in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.said = ""
        self.complaint = ""

    def __call__(self, *arguments: str) -> int:
        self._capsys.readouterr()
        code = main.run(list(arguments))
        self.said, self.complaint = self._capsys.readouterr()
        return code

    @property
    def json(self) -> Any:
        """What was said, as JSON."""
        return json.loads(self.said)


@pytest.fixture
def pup(capsys: pytest.CaptureFixture[str]) -> Pup:
    return Pup(capsys)


@pytest.fixture
def project(pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    assert pup("init", "demo") == 0
    monkeypatch.chdir(tmp_path / "demo")
    return tmp_path / "demo"


# ── The policy ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_policy_is_checked_and_shown(pup: Pup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("Images:\n  Allow: [acme/*]\nTimeouts:\n  Nodes: 1h\n")
    assert pup("policy", "check", str(file)) == 1
    assert pup.complaint == f"pup: {file}:4: Timeouts.Nodes is not known; did you mean Timeouts.Node?\n"
    file.write_text("Images:\n  Allow: [acme/*]\n")
    assert pup("policy", "check", str(file)) == 0
    assert "can be used" in pup.said
    monkeypatch.setenv("PUPLOAD_POLICY", str(file))
    assert pup("policy", "show") == 0
    # What is printed says everything, and reads as the same policy.
    shown = tmp_path / "shown.yaml"
    shown.write_text(pup.said)
    assert offline.read_policy(shown) == offline.read_policy(file)
    assert pup("policy", "show", "--json") == 0
    assert pup.json["Images"] == {"Allow": ["acme/*"], "Deny": [], "RequireDigest": False}


STEPS = list(pairwise("abcdefg"))
BOMB = "a: &a [1]\n" + "".join(f"{new}: &{new} [{f'*{old},' * 9}]\n" for old, new in STEPS)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Networks: [host]", "policy.yaml:1: Networks cannot allow host"),
        ("a: [", "policy.yaml:1"),
        ("x" * (1 << 20) + "y", "is larger than 1048576 bytes"),
        ("a: *b", "policy.yaml:1"),
        (BOMB, "more than 100000 values once its aliases are written out"),
    ],
    ids=["a mistake", "no YAML", "too large", "an alias of nothing", "a bomb"],
)
def test_a_policy_that_cannot_be_read_is_refused_with_the_reason(
    pup: Pup, tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "policy.yaml").write_text(text)
    assert pup("policy", "check", str(tmp_path / "policy.yaml")) == 1
    assert sentence in pup.complaint


# ── A project ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_project_is_valid(pup: Pup, project: Path) -> None:
    assert pup("validate") == 0
    assert pup.said == "✓ resize: valid\n✓ sort: valid\n"
    assert pup("validate", "sort", "--json") == 0
    assert [(each["Flow"], each["Valid"], each["Findings"]) for each in pup.json] == [("sort", True, [])]
    assert uuid.UUID((project / "pup.yaml").read_text().split("ID: ")[1].split()[0]).version == 4


def test_init_overwrites_nothing(pup: Pup, project: Path) -> None:
    before = (project / "pup.yaml").read_bytes()
    assert pup("init") == 2
    assert "is there already" in pup.complaint
    (project / "pup.yaml").rename(project / "away")
    assert pup("init") == 2
    assert "flows/resize.yaml" in pup.complaint
    assert not (project / "pup.yaml").exists()
    assert (project / "away").read_bytes() == before


def test_findings_come_with_file_and_line(pup: Pup, project: Path) -> None:
    path = project / "flows" / "resize.yaml"
    path.write_text(path.read_text().replace("pupload/resize", "pupload/rezise"))
    (project / "node_defs" / "sort-lines.yaml").write_text(
        (project / "node_defs" / "sort-lines.yaml").read_text().replace("c-nano", "c-tiny")
    )
    assert pup("validate") == 1
    assert "flows/resize.yaml:7: ERROR [NODE_001]" in pup.said
    assert "node_defs/sort-lines.yaml:7: ERROR [NODE_004]" in pup.said
    assert pup("validate", "--json") == 1
    places = [finding["Place"] for each in pup.json for finding in each["Findings"]]
    assert "flows/resize.yaml:7" in places


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Name: a\nName: b\n", "flows/x.yaml:2: the key 'Name' is given twice"),
        ("Name: [\n", "flows/x.yaml:2: "),
        ("Nodes:\n  - ID: a\n    Inputs: 5\n", "flows/x.yaml:3: /Nodes/0/Inputs must be a list, not a number"),
        ("Name: !!python/object:os.system x\n", "flows/x.yaml:1: the tag"),
        ("Name: resize\n", "both have the flow resize"),
        ("a: &a [*a]\n", "nested too deeply"),
    ],
)
def test_a_bad_file_is_told_and_not_passed_over(pup: Pup, project: Path, text: str, complaint: str) -> None:
    (project / "flows" / "x.yaml").write_text(text)
    assert pup("validate") == 1
    assert complaint in pup.complaint
    assert pup.complaint.count("\n") == 1


def test_an_unknown_field_is_a_warning(pup: Pup, project: Path) -> None:
    path = project / "flows" / "resize.yaml"
    path.write_text(path.read_text() + "Colour: red\n")
    assert pup("validate") == 0
    assert "WARNING unknown field /Colour" in pup.said


def test_outside_a_project_commands_say_so(pup: Pup) -> None:
    for command in (["validate"], ["push"], ["controller", "list"], ["test", "x"]):
        assert pup(*command) == 2
        assert pup.complaint == "pup: there is no pup.yaml here or above; `pup init` makes a project\n"


def test_controllers_are_kept_in_order(pup: Pup, project: Path) -> None:
    assert pup("controller", "list") == 0
    assert pup.said == "No controllers configured.\n"
    assert pup("controller", "add", "main", "http://one:1/") == 0
    assert pup("controller", "add", "other", "https://two") == 0
    assert pup("controller", "add", "main", "http://three") == 2
    assert pup("controller", "add", "bad", "three") == 1
    assert pup("controller", "list", "--json") == 0
    assert pup.json == [{"Name": "main", "URL": "http://one:1"}, {"Name": "other", "URL": "https://two"}]
    assert servers.resolve("", "", start=project / "flows").url == "http://one:1"
    assert servers.resolve("other", "http://v", start=project).url == "https://two"
    assert servers.resolve("", "http://v", start=project).url == "http://v"
    with pytest.raises(Usage):
        servers.resolve("third", "", start=project)
    assert pup("controller", "remove", "main") == 0
    assert pup("controller", "remove", "main") == 2
    assert "ProjectName: demo" in (project / "pup.yaml").read_text()


def test_the_servers_change_and_what_was_written_around_them_does_not(pup: Pup, project: Path) -> None:
    file = project / "pup.yaml"
    file.write_text("# ours\nProjectName: demo  # a name\nControllers: []\n# the end\nID: x\n")
    assert pup("controller", "add", "a", "http://one:1") == 0
    assert pup("controller", "add", "b", "http://two:2") == 0
    assert pup("controller", "remove", "a") == 0
    added = "Controllers:\n- Name: b\n  URL: http://two:2\n"
    assert file.read_text() == f"# ours\nProjectName: demo  # a name\n{added}# the end\nID: x\n"
    file.write_text("# ours\nProjectName: demo")
    assert pup("controller", "add", "b", "http://two:2") == 0
    assert file.read_text() == f"# ours\nProjectName: demo\n{added}"
    file.write_text('{"ProjectName": "demo",\n"Controllers": []}')
    assert pup("controller", "add", "b", "http://two:2") == 0
    assert file.read_text() == f"ProjectName: demo\n{added}"


def test_node_types_are_those_of_the_project_and_those_that_ship(pup: Pup, project: Path) -> None:
    assert pup("node", "list", "--json") == 0
    assert {(each["Publisher"], each["Name"]) for each in pup.json} >= {("my", "sort-lines"), ("pupload", "resize")}
    assert pup("node", "list") == 0
    assert "pupload/run:latest (flag image)" in pup.said
    assert pup("node", "build", "no/such") == 2
    assert "pupload/resize" in pup.complaint


def test_inputs_must_be_what_the_flow_takes(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.touch()
    flow = a_flow(
        a_node("a", inputs={"image": "one", "mask": "two"}, outputs={"resized": "middle"}),
        a_node("b", inputs={"image": "middle"}, outputs={"resized": "end"}),
        wells=[a_well("two", source="static", key="k"), a_well("middle", key="${RUN_ID}")],
    )
    assert trial.read_inputs([f"one={file}"], flow) == {"one": file}
    for wrong in ([], ["one"], ["one="], [f"two={file}"], [f"one={file}"] * 2, [f"one={tmp_path}"]):
        with pytest.raises(Usage):
            trial.read_inputs(wrong, flow)
    assert trial.result_edges(flow, every=False) == ["middle", "end"]


def test_parameters_are_given_by_name() -> None:
    assert trial.read_params(["width=300", "note=a=b", "empty="]) == {"width": "300", "note": "a=b", "empty": ""}
    for wrong in (["width"], ["=3"], ["a=1", "a=2"]):
        with pytest.raises(Usage):
            trial.read_params(wrong)


# ── Words ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "arguments", [["nope"], ["status"], ["logs", "x", "--attempt", "-1"], ["list", "--limit", "x"]]
)
def test_a_wrong_command_line_is_one_line_and_two(pup: Pup, arguments: list[str]) -> None:
    assert pup(*arguments) == 2
    assert pup.said == ""
    assert pup.complaint.startswith("pup: ")
    assert pup.complaint.count("\n") == 1


def test_version_and_help(pup: Pup) -> None:
    assert pup("--version") == 0
    assert pup.said.startswith("pup ")
    assert pup("test", "--help") == 0
    assert "--input" in pup.said


def test_a_server_that_is_not_there_is_three(pup: Pup) -> None:
    for command in ("status", "cancel", "resume", "logs"):
        assert pup(command, "x", "--url", "http://127.0.0.1:1") == 3
        assert pup.complaint == (
            "pup: The server at http://127.0.0.1:1 cannot be reached: Connection refused; is it running? "
            "`pup dev` starts one here, --url names another\n"
        )


@pytest.mark.parametrize(
    ("lines", "code", "said", "complaint"),
    [
        ([ProbeLine(what="a", ok=True)], 0, "  ok   a\na server can work here\n", ""),
        (
            [ProbeLine(what="a", ok=True, warning=True, detail="old")],
            0,
            "  warn a: old\na server can work here; 1 of 1 checks say warn\n",
            "",
        ),
        ([ProbeLine(what="a", ok=False, detail="mend it")], 1, "  BAD  a: mend it\n", "pup: 1 of 1 checks failed\n"),
    ],
    ids=["well", "could be better", "bad"],
)
def test_the_doctors_exit_code_tells_whether_a_server_can_work(
    pup: Pup, monkeypatch: pytest.MonkeyPatch, lines: list[ProbeLine], code: int, said: str, complaint: str
) -> None:
    async def examine(_: object) -> list[tuple[str, ProbeLine]]:
        return [("part", line) for line in lines]

    monkeypatch.setattr(doctor, "examine", examine)
    assert pup("doctor") == code
    assert (pup.said, pup.complaint) == (f"part\n{said}", complaint)
    assert pup("doctor", "--json") == code
    assert [each["warning"] for each in pup.json] == [line.warning for line in lines]


def test_help_comes_at_once() -> None:
    """What is heavy is imported by the commands that need it."""
    light = "import sys; from pupload.cli import main; sys.exit(any(name in sys.modules for name in sys.argv[1:]))"
    heavy = ["aiohttp", "pydantic", "sqlalchemy", "docker", "boto3", "pupload.wiring"]
    assert subprocess.run([sys.executable, "-c", light, *heavy], check=False).returncode == 0


def test_the_page_has_every_command_and_option() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    for name, command in _commands(typer.main.get_command(main.app), "pup"):
        assert f"### {name}\n" in page
        section = page.split(f"### {name}\n")[1].split("###")[0]
        for option in command.params:
            if option.param_type_name == "option":
                assert option.opts[0] in section


def _commands(command: Any, name: str) -> list[tuple[str, Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        return [(name, command)]
    return [found for each, inner in below.items() for found in _commands(inner, f"{name} {each}")]


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_callbacks_are_listed_and_sent_again(pup: Pup, tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.client() as client:
        hook = Callback(url="https://hooks.example/in?key=1", secrets=("a secret of 16 bytes",))
        run = (await client.start(wire.write_order(a_flow(callbacks=(hook,)), definitions_for(a_flow()))))["ID"]
        at = ("--url", house.url)
        assert await asyncio.to_thread(pup, "callback", "list", run, *at) == 0
        await client.cancel(run)
        assert await asyncio.to_thread(pup, "callback", "list", run, *at) == 0
        assert "https://hooks.example/in?***" in pup.said
        assert await asyncio.to_thread(pup, "callback", "list", run, "--json", *at) == 0
        (found,) = pup.json["Deliveries"]
        assert await asyncio.to_thread(pup, "callback", "resend", run, found["ID"], *at) == 0
        assert pup.said == f"{found['ID']} is being sent again\n"
        assert await asyncio.to_thread(pup, "callback", "resend", run, "msg_other", *at) == 1
        assert f"Callback msg_other of run {run} does not exist" in pup.complaint


async def test_a_flow_is_tried_on_a_server_and_looked_at_afterwards(pup: Pup, project: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PNG)
    # Bare, as the scripted image of the server in memory takes it.
    (project / "node_defs" / "resize.yaml").write_text(
        "Publisher: pupload\nName: resize\nImage: pupload/resize:latest\n"
    )
    async with a_house(tmp_path) as house:
        arguments = ("test", "resize", "-i", "photo=../photo.png", "-o", "out", "--url", house.url)
        code, said, complaint = await _process(*arguments)
        assert (code, complaint) == (0, "")
        assert "shrink: COMPLETE" in said
        assert (project / "out" / "small-photo.png").read_bytes() == PNG
        code, said, _ = await _process(*arguments, "--json")
        done = json.loads(said)
        assert (code, done["Run"]["Status"], done["Files"]) == (0, "COMPLETE", {"small-photo": "out/small-photo.png"})
        run = done["Run"]["ID"]
        at = ("--url", house.url)
        assert await asyncio.to_thread(pup, "status", run, *at) == 0
        assert f"{run} COMPLETE" in pup.said
        assert await asyncio.to_thread(pup, "logs", run, *at) == 0
        assert "shrink: copied image" in pup.said
        assert await asyncio.to_thread(pup, "logs", "-f", run, "--json", *at) == 0
        assert pup.json["message"] == "copied image"
        assert await asyncio.to_thread(pup, "list", "--json", "--limit", "1", *at) == 0
        assert (pup.json["Runs"][0]["ID"], pup.json["Total"]) == (run, 2)
        assert await asyncio.to_thread(pup, "list", *at) == 0
        assert await asyncio.to_thread(pup, "cancel", run, *at) == 0
        assert "has ended: COMPLETE" in pup.said
        assert await asyncio.to_thread(pup, "resume", run, *at) == 1
        assert "nothing to resume" in pup.complaint
        assert await asyncio.to_thread(pup, "status", "run_nope", *at) == 1
        assert pup.complaint == "pup: Flow run does not exist.\n"
        assert await asyncio.to_thread(pup, "push", *at) == 0
        assert "pushed 2 flows and 2 node definitions" in pup.said


async def test_a_webhooks_file_is_posted_to_it(project: Path, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PNG)
    (project / "node_defs" / "resize.yaml").write_text(
        "Publisher: pupload\nName: resize\nImage: pupload/resize:latest\n"
    )
    flow = project / "flows" / "resize.yaml"
    flow.write_text(flow.read_text() + "DataWells:\n  - {Edge: photo, Source: webhook, Secret: between us}\n")
    async with a_house(tmp_path) as house:
        code, said, complaint = await _process(
            "test", "resize", "-i", "photo=../photo.png", "-o", "out", "--url", house.url
        )
        assert (code, complaint) == (0, "")
        assert "shrink: COMPLETE" in said
        assert house.puts == []


async def test_ctrl_c_cancels_the_run(project: Path, tmp_path: Path) -> None:
    # The house's time passes quickly, and faster than this machine where that does much else.
    (project / "node_defs" / "resize.yaml").write_text(
        "Publisher: pupload\nName: resize\nImage: pupload/resize:latest\nTimeout: 168h\n"
    )
    (tmp_path / "photo.png").write_bytes(PNG)
    from pupload.adapters.memory.containers import Outcome

    async with a_house(tmp_path) as house:
        house.bench.image("pupload/resize:latest", lambda order: Outcome(hangs=True))
        process = await _start("test", "resize", "-i", "photo=../photo.png", "--url", house.url)
        assert process.stdout is not None
        while b"RUNNING" not in await process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, complaint = await process.communicate()
        assert (process.returncode, complaint) == (130, b"pup: interrupted\n")
        _, page = await house.call("GET", "/api/v1/flow/list")
        assert [run["Status"] for run in page["Runs"]] == ["STOPPED"]


async def test_a_run_that_fails_is_one(project: Path, tmp_path: Path) -> None:
    (project / "node_defs" / "resize.yaml").write_text(
        "Publisher: pupload\nName: resize\nImage: pupload/resize:latest\nMaxAttempts: 1\n"
    )
    (tmp_path / "photo.png").write_bytes(PNG)
    from pupload.adapters.memory.containers import Outcome

    async with a_house(tmp_path) as house:
        house.bench.image("pupload/resize:latest", lambda order: Outcome(code=4, said=["it broke"]))
        code, said, complaint = await _process("test", "resize", "-i", "photo=../photo.png", "--url", house.url)
        assert code == 1
        assert "shrink: it broke" in said
        assert " ERROR: " in complaint
        assert complaint.count("\n") == 1


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pupload", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # What a shell starts in the background is to ignore it, tests and all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


async def _process(*arguments: str) -> tuple[int | None, str, str]:
    """A command line in a process of its own: its code and what it printed."""
    process = await _start(*arguments)
    said, complaint = await process.communicate()
    return process.returncode, said.decode(), complaint.decode()
