#!/usr/bin/python3
"""
Takes an archive apart, whoever made it.

No tool ever writes a file here under a name that the archive chose: names are read, judged, made safe, and each file
is opened by this program, new, directly in the one folder of the output. So there is no path to climb, no link to
follow and nothing to overwrite. Bytes are counted as they are written, whatever a header says.

    INPUT_ARCHIVE   the archive to read        OUTPUT_FILES   the folder to fill
"""

import bz2
import fnmatch
import gzip
import lzma
import os
import re
import stat
import struct
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import node

CHUNK = 1 << 18
LONGEST_NAME = 180
"""In bytes: file systems take 255, and a number may have to be added."""
RATIO_FROM = 16 << 20
"""Small things may be as dense as they like: a bomb is large."""
MOST_HEADER = 1 << 20
"""Of a name or of extended headers, which are read in one go."""
MOST_DICTIONARY = 256 << 20
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
OUTSIDE = "leads out of the archive"
FORMATS = "zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst and 7z"


class Refused(Exception):
    """The archive is damaged, hostile, or of a kind that this node does not read."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """What an archive says it holds in one place."""

    name: str
    kind: str = "file"
    """`file`, `folder`, `link` or `special`."""
    size: int = 0
    target: str = ""
    """Of a link."""
    open: Callable[[], IO[bytes]] | None = None


@dataclass(kw_only=True)
class Rules:
    """What the flags ask for."""

    most_files: int
    most_bytes: int
    most_ratio: int
    include: list[str]
    exclude: list[str]
    names: str
    refuse: bool

    def wants(self, name: str) -> bool:
        """Whether the patterns let this name through; one without a slash is held against the last part."""
        return (not self.include or _fits(name, self.include)) and not _fits(name, self.exclude)


@dataclass(kw_only=True)
class Work:
    """What is done so far."""

    rules: Rules
    folder: Path
    archive_bytes: int
    taken: set[str] = field(default_factory=set)
    written_bytes: int = 0
    seen: int = 0
    skipped: int = 0

    def count(self, more: int) -> None:
        """Notes bytes; raises `Refused` where they are too many."""
        self.written_bytes += more
        if self.written_bytes > self.rules.most_bytes:
            raise Refused(
                f"the archive unpacks to more than {self.rules.most_bytes} bytes; raise max_bytes if you trust it"
            )
        if self.written_bytes > max(RATIO_FROM, self.archive_bytes * self.rules.most_ratio):
            raise Refused(
                f"the archive unpacks to more than {self.rules.most_ratio} times its size, as bombs do; "
                "raise max_ratio if you trust it"
            )


def main() -> None:
    """Does what the flags say."""
    rules = Rules(
        most_files=node.number("max_files", 10_000, 1, 1_000_000),
        most_bytes=node.number("max_bytes", 1 << 30, 1, 1 << 44),
        most_ratio=node.number("max_ratio", 250, 1, 1_000_000),
        include=_patterns("include"),
        exclude=_patterns("exclude"),
        names=node.choice("names", "path", "path", "flat", "number"),
        refuse=node.choice("unsafe", "refuse", "refuse", "skip") == "refuse",
    )
    archive = node.source("INPUT_ARCHIVE")
    folder = node.place("OUTPUT_FILES")
    if not folder.is_dir():
        node.die(node.WRONG_FLAG, "OUTPUT_FILES must be a folder that is there: the output takes many files")
    work = Work(rules=rules, folder=folder, archive_bytes=archive.stat().st_size)
    try:
        with archive.open("rb") as file:
            _unpack(file, work)
    except Refused as refused:
        node.die(node.WRONG_INPUT, refused)
    except MemoryError:
        node.die(node.TOO_LARGE, "the archive needs more memory than this tier has; try a larger one")
    except (
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        EOFError,
        struct.error,
        RecursionError,
    ) as error:
        node.die(node.WRONG_INPUT, f"the archive is damaged or not complete ({error or type(error).__name__})")
    except (gzip.BadGzipFile, UnicodeError, ValueError, NotImplementedError) as error:
        node.die(node.WRONG_INPUT, f"the archive cannot be read ({error})")
    except OSError as error:
        code = node.WRONG_INPUT if error.errno is None else node.FAILED
        node.die(code, f"the archive could not be unpacked: {error.strerror or error}")
    if not work.taken:
        why = "no file in the archive fits include and exclude" if work.seen else "the archive is empty"
        node.die(node.WRONG_INPUT, f"{why}, so there is nothing to unpack")
    left = f", {work.skipped} left out" if work.skipped else ""
    node.say(f"Unpacked {len(work.taken)} files, {work.written_bytes} bytes{left}", 1)


# ── What becomes of members ──────────────────────────────────────────────────────────────────────────────────────


def _unpack(file: IO[bytes], work: Work) -> None:
    """Raises `Refused`, or what the readers raise at damage."""
    told = 0
    for member in _members(file, work.rules.most_files):
        work.seen += 1
        if work.seen > work.rules.most_files:
            raise Refused(f"the archive has more than {work.rules.most_files} entries; raise max_files if you trust it")
        name, wrong = _judged(member)
        if wrong:
            if work.rules.refuse:
                raise Refused(
                    f"the archive is not safe: '{member.name}' {wrong}; set unsafe to skip to leave such entries out"
                )
            node.warn(f"left out '{member.name}': it {wrong}")
            work.skipped += 1
        elif member.kind == "link":
            node.warn(f"left out '{member.name}': it is a link")
            work.skipped += 1
        elif member.kind == "file" and work.rules.wants(name):
            _write(member, name, work)
            at = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            if at - told >= max(work.archive_bytes // 20, 1 << 20):
                told = at
                node.say(f"Unpacked {len(work.taken)} files", min(at / work.archive_bytes, 0.99))


def _judged(member: Member) -> tuple[str, str]:
    """The member's name with plain slashes, and what is wrong with it, if anything."""
    if "\0" in member.name:
        return "", "has a name with a NUL in it"
    name = member.name.replace("\\", "/")
    if member.kind == "special":
        return name, "is a device or a pipe"
    if _climbs(name):
        return name, OUTSIDE
    if member.kind == "link":
        target = member.target.replace("\\", "/")
        if "\0" in target or target.startswith("/") or re.match(r"[A-Za-z]:", target):
            return name, f"is a link that {OUTSIDE}"
        depth = len([part for part in name.split("/")[:-1] if part not in ("", ".")])
        for part in target.split("/"):
            depth += -1 if part == ".." else part not in ("", ".")
            if depth < 0:
                return name, f"is a link that {OUTSIDE}"
    return name, ""


def _climbs(name: str) -> bool:
    # What another system may read as a dot or a slash counts as one.
    folded = (
        unicodedata.normalize("NFKC", name)
        .replace("\\", "/")
        .replace("\N{FRACTION SLASH}", "/")
        .replace("\N{DIVISION SLASH}", "/")
    )
    for each in (name, folded):
        if each.startswith("/") or re.match(r"[A-Za-z]:", each) or ".." in (part.strip() for part in each.split("/")):
            return True
    return False


def _write(member: Member, name: str, work: Work) -> None:
    assert member.open is not None
    if member.size > work.rules.most_bytes - work.written_bytes:
        work.count(member.size)
    path = work.folder / _free_name(name, work)
    # New, or not at all: whatever lies there already is not followed.
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with os.fdopen(target, "wb") as out, member.open() as source:
        while block := source.read(CHUNK):
            work.count(len(block))
            out.write(block)


def _free_name(name: str, work: Work) -> str:
    """A name that nothing else in the collection has, in whatever case, and that every file system takes."""
    parts = [safe for part in name.split("/") if part not in ("", ".") and (safe := _safe(part))] or ["_"]
    if work.rules.names == "number":
        ending = _ending(parts[-1])
        wanted = f"{len(work.taken) + 1:06d}{ending}"
    else:
        wanted = parts[-1] if work.rules.names == "flat" else "__".join(parts)
    stem, ending = wanted.removesuffix(_ending(wanted)), _ending(wanted)
    stem = _cut(stem, LONGEST_NAME - len(ending.encode()))
    free, turn = stem + ending, 1
    while free.casefold() in work.taken:
        turn += 1
        free = f"{stem}-{turn}{ending}"
    work.taken.add(free.casefold())
    return free


def _safe(part: str) -> str:
    """Letters and digits of any script, `.`, `_`, `-`; nothing that hides, turns the line round or begins an option."""
    composed = unicodedata.normalize("NFC", part)
    kept = "".join(char if char in "._-" or unicodedata.category(char)[0] in "LMN" else "_" for char in composed)
    kept = kept.rstrip(".")
    kept = re.sub(r"^[.-]", "_", kept)
    return f"_{kept}" if RESERVED.fullmatch(kept) else kept


def _ending(name: str) -> str:
    found = re.search(r"[^.](\.tar)?(\.[A-Za-z0-9]{1,10})$", name)
    return (found[1] or "") + found[2] if found else ""


def _cut(text: str, most_bytes: int) -> str:
    return text.encode("utf-8", "replace")[:most_bytes].decode("utf-8", "ignore")


def _patterns(flag: str) -> list[str]:
    return [pattern.strip() for pattern in node.flag(flag).split(",") if pattern.strip()]


def _fits(name: str, patterns: list[str]) -> bool:
    last = name.rsplit("/", 1)[-1]
    return any(fnmatch.fnmatchcase(name if "/" in pattern else last, pattern) for pattern in patterns)


# ── What is in an archive ────────────────────────────────────────────────────────────────────────────────────────


def _members(file: IO[bytes], most: int) -> Iterator[Member]:
    """The members, by what the first bytes say. Each is to be read before the next is asked for."""
    head = file.read(512)
    file.seek(0)
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        yield from _of_zip(file, most)
    elif head[:6] == b"7z\xbc\xaf\x27\x1c":
        # libarchive reads it, and says what it has found as a tar, which goes the way of all tars.
        yield from _of_tool(["bsdtar", "--no-mac-metadata", "-cf", "-", "--format=pax", "@-"], file)
    elif head[:4] == b"\x28\xb5\x2f\xfd":
        yield from _of_tool(["zstd", "-dcq", f"--memory={MOST_DICTIONARY >> 20}MiB"], file)
    elif head[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=file) as stream:
            yield from _of_tar(stream)
    elif head[:3] == b"BZh":
        with bz2.BZ2File(file) as stream:
            yield from _of_tar(stream)
    elif head[:6] == b"\xfd7zXZ\0":
        yield from _of_tar(_Xz(file))
    elif head[257:262] == b"ustar" or _checks_out(head):
        yield from _of_tar(file)
    else:
        raise Refused(f"the input is no archive of a kind that this node reads: {FORMATS}")


def _of_zip(file: IO[bytes], most: int) -> Iterator[Member]:
    # Its directory is read in one go, so its size comes first.
    end = zipfile._EndRecData(file)
    if end and end[zipfile._ECD_SIZE] > most * 512 + MOST_HEADER:
        raise Refused(f"the archive has more than {most} entries; raise max_files if you trust it")
    archive = zipfile.ZipFile(file)
    entries = archive.infolist()
    _none_overlaps(file, entries, archive.start_dir)
    for entry in entries:
        if entry.flag_bits & 1:
            raise Refused("the archive is encrypted; this node has no password for it, so pack it without one")
        # What zipfile has cut off at a NUL is judged whole.
        name, mode = entry.orig_filename, entry.external_attr >> 16
        if entry.is_dir():
            yield Member(name=name, kind="folder")
        elif entry.create_system == 3 and stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            linked = stat.S_ISLNK(mode)
            target = ""
            if linked:
                with archive.open(entry) as text:
                    target = text.read(4096).decode("utf-8", "replace")
            yield Member(name=name, kind="link" if linked else "special", target=target)
        else:
            yield Member(name=name, size=entry.file_size, open=lambda entry=entry: archive.open(entry))


def _none_overlaps(file: IO[bytes], entries: list[zipfile.ZipInfo], directory: int) -> None:
    """Raises `Refused` where two members share bytes: that is how a small zip is made to hold more than the world."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or entry.header_offset < 0:
            raise Refused("the archive is a bomb: its members overlap")
        file.seek(entry.header_offset)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\3\4":
            raise zipfile.BadZipFile("a member is not where the directory says")
        name, extra = struct.unpack("<HH", header[26:])
        end = entry.header_offset + 30 + name + extra + entry.compress_size
    if end > directory:
        raise Refused("the archive is a bomb: its members overlap")


def _of_tar(stream: IO[bytes]) -> Iterator[Member]:
    """Read once, from the first byte to the last: what comes later cannot change what came before."""
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Careful, errorlevel=2) as archive:
        for entry in archive:
            if entry.isdir():
                yield Member(name=entry.name, kind="folder")
            elif entry.issym() or entry.islnk():
                # A hard link names a member from the top, a soft link from where it stands.
                up = "../" * entry.name.count("/") if entry.islnk() and not entry.linkname.startswith("/") else ""
                yield Member(name=entry.name, kind="link", target=up + entry.linkname)
            elif entry.isreg():
                yield Member(name=entry.name, size=entry.size, open=lambda entry=entry: archive.extractfile(entry))
            else:
                yield Member(name=entry.name, kind="special")
            archive.members.clear()


def _of_tool(command: list[str], file: IO[bytes]) -> Iterator[Member]:
    """The members of a tar that a program writes; raises `Refused` with its last words where it fails."""
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    with Path("/tmp/said").open("w+b") as said:
        program = subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=said, env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin"}
        )
        assert program.stdout is not None
        try:
            yield from _of_tar(program.stdout)
            while program.stdout.read(CHUNK):
                pass
        except tarfile.ReadError:
            if program.wait(timeout=20) == 0:
                raise
        finally:
            program.stdout.close()
        if program.wait() != 0:
            said.seek(0)
            raise Refused(_explained(said.read(2000).decode("utf-8", "replace")))


def _explained(words: str) -> str:
    first = next(iter(words.strip().splitlines()), "no reason given")
    if re.search(r"(?i)encrypt|passphrase|password", words):
        return "the archive is encrypted; this node has no password for it, so pack it without one"
    if re.search(r"(?i)memory|window size", words):
        return "the archive asks for more memory to unpack than this node gives it"
    if re.search(r"(?i)unsupported|not supported|unrecognized", words):
        return f"the archive is packed in a way that this node does not read ({first})"
    return f"the archive is damaged or not complete ({first})"


def _checks_out(head: bytes) -> bool:
    """Whether this is a tar of the oldest kind, which has no mark but a sum."""
    try:
        return len(head) == 512 and any(head) and bool(tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape"))
    except tarfile.TarError:
        return False


class _Careful(tarfile.TarInfo):
    """A header that is looked at before anything of its size is read."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> "tarfile.TarInfo":
        return _looked_at(lambda: super(_Careful, cls).frombuf(buf, encoding, errors))

    @classmethod
    def _frombuf(cls, buf: bytes, encoding: str, errors: str, **more: bool) -> "tarfile.TarInfo":
        # Newer Pythons, and Debian's with their mends, come this way.
        return _looked_at(lambda: super(_Careful, cls)._frombuf(buf, encoding, errors, **more))


def _looked_at(made: Callable[[], tarfile.TarInfo]) -> tarfile.TarInfo:
    try:
        found = made()
    except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:
        # After the first member tarfile would take this for the end.
        raise tarfile.ReadError(str(error)) from error
    if found.size < 0:
        raise tarfile.ReadError("a negative size")
    if found.type in (b"x", b"g", b"X", b"L", b"K") and found.size > MOST_HEADER:
        raise Refused("the archive is a bomb: a name in it is longer than any name can be")
    return found


class _Xz:
    """An xz stream that may not ask for more memory than `MOST_DICTIONARY`; without a limit it may ask for 4 GiB."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._fresh()

    def _fresh(self) -> None:
        self._reader = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_DICTIONARY)
        self._begun = False

    def read(self, size: int) -> bytes:
        parts = []
        while size > 0:
            more = b""
            if self._reader.eof:
                rest = self._reader.unused_data.lstrip(b"\0")
                self._fresh()
                more = rest
            if not more and self._reader.needs_input:
                more = self._file.read(CHUNK)
                if not more:
                    if self._begun:
                        raise EOFError("it ends in the middle")
                    break
                if not self._begun:
                    more = more.lstrip(b"\0")
            self._begun = self._begun or bool(more)
            try:
                parts.append(self._reader.decompress(more, size))
            except lzma.LZMAError as error:
                if "memory" in str(error).lower():
                    raise Refused("the archive asks for more memory to unpack than this node gives it") from error
                raise
            size -= len(parts[-1])
        return b"".join(parts)


if __name__ == "__main__":
    sys.exit(main())
