"""The gate by itself: a program of this machine that is told over its socket what to become."""

import asyncio
import hashlib
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pupload.adapters.docker import arming, gate

FOLDER = Path(gate.__file__).parent
ROOT = Path(__file__).resolve().parents[3]
PROCESSORS = ("x86_64", "aarch64")
SOON = 20

own = pytest.mark.skipif(platform.machine() not in PROCESSORS, reason="there is no gate for this processor")


def runners() -> list[object]:
    """The machine's own gate; and the others, where something can run them."""
    found: list[object] = []
    for processor in PROCESSORS:
        emulator = shutil.which(f"qemu-{processor}-static") or shutil.which(f"qemu-{processor}")
        with_it = () if processor == platform.machine() else (emulator,)
        lacking = pytest.mark.skipif(None in with_it, reason=f"nothing runs programs of {processor} here")
        found.append(pytest.param((processor, with_it), id=processor, marks=lacking))
    return found


@pytest.fixture(params=runners())
def runner(request: pytest.FixtureRequest) -> tuple[str, Sequence[str]]:
    found: tuple[str, Sequence[str]] = request.param
    return found


class Waiting:
    """A gate that waits, and this end of it."""

    def __init__(self, process: asyncio.subprocess.Process, end: arming.Gate, inputs: Path) -> None:
        self.process = process
        self.end = end
        self.inputs = inputs

    @property
    def marker(self) -> bytes:
        return (self.inputs.parent / "opened").read_bytes()

    async def ended(self) -> tuple[int, str, str]:
        """Its exit code, and what it said."""
        async with asyncio.timeout(SOON):
            out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()

    def say(self, data: bytes, *, with_marker: bool = True) -> None:
        """Bytes that no sane controller sends."""
        assert self.end._socket is not None
        if with_marker:
            socket.send_fds(self.end._socket, [data], [self.end._marker])
        else:
            self.end._socket.send(data)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inputs = tmp_path / "in"
    inputs.mkdir()
    return inputs


@asynccontextmanager
async def waiting(
    runner: tuple[str, Sequence[str]], inputs: Path, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Waiting]:
    processor, emulator = runner
    end = arming.Gate({})
    await end.place(inputs, (FOLDER / processor).read_bytes())
    process = await asyncio.create_subprocess_exec(
        *emulator,
        str(inputs / ".gate"),
        env={"PATH": os.environ["PATH"]} if environment is None else environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(SOON):
            await end.meet()
        yield Waiting(process, end, inputs)
    finally:
        end.close()
        async with asyncio.timeout(SOON):
            await process.wait()


# ── What it becomes ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_becomes_the_command_with_its_arguments(runner: tuple[str, Sequence[str]], folder: Path) -> None:
    async with waiting(runner, folder) as one:
        assert one.marker == b""
        arguments = ["", "a b", "ä", "\n", "-x"]
        assert (await one.end.open(["printf", "<%s>", *arguments], {})).reason == ""
        assert await one.ended() == (0, "".join(f"<{each}>" for each in arguments), "")
        assert one.marker == b"1"


async def test_what_it_is_told_goes_over_the_variables_that_it_has(
    runner: tuple[str, Sequence[str]], folder: Path
) -> None:
    own_ones = {"PATH": os.environ["PATH"], "A": "own", "AB": "own", "EMPTY": "", "KEPT": "x=y"}
    async with waiting(runner, folder, environment=own_ones) as one:
        assert (await one.end.open(["env"], {"A": "told", "NEW": "1\n2", "EMPTY": "no more"})).reason == ""
        _, said, _ = await one.ended()
        assert set(said.replace("1\n2", "1+2").splitlines()) == {
            f"PATH={os.environ['PATH']}",
            *("A=told", "AB=own", "EMPTY=no more", "KEPT=x=y", "NEW=1+2"),
        }


PROCESS = {
    "surroundings": ("sh", "-c", "ls /proc/$$/fd; ulimit -a; pwd"),
    # By what was begun itself: a shell blocks signals now and then while it waits for others.
    "status": ("grep", "-E", "^(Sig(Blk|Ign|Cgt)|NoNew|Seccomp|Cap|Groups|Uid|Umask)", "/proc/self/status"),
}


@own
@pytest.mark.parametrize("what", PROCESS)
async def test_nothing_of_it_is_left_when_the_command_begins(what: str, folder: Path) -> None:
    asked = PROCESS[what]
    plain = await asyncio.create_subprocess_exec(*asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    wanted, _ = await plain.communicate()
    async with waiting((platform.machine(), ()), folder) as one:
        assert names_in(folder) == set()
        assert (await one.end.open(asked, {})).reason == ""
        code, said, complaint = await one.ended()
        assert (code, complaint) == (0, "")
        assert said.splitlines() == wanted.decode().splitlines()


async def test_many_large_arguments_arrive_whole(runner: tuple[str, Sequence[str]], folder: Path) -> None:
    arguments = [f"{number:06}" + "x" * 200 for number in range(3000)]
    async with waiting(runner, folder) as one:
        assert (await one.end.open(["printf", "%s\\n", *arguments], {"LONG": "y" * 100_000})).reason == ""
        code, said, _ = await one.ended()
        assert (code, said.splitlines()) == (0, arguments)


# ── What it looks for ────────────────────────────────────────────────────────────────────────────────────────────


def a_program(path: Path, says: str, mode: int = 0o755) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'#!/bin/sh\necho {says} "$0"\n')
    path.chmod(mode)


async def test_it_takes_the_first_of_the_path(runner: tuple[str, Sequence[str]], folder: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    a_program(first / "here", "first")
    a_program(second / "here", "second")
    path = f"{tmp_path}/none:{tmp_path}/in/.gate:{first}/:{second}"
    async with waiting(runner, folder, environment={"PATH": path}) as one:
        assert (await one.end.open(["here"], {})).reason == ""
        assert await one.ended() == (0, f"first {first}/here\n", "")


async def test_a_command_with_a_slash_is_not_looked_for(
    runner: tuple[str, Sequence[str]], folder: Path, tmp_path: Path
) -> None:
    a_program(tmp_path / "bin" / "here", "it is")
    async with waiting(runner, folder, environment={"PATH": str(tmp_path)}) as one:
        outcome = await one.end.open(["bin/here"], {})
        assert outcome.reason == "the gate could not execute it: No such file or directory"
        code, said, alas = await one.ended()
        assert (code, said, alas, one.marker) == (gate.GAVE_UP, "", "", b"")


PATHS = {
    "no path": "",
    "a relative directory": "bin:{}/bin",
    "the directory where it is": ":{}/bin",
    "detours": "{}/bin/../bin",
    "doubled slashes": "{}//bin",
    "a directory of this name": "{}/folders:{}/bin",
    "a file that is no program": "{}/texts:{}/bin",
    "a program without its interpreter": "{}/broken:{}/bin",
}
"""Where the engine's runtime decides, and another version of it otherwise."""


@pytest.mark.parametrize("path", PATHS)
async def test_where_runtimes_differ_it_gives_up(
    runner: tuple[str, Sequence[str]], folder: Path, tmp_path: Path, path: str
) -> None:
    a_program(tmp_path / "bin" / "here", "it is")
    (tmp_path / "folders" / "here").mkdir(parents=True)
    a_program(tmp_path / "texts" / "here", "no", mode=0o644)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "here").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken" / "here").chmod(0o755)
    async with waiting(runner, folder, environment={"PATH": PATHS[path].format(tmp_path, tmp_path)}) as one:
        assert (await one.end.open(["here"], {})).errno != 0
        code, said, alas = await one.ended()
        assert (code, said, alas, one.marker) == (gate.GAVE_UP, "", "", b"")


REFUSED = {
    "is not there": (["no-such-program"], 2),
    "is nothing": ([""], 2),
    "is a directory": (["/"], 13),
    "is no program": (["/proc/self/status"], 13),
    "has too long an argument": (["true", "x" * (1 << 18)], 7),
    "is too long for any gate": (["true", *["x" * 100_000] * 90], 7),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_it_tells_why_a_command_cannot_be_executed(
    runner: tuple[str, Sequence[str]], folder: Path, what: str
) -> None:
    argv, number = REFUSED[what]
    async with waiting(runner, folder) as one:
        outcome = await one.end.open(argv, {})
        # One that says so before it has read everything may be heard as one that is gone.
        assert outcome.reason != ""
        assert outcome.errno in (number, 0) if what == "is too long for any gate" else outcome.errno == number
        code, said, alas = await one.ended()
        assert (code, said, alas, one.marker) == (gate.GAVE_UP, "", "", b"")


# ── When the other end goes away ─────────────────────────────────────────────────────────────────────────────────

WHOLE = struct.pack("=IIII", 0x45544147, 5, 1, 0) + b"true\0"


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, len(WHOLE) - 1])
async def test_a_message_that_is_not_whole_is_none(
    runner: tuple[str, Sequence[str]], folder: Path, length: int
) -> None:
    async with waiting(runner, folder) as one:
        if length:
            one.say(WHOLE[:length])
        one.end.close()
        code, said, alas = await one.ended()
        assert (code, said, alas, one.marker) == (gate.GAVE_UP, "", "", b"")


async def test_a_whole_message_suffices_whoever_goes_away(runner: tuple[str, Sequence[str]], folder: Path) -> None:
    async with waiting(runner, folder) as one:
        one.say(WHOLE)
        one.end.close()
        assert await one.ended() == (0, "", "")
        assert one.marker == b"1"


NONSENSE = {
    "no gate's": struct.pack("=IIII", 1, 5, 1, 0) + b"true\0",
    "no command": struct.pack("=IIII", 0x45544147, 0, 0, 0),
    "an argument without an end": struct.pack("=IIII", 0x45544147, 4, 1, 0) + b"true",
    "fewer than announced": struct.pack("=IIII", 0x45544147, 5, 3, 0) + b"true\0",
    "longer than any": struct.pack("=IIII", 0x45544147, 1 << 31, 1, 0),
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_opens_nothing(runner: tuple[str, Sequence[str]], folder: Path, what: str) -> None:
    async with waiting(runner, folder) as one:
        one.say(NONSENSE[what])
        code, said, alas = await one.ended()
        assert (code, said, alas, one.marker) == (gate.GAVE_UP, "", "", b"")


async def test_a_message_without_a_marker_opens_nothing(runner: tuple[str, Sequence[str]], folder: Path) -> None:
    async with waiting(runner, folder) as one:
        one.say(WHOLE, with_marker=False)
        assert (await one.ended())[0] == gate.GAVE_UP


async def test_a_gate_that_was_killed_is_gone(runner: tuple[str, Sequence[str]], folder: Path) -> None:
    async with waiting(runner, folder) as one:
        one.process.send_signal(signal.SIGKILL)
        await one.ended()
        assert (await one.end.open(["true"], {})).reason != ""
        assert one.marker == b""


@own
def test_without_a_socket_it_gives_up(folder: Path) -> None:
    program = folder / ".gate"
    shutil.copy(FOLDER / platform.machine(), program)
    program.chmod(0o555)
    assert subprocess.run([program], check=False).returncode == gate.GAVE_UP


async def test_it_waits_in_folders_with_long_names(runner: tuple[str, Sequence[str]], tmp_path: Path) -> None:
    """The name of a socket may have a hundred letters; inside a container it has few, whatever it is outside."""
    deep = tmp_path / ("d" * 100) / ("e" * 100) / "in"
    deep.mkdir(parents=True)
    end = arming.Gate({})
    await end.place(deep, (FOLDER / runner[0]).read_bytes())
    assert names_in(deep) == {".gate", ".gate.sock"}
    end.close()
    assert names_in(deep) == set()


# ── The files ────────────────────────────────────────────────────────────────────────────────────────────────────


def _built() -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in (FOLDER / "built").read_text().splitlines()}


def test_the_programs_are_built_of_this_source() -> None:
    built = _built()
    assert set(built) == {"source", *PROCESSORS}
    assert built["source"] == [hashlib.sha256((FOLDER / "gate.c").read_bytes()).hexdigest()], "run scripts/gate"
    for processor in PROCESSORS:
        assert built[processor][0] == hashlib.sha256((FOLDER / processor).read_bytes()).hexdigest()


def test_the_same_compilers_make_the_same_programs(tmp_path: Path) -> None:
    for processor in PROCESSORS:
        compiler = shutil.which(f"{processor}-linux-gnu-gcc")
        if compiler is None:
            pytest.skip(f"there is no compiler for {processor}")
        version = subprocess.run([compiler, "-dumpfullversion"], capture_output=True, text=True, check=True)
        if version.stdout.split() != _built()[processor][2:]:
            pytest.skip(f"the compiler for {processor} is another version")
    subprocess.run(["scripts/gate", "--into", tmp_path], cwd=ROOT, check=True, capture_output=True)
    for name in (*PROCESSORS, "built"):
        assert (tmp_path / name).read_bytes() == (FOLDER / name).read_bytes()


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_program_is_small_and_needs_nothing(processor: str) -> None:
    program = (FOLDER / processor).read_bytes()
    assert len(program) < 8192
    assert program.startswith(b"\x7fELF")
    kinds = _segments(program)
    assert 3 not in kinds, "it asks for a loader"
    assert kinds[0x6474E551] & 1 == 0, "its stack could be executed"


def _segments(program: bytes) -> dict[int, int]:
    """The flags of an ELF file's segments, by their kinds."""
    (offset,) = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    return dict(struct.unpack_from("<II", program, offset + number * size) for number in range(count))


def test_images_of_other_processors_have_no_gate() -> None:
    assert {gate.program(name) for name in ("", "arm", "386", "riscv64")} == {None}
    found = [name for name in ("amd64", "arm64") if gate.program(name) is not None]
    assert found == {"x86_64": ["amd64"], "aarch64": ["arm64"]}.get(platform.machine(), [])


def test_a_wheel_has_the_programs(tmp_path: Path) -> None:
    """Built by the backend itself: it needs no network."""
    copied = tmp_path / "copied"
    ignored = shutil.ignore_patterns(".*", "tests", "docs", "deploy", "__pycache__")
    shutil.copytree(ROOT, copied, ignore=ignored)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=copied, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as made:
        for name in (*PROCESSORS, "gate.c"):
            assert made.read(f"pupload/adapters/docker/gate/{name}") == (FOLDER / name).read_bytes()
