#!/usr/bin/python3
"""
Makes one archive of many files: the same archive, byte for byte, of the same files.

So the members are sorted, and have no time, no owner and no rights but the usual ones.

    INPUT_FILES     the folder with the files                       OUTPUT_ARCHIVE   the file to write
    INPUT_FILE_1 …  single files besides, named as `names` says
"""

import gzip
import lzma
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import node

SINGLES = 8
TIME = 315532800
"""1980-01-01, the earliest that a zip can say."""


def main() -> None:
    """Does what the flags say."""
    kind = node.choice("format", "zip", "zip", "tar", "tar.gz", "tar.xz", "tar.zst", "7z")
    level = node.number("level", 6, 0, 9)
    folder = node.flag("folder")
    if folder and not re.fullmatch(r"[^/\\:\x00-\x1f.][^/\\:\x00-\x1f]{0,99}", folder):
        node.die(node.WRONG_FLAG, f"flag folder must be one plain name, not '{folder}'")
    output = node.place("OUTPUT_ARCHIVE")
    members = _named(folder)
    if not members:
        node.die(node.WRONG_INPUT, "there is no file to pack; bind files, or file_1 and so on")
    try:
        with output.open("wb") as out:
            _pack(kind, level, members, out)
    except OSError as error:
        output.unlink(missing_ok=True)
        node.die(node.FAILED, f"the archive could not be written: {error.strerror or error}")
    node.say(f"Packed {len(members)} files into {output.stat().st_size} bytes of {kind}", 1)


def _named(folder: str) -> list[tuple[str, Path]]:
    """Each file and its name in the archive, sorted by name; ends the node where two have the same."""
    found = [(path.name, path) for path in node.sources("INPUT_FILES")] if os.environ.get("INPUT_FILES") else []
    names = [name.strip() for name in node.flag("names").split(",")]
    for turn in range(1, SINGLES + 1):
        if os.environ.get(f"INPUT_FILE_{turn}"):
            path = node.source(f"INPUT_FILE_{turn}")
            name = names[turn - 1] if turn <= len(names) else ""
            if (name and not re.fullmatch(r"[^/\\:\x00-\x1f]{1,200}", name)) or name in (".", ".."):
                node.die(node.WRONG_FLAG, f"flag names must be plain names separated by commas, and '{name}' is none")
            found.append((name or path.name, path))
    seen: set[str] = set()
    for name, _ in found:
        if name.casefold() in seen:
            node.die(node.WRONG_FLAG, f"two files would be named '{name}' in the archive; name them with flag names")
        seen.add(name.casefold())
    return sorted((f"{folder}/{name}" if folder else name, path) for name, path in found)


def _pack(kind: str, level: int, members: list[tuple[str, Path]], out: IO[bytes]) -> None:
    if kind == "zip":
        _zip(level, members, out)
        return
    with (
        _compressed(kind, level, out) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for (name, path), done in _attended(members):
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.mode = path.stat().st_size, TIME, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
            done()


def _zip(level: int, members: list[tuple[str, Path]], out: IO[bytes]) -> None:
    method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", method, compresslevel=level) as archive:
        for (name, path), done in _attended(members):
            member = zipfile.ZipInfo(name)
            member.compress_type, member.create_system, member.external_attr = method, 3, 0o100644 << 16
            member.file_size = path.stat().st_size
            with path.open("rb") as file, archive.open(member, "w", force_zip64=member.file_size >= 1 << 31) as to:
                while block := file.read(1 << 20):
                    to.write(block)
            done()


def _attended(members: list[tuple[str, Path]]) -> Iterator[tuple[tuple[str, Path], "_Done"]]:
    """The members, each with what to call when it is packed: it tells progress, not more than twenty times."""
    done = _Done(sum(path.stat().st_size for _, path in members))
    for member in members:
        done.size = member[1].stat().st_size
        yield member, done


class _Done:
    def __init__(self, all_bytes: int) -> None:
        self.all, self.size, self.bytes, self.count, self.told = all_bytes, 0, 0, 0, 0

    def __call__(self) -> None:
        self.bytes += self.size
        self.count += 1
        if self.bytes - self.told >= max(self.all // 20, 1 << 22):
            self.told = self.bytes
            node.say(f"Packed {self.count} files", min(self.bytes / self.all, 0.99))


@contextmanager
def _compressed(kind: str, level: int, out: IO[bytes]) -> Iterator[IO[bytes]]:
    """A stream that takes a tar and has `out` get what becomes of it."""
    if kind == "tar":
        yield out
    elif kind == "tar.gz":
        with gzip.GzipFile("", "wb", level, out, mtime=0) as stream:
            yield stream
    elif kind == "tar.xz":
        with lzma.LZMAFile(out, "wb", preset=level) as stream:
            yield stream
    elif kind == "tar.zst":
        # 0 to 9 here is 1 to 19 there.
        with _tool(["zstd", "-cq", f"-{1 + level * 2}", "-T1"], out) as stream:
            yield stream
    else:
        # Named, and not written to: what goes to its standard output it fills up with zeros.
        options = f"7zip:compression={'lzma2,7zip:compression-level=' + str(level) if level else 'store'}"
        with _tool(["bsdtar", "-cf", out.name, "--format=7zip", "--options", options, "@-"], out) as stream:
            yield stream


@contextmanager
def _tool(command: list[str], out: IO[bytes]) -> Iterator[IO[bytes]]:
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin", "TMPDIR": str(Path(out.name).parent)}
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE, env=environment)
    assert program.stdin is not None
    assert program.stderr is not None
    try:
        yield program.stdin
        program.stdin.close()
    except BrokenPipeError:
        pass
    words = program.stderr.read(2000).decode("utf-8", "replace").strip()
    if program.wait() != 0:
        raise OSError(f"{command[0]} failed: {words}")


if __name__ == "__main__":
    sys.exit(main())
