"""
Images of node types, run as an executor runs them: without network, rights or a place to write but /tmp and outputs.

    outcome = house.run("resize", tmp_path, {"image": photo}, flags={"width": "800"})
    assert outcome.exit_code == 0 and house.picture(outcome.file("resized")) == ("image/jpeg", 800, 450)

Files are given as bytes, as a path, or for a port that takes many as a mapping of names to either.
"""

import asyncio
import functools
import io
import json
import re
import subprocess
import tarfile
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pupload.adapters.magic.teller import MagicTeller
from pupload.api.flow import wire
from pupload.domain import command, logline, mime, nodedef, references, tiers
from scripts import picture as _picture

FOLDERS = Path("nodes/pupload")

CONFINEMENT = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--pids-limit", "512", "--cpus", "2", "--hostname", "node"),
    *("--tmpfs", "/tmp:size=256m,mode=1777,noexec,nosuid,nodev", "--shm-size", "64m"),
)

_SECRET = re.compile(r"^\$\{secret\.(\w+)\}$")

Bytes = bytes | Path
Source = Bytes | Mapping[str, Bytes]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a container."""

    exit_code: int
    said: list[logline.LogText]
    """What it said on stdout, line by line."""
    complaint: str
    """What it said on stderr."""
    files: Mapping[str, bytes]
    """What it wrote, by path below /pupload/out."""
    paths: Mapping[str, str]
    """Where each output belongs, by port."""

    def file(self, port: str) -> bytes:
        """What it wrote to an output of one file."""
        return self.files[self.paths[port]]

    def many(self, port: str) -> dict[str, bytes]:
        """What it wrote to an output of many files, by name, in their order."""
        folder = self.paths[port] + "/"
        return {path.removeprefix(folder): data for path, data in sorted(self.files.items()) if path.startswith(folder)}

    @property
    def last(self) -> logline.LogText:
        """The last line on stdout."""
        return self.said[-1]


@functools.cache
def names() -> tuple[str, ...]:
    """All node types that have a folder."""
    return tuple(sorted(path.parent.name for path in FOLDERS.glob("*/node.yaml")))


@functools.cache
def image(name: str) -> str:
    """The image as it is in the node type's folder; quick when it is built already."""
    subprocess.run(["scripts/node-images", name], check=True)
    return f"pupload/{name}:latest"


@functools.cache
def definition(name: str) -> nodedef.NodeDef:
    """The definition in the folder, read as a server reads it; a field that nobody knows is a mistake."""
    warnings: list[str] = []
    text = (FOLDERS / name / "node.yaml").read_text()
    found = wire.read_definition(yaml.safe_load(text), warnings=warnings, yaml=True)
    assert (warnings, found.publisher, found.name) == ([], "pupload", name)
    return found


def run(
    name: str,
    scratch: Path,
    inputs: Mapping[str, Source],
    *,
    flags: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    memory: str = "",
    bare: bool = False,
    seconds: float = 100,
    network: str = "none",
) -> Outcome:
    """
    Runs the node type once, with all its outputs bound.

    `flags` by name; the definition's defaults come with them unless the definition is `bare`, and one that is
    `${secret.NAME}` becomes the path of a file. `environment` has the last word on what variables say. `memory` is the
    tier's unless given. `scratch` is an empty directory.
    """
    kind = definition(name)
    known = references.image_of(kind, {"image": image(name), **(flags or {})})
    place = scratch / uuid.uuid4().hex
    (place / "in").mkdir(parents=True)
    ins = {port: _put(place / "in", port, source, kind) for port, source in inputs.items()}
    outs = {port.name: _make_room(place / "out", port) for port in kind.outputs}
    given = {} if bare else {flag.name: flag.default for flag in kind.flags if flag.default is not None}
    given |= {flag: _SECRET.sub(r"/run/secrets/\1", value) for flag, value in (flags or {}).items()}
    for secret, value in (secrets or {}).items():
        _write(place / "secrets", secret, value.encode())
    variables = {
        "PUPLOAD_RUN_ID": "run_x",
        "PUPLOAD_NODE_ID": name,
        "PUPLOAD_ATTEMPT": "1",
        **{command.environment_name("FLAG_", flag): value for flag, value in given.items()},
        **{command.environment_name("INPUT_", port): path for port, path in _below("/pupload/in", ins).items()},
        **{command.environment_name("OUTPUT_", port): path for port, path in _below("/pupload/out", outs).items()},
        **(environment or {}),
    }
    values = {**given, **_below("/pupload/in", ins), **_below("/pupload/out", outs)}
    argv = command.arguments(command.split(kind.command.exec), values) if kind.command.exec else ()
    ended = _contained(kind, known, place, variables, argv, memory=memory, seconds=seconds, network=network)
    return Outcome(
        exit_code=ended.returncode,
        said=[logline.read(line) for line in ended.stdout.splitlines()],
        complaint="\n".join(logline.read(line).message for line in ended.stderr.splitlines()),
        files=_written(place / "out", outs),
        paths=outs,
    )


def inside(name: str, line: str) -> str:
    """What a shell in the image says to the line."""
    order = ["docker", "run", "--rm", *CONFINEMENT, "--network", "none", "--entrypoint", "sh", image(name), "-c", line]
    return subprocess.run(order, capture_output=True, text=True, check=True).stdout


def _below(folder: str, names: Mapping[str, str]) -> dict[str, str]:
    return {port: f"{folder}/{name}" for port, name in names.items()}


def _contained(
    kind: nodedef.NodeDef,
    known: str,
    place: Path,
    variables: Mapping[str, str],
    argv: tuple[str, ...],
    *,
    memory: str,
    seconds: float,
    network: str,
) -> subprocess.CompletedProcess[str]:
    tier = tiers.TABLE[kind.tier or nodedef.DEFAULT_TIER]
    most, called, user = memory or str(tier.memory_bytes), f"pupload-house-{place.name}", kind.user or "65534:65534"
    secrets = ("--volume", f"{place / 'secrets'}:/run/secrets:ro") if (place / "secrets").exists() else ()
    order = [
        *("docker", "run", "--rm", "--name", called, *CONFINEMENT, "--network", network, "--user", user),
        *("--memory", most, "--memory-swap", most, "--ulimit", f"fsize={tier.storage_bytes}"),
        *("--volume", f"{place / 'in'}:/pupload/in:ro", "--volume", f"{place / 'out'}:/pupload/out", *secrets),
        *(part for name, value in variables.items() for part in ("--env", f"{name}={value}")),
        *((known, *argv) if kind.command.entrypoint else ("--entrypoint", argv[0], known, *argv[1:])),
    ]
    try:
        return subprocess.run(order, capture_output=True, text=True, errors="replace", check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        subprocess.run(["docker", "rm", "--force", called], capture_output=True, check=False)
        raise


def _put(folder: Path, port: str, source: Source, kind: nodedef.NodeDef) -> str:
    """Where the input lies below the folder, named as the engine names it."""
    declared = next((each for each in kind.inputs if each.name == port), nodedef.Port(name=port))
    if isinstance(source, Mapping):
        assert declared.many, f"{port} takes one file"
        assert list(source) == sorted(source), "files of a collection are in the order of their names"
        (folder / port).mkdir(parents=True)
        for name, data in source.items():
            _write(folder / port, name, _bytes(data))
        return port
    assert not declared.many, f"{port} takes a collection"
    data = _bytes(source)
    name = port + _extension(declared, data)
    _write(folder, name, data)
    return name


def _extension(port: nodedef.Port, data: bytes) -> str:
    return (mime.extension(port.types[0]) if len(port.types) == 1 else "") or mime.extension(media_type(data))


def _write(folder: Path, name: str, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    path = folder / name
    path.write_bytes(data)
    path.chmod(0o444)


def _bytes(source: Bytes) -> bytes:
    return source.read_bytes() if isinstance(source, Path) else source


def _make_room(folder: Path, port: nodedef.Port) -> str:
    """Where the output belongs below the folder, as the engine has it."""
    made = folder / port.name if port.many else folder
    made.mkdir(parents=True, exist_ok=True)
    for each in (folder, made):
        each.chmod(0o777)
    return port.name if port.many or len(port.types) != 1 else port.name + mime.extension(port.types[0])


def _written(folder: Path, outs: Mapping[str, str]) -> dict[str, bytes]:
    """All files that are there, none of which is a link, a device, or where no output belongs."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        assert not path.is_symlink(), f"{path} is a link"
        if path.is_dir():
            continue
        assert path.is_file(), f"{path} is no file"
        at = path.relative_to(folder).as_posix()
        assert at in outs.values() or at.split("/")[0] in outs.values(), f"{at} is no output"
        found[at] = path.read_bytes()
    return found


# ── What a file is ───────────────────────────────────────────────────────────────────────────────────────────────


def media_type(data: bytes) -> str:
    """Told from the bytes, as a server tells it."""

    async def told() -> str:
        teller = MagicTeller(threads=1)
        try:
            return await teller.tell(data[: teller.head_bytes], size=len(data))
        finally:
            await teller.close()

    return asyncio.run(told())


def picture(data: bytes) -> _picture.Picture | None:
    """The format and size that a picture's header tells: JPEG, PNG, GIF, WebP, TIFF, AVIF."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        tags = _tiff_tags(data)
        return _picture.Picture("image/tiff", tags[256], tags[257])
    if data[4:12] == b"ftypavif":
        at = data.index(b"ispe") + 8
        return _picture.Picture("image/avif", *(int.from_bytes(data[at + i : at + i + 4], "big") for i in (0, 4)))
    return _picture.read(data)


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The first page's tags of one number."""
    order: Any = "little" if data[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(data[at : at + size], order)

    start = number(4, 4)
    entries = range(start + 2, start + 2 + number(start, 2) * 12, 12)
    return {number(at, 2): number(at + 8, 2 if number(at + 2, 2) == 3 else 4) for at in entries}


def pages(data: bytes) -> int:
    """How many pages a PDF has whose objects may lie in compressed streams."""
    assert data.startswith(b"%PDF-")
    texts = [data]
    for found in re.finditer(rb"stream\r?\n", data):
        try:
            texts.append(zlib.decompressobj().decompress(data[found.end() :], 1 << 22))
        except zlib.error:
            continue
    return sum(len(re.findall(rb"/Type\s*/Page(?![A-Za-z])", text)) for text in texts)


def entries(data: bytes) -> list[str]:
    """What an archive holds, zip or tar in any compression that Python knows."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        return zipfile.ZipFile(io.BytesIO(data)).namelist()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def duration(data: bytes, scratch: Path) -> float:
    """Of a recording, in seconds, as the node type `probe` tells it."""
    outcome = run("probe", scratch, {definition("probe").inputs[0].name: data})
    assert outcome.exit_code == 0, outcome.complaint
    told = json.loads(outcome.file(definition("probe").outputs[0].name))
    return float(told["format"]["duration"])
