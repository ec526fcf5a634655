"""
The node types unpack and pack: what people send, and what those send who mean harm.
"""

import bz2
import functools
import gzip
import io
import lzma
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.nodes import archives, batch, house

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

UNPACKED = {"a.txt": b"one\n", "docs__b.txt": b"two\n", "docs__deep__c.csv": b"x,y\n1,2\n"}
TAR = archives.tarred(*archives.FILES.items())

Unpack = Callable[..., house.Outcome]


@pytest.fixture
def unpack(tmp_path: Path) -> Unpack:
    """Runs unpack on the bytes; flags by name."""

    def run(data: bytes, **flags: str) -> house.Outcome:
        return house.run("unpack", tmp_path, {"archive": data}, flags=flags)

    return run


def pack(tmp_path: Path, **flags: str) -> house.Outcome:
    files = {name.replace("/", "-"): data for name, data in archives.FILES.items()}
    return house.run("pack", tmp_path, {"files": dict(sorted(files.items()))}, flags=flags)


# ── What people send ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "data",
    [
        archives.zipped(),
        TAR,
        gzip.compress(TAR),
        bz2.compress(TAR),
        lzma.compress(TAR),
        lzma.compress(TAR) * 1 + bytes(4),
    ],
    ids=["zip", "tar", "gz", "bz2", "xz", "xz-padded"],
)
def test_each_format_is_taken_apart(unpack: Unpack, data: bytes) -> None:
    outcome = unpack(data)
    assert (outcome.exit_code, outcome.complaint) == (0, "")
    assert outcome.many("files") == UNPACKED
    assert (outcome.last.message, outcome.last.progress) == ("Unpacked 3 files, 16 bytes", 1.0)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz", "tar.zst", "7z"])
def test_what_is_packed_is_the_same_each_time_and_unpacks_to_what_it_was(tmp_path: Path, kind: str) -> None:
    first, second = (pack(tmp_path, format=kind, folder="all") for _ in range(2))
    assert (first.exit_code, first.complaint) == (0, "")
    assert first.file("archive") == second.file("archive")
    outcome = house.run("unpack", tmp_path, {"archive": first.file("archive")}, flags={"names": "flat"})
    assert outcome.exit_code == 0, outcome.complaint
    assert list(outcome.many("files").values()) == list(archives.FILES.values())


def test_single_files_are_packed_under_the_names_that_they_are_given(tmp_path: Path) -> None:
    given: Mapping[str, house.Source] = {"file_1": b"text", "file_2": b"more"}
    outcome = house.run("pack", tmp_path, given, flags={"names": "z.txt, a.txt"})
    assert zipfile.ZipFile(io.BytesIO(outcome.file("archive"))).namelist() == ["a.txt", "z.txt"]
    clash = house.run("pack", tmp_path, given, flags={"names": "z.txt, Z.TXT"})
    assert (clash.exit_code, "two files would be named" in clash.complaint) == (64, True)


@pytest.mark.parametrize("flags", [{"folder": "../x"}, {"folder": "/x"}, {"names": "../../x"}, {"level": "10"}])
def test_no_archive_is_made_that_is_not_safe(tmp_path: Path, flags: dict[str, str]) -> None:
    outcome = house.run("pack", tmp_path, {"file_1": b"text"}, flags=flags)
    assert outcome.exit_code == 64
    assert outcome.complaint.startswith(f"flag {next(iter(flags))} must be ")


def test_patterns_choose_among_the_files(unpack: Unpack) -> None:
    assert list(unpack(archives.zipped(), include="*.txt, *.csv", exclude="docs/deep/*").many("files")) == [
        "a.txt",
        "docs__b.txt",
    ]
    nothing = unpack(archives.zipped(), include="*.jpg")
    assert (nothing.exit_code, "fits include and exclude" in nothing.complaint) == (65, True)


def test_names_that_would_be_one_are_told_apart(unpack: Unpack) -> None:
    names = {"a/x.txt": b"1", "b/X.TXT": b"2", "c/x.txt": b"3"}
    assert unpack(archives.zipped(names), names="flat").many("files") == {
        "X-2.TXT": b"2",
        "x-3.txt": b"3",
        "x.txt": b"1",
    }
    assert list(unpack(archives.zipped(names), names="number").many("files")) == [
        "000001.txt",
        "000002.TXT",
        "000003.txt",
    ]


BECOMES = {
    "-rf": "_rf",
    ".bashrc": "_bashrc",
    "con.txt": "_con.txt",
    "a\u202egpj.exe": "a_gpj.exe",
    "a\u200b.txt": "a_.txt",
    "straße ü.txt": "straße_ü.txt",
    "u\u0308.txt": "ü.txt",
    "$(id);`id`|x.txt": "__id___id__x.txt",
    "a\nb.txt": "a_b.txt",
    "folder\\file.txt": "folder__file.txt",
    "x" * 5000 + ".tar.gz": "x" * 173 + ".tar.gz",
    "ü" * 1000 + ".txt": "ü" * 88 + ".txt",
}


def test_a_name_becomes_one_that_harms_nobody(tmp_path: Path) -> None:
    cases = {name: batch.Case(inputs={"archive": archives.zipped({name: b"x"})}) for name in BECOMES}
    outcomes = batch.run("unpack", tmp_path, cases)
    assert {name: list(outcome.files) for name, outcome in outcomes.items()} == {
        name: [safe] for name, safe in BECOMES.items()
    }


# ── What leads out ───────────────────────────────────────────────────────────────────────────────────────────────

CLIMBING = [
    "../evil",
    "a/../../evil",
    "/etc/evil",
    "..\\evil",
    "C:\\evil",
    "c:evil",
    "\\\\host\\share",
    "a/..\\../evil",
    "a/.. /evil",
    "\uff0e\uff0e/evil",
    "..\u2215evil",
    "..\uff0fevil",
]


@functools.cache
def _link(kind: bytes, target: str) -> bytes:
    return archives.tarred(archives.member("link", kind, target), ("link/passwd", b"bad"), ("good.txt", b"good"))


HOSTILE = {
    **{f"zip {name!r}": archives.zipped({"good.txt": b"good", name: b"bad"}) for name in CLIMBING},
    **{f"tar {name!r}": archives.tarred(("good.txt", b"good"), (name, b"bad")) for name in CLIMBING},
    "zip NUL": archives.zip_of_raw_names(b"good.txt", b"a\0/../../b"),
    "zip link": archives.zip_with_link("link", "/etc"),
    "zip link up": archives.zip_with_link("a/link", "../../etc"),
    "soft link": _link(tarfile.SYMTYPE, "/etc"),
    "soft link up": _link(tarfile.SYMTYPE, "../../../etc"),
    "hard link": _link(tarfile.LNKTYPE, "/etc/passwd"),
    "hard link up": _link(tarfile.LNKTYPE, "../etc/passwd"),
    "device": _link(tarfile.CHRTYPE, ""),
    "disk": _link(tarfile.BLKTYPE, ""),
    "pipe": _link(tarfile.FIFOTYPE, ""),
}


def test_what_leads_out_of_the_archive_condemns_it(tmp_path: Path) -> None:
    outcomes = batch.run("unpack", tmp_path, {name: _archive(data) for name, data in HOSTILE.items()})
    assert {name for name, outcome in outcomes.items() if outcome.exit_code != 65} == set()
    assert {name for name, outcome in outcomes.items() if "the archive is not safe" not in outcome.complaint} == set()


def _archive(data: bytes, **flags: str) -> batch.Case:
    return batch.Case(inputs={"archive": data}, flags=flags)


@pytest.mark.parametrize("case", ["zip '../evil'", "soft link", "hard link", "device"])
def test_what_leads_out_is_left_out_where_that_is_asked(unpack: Unpack, case: str) -> None:
    outcome = unpack(HOSTILE[case], unsafe="skip")
    assert outcome.exit_code == 0
    assert set(outcome.many("files")) <= {"good.txt", "link__passwd"}
    assert "left out" in outcome.complaint


def test_a_link_within_the_archive_is_left_out_with_a_word(unpack: Unpack) -> None:
    data = archives.tarred(("docs/a.txt", b"one"), archives.member("docs/b.txt", tarfile.SYMTYPE, "../docs/a.txt"))
    outcome = unpack(data)
    assert (outcome.exit_code, list(outcome.many("files"))) == (0, ["docs__a.txt"])
    assert outcome.complaint == "left out 'docs/b.txt': it is a link"


def test_a_7z_with_links_is_held_to_the_same(unpack: Unpack) -> None:
    made = _seven(archives.tarred(("good.txt", b"good"), archives.member("link", tarfile.SYMTYPE, "/etc")))
    outcome = unpack(made)
    assert (outcome.exit_code, "leads out" in outcome.complaint) == (65, True)
    outcome = unpack(_seven(archives.tarred(("../evil", b"bad"))))
    assert (outcome.exit_code, "leads out" in outcome.complaint) == (65, True)


def _seven(tar: bytes) -> bytes:
    """The same as a 7z, by the tool in the image."""
    command = ["bsdtar", "-cf", "-", "--format=7zip", "@-"]
    order = ["docker", "run", "--rm", "-i", "--tmpfs", "/tmp", "--network", "none", "--entrypoint", command[0]]
    return subprocess.run(
        [*order, house.image("unpack"), *command[1:]], input=tar, capture_output=True, check=True
    ).stdout


# ── What is more than it seems, or less ──────────────────────────────────────────────────────────────────────────


BOMBS_AND_RUINS: list[tuple[bytes, dict[str, str], str]] = [
    (archives.zip_that_overlaps(), {}, "members overlap"),
    (archives.gzip_bomb(), {}, "times its size"),
    (archives.gzip_bomb(), {"max_ratio": "1000000", "max_bytes": "1000000"}, "more than 1000000 bytes"),
    (archives.zipped({"zeros": bytes(40_000_000)}), {}, "times its size"),
    (archives.sparse_bomb(), {}, "unpacks to more than"),
    (gzip.compress(archives.tarred(archives.member("L", b"L", size=1 << 33))), {}, "longer than any name"),
    (gzip.compress(archives.tarred(archives.member("x", b"x", size=1 << 33))), {}, "longer than any name"),
    (archives.zipped({f"{n}": b"" for n in range(50)}), {"max_files": "49"}, "more than 49 entries"),
    (archives.tarred(*((f"{n}", b"") for n in range(50))), {"max_files": "49"}, "more than 49 entries"),
    (archives.zip_that_lies(10), {}, "damaged"),
    (archives.zip_that_lies(0xFFFFFFF0), {}, "unpacks to more than"),
    (archives.zip_encrypted(), {}, "encrypted"),
    (archives.zipped()[:-30], {}, "damaged"),
    (archives.zipped()[:60], {}, "damaged"),
    (TAR[:700], {}, "damaged"),
    (gzip.compress(TAR)[:-20], {}, "damaged"),
    (lzma.compress(TAR)[:-20], {}, "damaged"),
    (bz2.compress(TAR)[:-20], {}, "damaged"),
    (archives.tarred(("a", b"x" * 600))[:1536] + b"\xff" * 2048, {}, "damaged"),
    (b"7z\xbc\xaf\x27\x1c" + b"\1" * 100, {}, "damaged"),
    (b"\x28\xb5\x2f\xfd" + bytes(100), {}, "damaged"),
    (b"\x1f\x8b" + bytes(100), {}, "cannot be read"),
    (gzip.compress(b"plain text"), {}, "damaged"),
    (b"", {}, "no archive"),
    (b"hello", {}, "no archive"),
    (bytes(2048), {}, "no archive"),
    (archives.zipped({}), {}, "is empty"),
]


def test_bombs_and_ruins_end_in_a_sentence(tmp_path: Path) -> None:
    cases = {f"{turn}: {case[2]}": _archive(case[0], **case[1]) for turn, case in enumerate(BOMBS_AND_RUINS)}
    outcomes = batch.run("unpack", tmp_path, cases)
    assert {name: outcome.exit_code for name, outcome in outcomes.items() if outcome.exit_code != 65} == {}
    told = {name: outcome.complaint for name, outcome in outcomes.items()}
    assert {name: words for name, words in told.items() if name.partition(": ")[2] not in words} == {}


def test_an_archive_in_an_archive_is_a_file(unpack: Unpack) -> None:
    outcome = unpack(archives.quine())
    assert (outcome.exit_code, list(outcome.many("files"))) == (0, ["19.zip"])


def test_xz_may_not_ask_for_all_memory(unpack: Unpack) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 30}]
    outcome = unpack(lzma.compress(TAR, filters=filters))
    assert (outcome.exit_code, "more memory" in outcome.complaint) == (65, True)


WRONG = {"max_files": "0", "max_bytes": "1e9", "max_ratio": "-1", "names": "../x", "unsafe": "yes"}


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    outcomes = batch.run("unpack", tmp_path, {flag: _archive(TAR, **{flag: value}) for flag, value in WRONG.items()})
    for flag, outcome in outcomes.items():
        assert outcome.exit_code == 64
        assert outcome.complaint.startswith(f"flag {flag} must be ")
