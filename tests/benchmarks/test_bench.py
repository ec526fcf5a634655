"""The benchmark's own parts, and one small real run of it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks import __main__ as bench
from tests.benchmarks import bare, figures, house, lab, peering, shapes, sightings

WHEN = b"    time.tv_sec:  1795334574\n    time.tv_usec: 573255\n"


def test_without_a_word_everything_is_measured() -> None:
    said = bench.arguments().parse_args([])
    assert list(bench.chosen(said)) == list(bench.USUAL)
    assert (said.repeat, said.json, said.baseline_only, said.peers) == (5, None, False, False)
    assert {"P1", "P1b", *(f"P{number}" for number in range(2, 11)), "CPU", "MEM"} <= {*bench.USUAL}


def test_peers_and_baselines_are_measured_where_that_is_said() -> None:
    def named(*words: str) -> list[str]:
        return list(bench.chosen(bench.arguments().parse_args(words)))

    assert named("--peers") == [*bench.USUAL, "P11"]
    assert named("--only", "P2", "--peers") == ["P2", "P11"]
    assert named("--baseline-only") == ["P1", "P2", "P7"]
    assert named("--baseline-only", "--only", "P2,P3") == ["P2"]


def test_every_peer_has_its_program_and_a_set_version() -> None:
    for name, wanted in peering.PEERS.items():
        assert (peering.PROGRAMS / f"with_{name}.py").is_file()
        assert all("==" in each for each in wanted)


def test_some_are_measured_in_the_usual_order() -> None:
    assert bench.arguments().parse_args(["--only", "p4, P1B,P1"]).only == ["P1", "P1b", "P4"]


@pytest.mark.parametrize("words", [["--only", "P77"], ["--repeat", "0"], ["--repeat", "x"], ["--nonsense"]])
def test_what_cannot_be_meant_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        bench.arguments().parse_args(words)
    assert ended.value.code == 2
    assert "usage: scripts/bench" in capsys.readouterr().err


def test_the_script_says_what_the_program_takes() -> None:
    usage = Path("scripts/bench").read_text()
    for action in bench.arguments()._actions:
        assert action.option_strings[-1] in usage


def test_nodes_tell_the_time() -> None:
    assert shapes.when(WHEN * 2) == [1795334574.573255] * 2
    for wrong in (b"", b"adjtimex: not permitted", WHEN[:30]):
        with pytest.raises(ValueError, match="no time"):
            shapes.when(wrong)


def test_a_mark_in_an_attempts_directory_is_seen(tmp_path: Path) -> None:
    openings = sightings.Openings(tmp_path)
    with openings.watching():
        for name in ("run_1.n0.1", "run_1.n1.1"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "in").mkdir()
        _until(lambda: len(openings.watched) == 2)
        for name in openings.watched:
            (tmp_path / name / sightings.OPENED).touch()
        assert not openings.seen
        for name in openings.watched:
            (tmp_path / name / sightings.OPENED).write_bytes(b"1")
        _until(lambda: len(openings.seen) == 2)
    assert set(openings.seen) == {("run_1", "n0"), ("run_1", "n1")}


def _until(true: Callable[[], bool]) -> None:
    async def wait() -> None:
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110 - the kernel tells another thread
                await asyncio.sleep(0.001)

    asyncio.run(wait())


@pytest.mark.engine
def test_a_bare_container_is_held_to_what_nodes_are() -> None:
    asked = bare.config()
    host = asked["HostConfig"]
    assert (host["NetworkMode"], host["ReadonlyRootfs"], host["CapDrop"]) == ("none", True, ["ALL"])
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == 512 << 20
    assert host["Mounts"] == []
    assert "NetworkDisabled" not in asked
    with closing(bare.client()) as engine:
        bare.one(engine, asked)
        assert not engine.containers(all=True, filters={"label": f"{bare.LABEL}={os.getpid()}"})


@pytest.mark.engine
@pytest.mark.system
@pytest.mark.timeout(600)
def test_one_measure_from_the_command_line_to_its_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--only", "P1b", "--repeat", "1"]
    page = tmp_path / "page.md"
    page.write_text("<!-- bench -->\n<!-- end of bench -->\n")
    more = ["--json", str(tmp_path / "found.json"), "--docs", str(page)]
    ended = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("measure")
    assert "P1b" in ended.stdout
    assert "P1b 1/1: bare" in ended.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["P1b"]["goal"] == 0.45
    assert found["P1b"]["value"] == pytest.approx(found["P1b"]["p50"] / found["P1b"]["baseline"], rel=0.01)
    assert len(found["P1b"]["runs"]) == len(found["P1b"]["baseline_runs"]) == 1
    assert "| P1b |" in page.read_text()


async def test_what_cannot_be_measured_keeps_nothing_else_from_it() -> None:
    async def broken(_: lab.Lab) -> list[figures.Figure]:
        raise house.Broken("run r: it is lost\n      evidence")

    async def sound(_: lab.Lab) -> list[figures.Figure]:
        return [figures.Figure(key="P2", what="", unit="x", value=1)]

    said: list[str] = []
    found, clean = await bench.measure({"P1": broken, "P2": sound}, lab.Lab(say=said.append))
    assert [(one.key, one.value) for one in found] == [("P1", None), ("P2", 1)]
    assert "a promise was broken" in found[0].note
    assert not clean
