"""Plain text that is told without all rules: never otherwise than with them."""

from pathlib import Path

import pylibmagic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.adapters.magic import plain, teller
from tests.adapters.magic.test_teller import KNOWN, LISTS

COOKIE = teller._Cookie()


def by_all_rules(head: bytes) -> str:
    return COOKIE.by(COOKIE._handle, head)


def test_the_library_that_ships_has_the_rules_that_this_was_written_for() -> None:
    assert COOKIE.knows_plain


@pytest.mark.parametrize("name", [*KNOWN, *LISTS])
def test_files_are_told_as_by_all_rules(name: str) -> None:
    head = {**KNOWN, **LISTS}[name]
    assert COOKIE.tell(head) == by_all_rules(head)


# Each of these is a line that one of the expressions looks for, or nearly.
LINES = (
    *(
        "P12.3456.7890.1",
        "class Name",
        "module Name",
        " class",
        ": word ( a -- b ) dup ;",
        ".include <x>",
        "SUBDIRS = a",
    ),
    *(
        ".BEGIN",
        ".endif",
        "% SiSU master",
        "SiSU insert",
        "sisu-1.0",
        "\bREF ",
        "a" + "\tb" * 11,
        ":x",
        ";x",
        "0",
        " 0 1",
    ),
    *("VPATH = x", "PROC", ".PRECIOUS: a", ".TH x", ".so", "\bFLEX [", "\t.asciiz", "(ns  ^{:a", "(defn x", "BEGIN {"),
    *("all: x", "sisu-2", "MAX=1,2", "\bMODE ", " .globl main", "(;FF[4]GM[1]", "import java.io;", "LDFLAGS=", "(ns a"),
    *("CFLAGS = -O2", "c comment", "C comment", "      program x", "words and more words", "item 17", "", "17", "-- x"),
    *(
        "#!/bin/sh",
        "<html>",
        "From: me",
        "BEGIN:VCARD",
        "import os",
        "def x:",
        "#include <x>",
        "\\documentclass",
        "<?php",
    ),
)


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.sampled_from(LINES) | st.text("ab 0(.:;\t%Cc", max_size=12), max_size=6),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["ascii", "utf-8-sig", "utf-16", "utf-32", "cp500"]),
)
def test_texts_of_all_kinds_are_told_as_by_all_rules(lines: list[str], end: str, encoding: str) -> None:
    head = end.join(lines).encode(encoding)
    assert COOKIE.tell(head) == by_all_rules(head)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_the_bytes_they_are_told_as_by_all_rules(head: bytes) -> None:
    assert COOKIE.tell(head) == by_all_rules(head)


@pytest.mark.parametrize("line", LINES[:39])
def test_what_an_expression_may_match_is_asked_all_rules(line: str) -> None:
    assert not plain.is_plain(f"{line}\nwords\n".encode())


@pytest.mark.parametrize(
    "text", [b"item 17\n", b"the quick brown fox\n" * 20, b'{"a": [1, 2], "b": "c"}\n', b"a,b\n1,2\n"]
)
def test_what_none_can_match_is_not(text: bytes) -> None:
    assert plain.is_plain(text)


def test_of_another_data_base_all_rules_are_asked(tmp_path: Path) -> None:
    known = (Path(pylibmagic.__file__).parent / "magic.mgc").read_bytes()
    first = known.index(b"^LDFLAGS")
    for name, other in (("short", known[:-1]), ("old", b"\x1c\x04\x1e\xf1\x0f" + known[5:])):
        (tmp_path / name).write_bytes(other)
        assert plain.without_expressions(tmp_path / name) is None
    (tmp_path / "other").write_bytes(known[:first] + b"^LDFLAGZ" + known[first + 8 :])
    assert plain.without_expressions(tmp_path / "other") is None
