"""Sealing: what comes out can neither be read nor moved, and keys are kept, renewed and missed."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.sealing import keyfile
from pupload.adapters.sealing.sealer import FileSealer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "secret.key"


def test_what_was_sealed_opens_and_cannot_be_read(path: Path) -> None:
    sealer = FileSealer(path)
    sealed = sealer.seal(b"a plan with a key in it", about="plan 1")
    assert b"key" not in sealed
    assert sealer.open(sealed, about="plan 1") == b"a plan with a key in it"
    assert FileSealer(path).open(sealed, about="plan 1") == b"a plan with a key in it"


def test_the_same_is_sealed_differently_each_time(path: Path) -> None:
    sealer = FileSealer(path)
    assert len({sealer.seal(b"same", about="it") for _ in range(100)}) == 100


def test_the_key_file_is_made_when_it_is_needed_and_for_its_owner_alone(path: Path) -> None:
    sealer = FileSealer(path)
    assert not path.exists()
    sealer.seal(b"", about="it")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]


def test_what_was_sealed_for_one_thing_opens_for_no_other(path: Path) -> None:
    sealer = FileSealer(path)
    sealed = sealer.seal(b"data", about="secret A")
    with pytest.raises(errors.Damaged, match="secret B"):
        sealer.open(sealed, about="secret B")


def test_a_changed_bit_anywhere_is_noticed(path: Path) -> None:
    sealer = FileSealer(path)
    sealed = sealer.seal(b"data", about="it")
    for place in range(len(sealed)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises((errors.Damaged, errors.Misconfigured)):
            sealer.open(bytes(changed), about="it")
        with pytest.raises(errors.Damaged):
            sealer.open(sealed[: place if place < 21 else 20], about="it")


def test_a_key_that_is_not_there_is_told_by_its_id(path: Path) -> None:
    sealed = FileSealer(path).seal(b"data", about="the plan of run 1")
    (key_id,) = keyfile.read(path)
    path.unlink()
    with pytest.raises(errors.Misconfigured, match=f"the plan of run 1 is encrypted with key {key_id.hex()}"):
        FileSealer(path).open(sealed, about="the plan of run 1")
    assert not path.exists(), "a new key would not help, and would stand in the way of the old file"


def test_a_new_key_seals_and_the_old_ones_open(path: Path) -> None:
    sealer = FileSealer(path)
    old = sealer.seal(b"data", about="it")
    (first,) = keyfile.read(path)
    second = sealer.renew(new_key=True)
    assert list(keyfile.read(path)) == [bytes.fromhex(second), first]
    new = sealer.seal(b"data", about="it")
    assert bytes.fromhex(second) in new
    assert first in old
    assert [FileSealer(path).open(each, about="it") for each in (old, new)] == [b"data", b"data"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_that_another_server_made_is_found_without_a_restart(path: Path) -> None:
    ours, theirs = FileSealer(path), FileSealer(path)
    ours.seal(b"", about="it")
    theirs.renew(new_key=True)
    assert ours.open(theirs.seal(b"data", about="it"), about="it") == b"data"


def test_renewing_without_a_new_key_takes_the_files_first(path: Path) -> None:
    sealer = FileSealer(path)
    first = sealer.renew(new_key=False)
    lines = path.read_text().splitlines()
    other = keyfile.add(path.with_name("other"))
    path.write_text("\n".join([*path.with_name("other").read_text().splitlines(), *lines]))
    assert sealer.renew(new_key=False) == next(iter(other)).hex() != first
    assert len(keyfile.read(path)) == 2


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_may_read_is_refused(path: Path, mode: int) -> None:
    keyfile.add(path)
    path.chmod(mode)
    with pytest.raises(errors.Misconfigured, match=f"others may read it .*{mode:04o}.*chmod 600"):
        FileSealer(path)


@pytest.mark.parametrize("text", ["not base64!", "c2hvcnQ=", "é", "AAAA" * 12])
def test_a_file_that_holds_something_else_is_refused_without_showing_it(path: Path, text: str) -> None:
    path.touch(0o600)
    path.write_text(f"# a remark\n\n{text}\n")
    with pytest.raises(errors.Misconfigured) as caught:
        FileSealer(path)
    assert text not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Misconfigured, match="directory"):
        FileSealer(tmp_path)


def test_many_threads_make_one_key(path: Path) -> None:
    sealer = FileSealer(path)
    with ThreadPoolExecutor(16) as pool:
        sealed = list(pool.map(lambda number: sealer.seal(b"%d" % number, about="it"), range(200)))
    assert len(keyfile.read(path)) == 1
    assert [FileSealer(path).open(each, about="it") for each in sealed] == [b"%d" % number for number in range(200)]


def test_two_processes_that_start_at_once_end_with_one_key(path: Path) -> None:
    one, other = FileSealer(path), FileSealer(path)
    sealed = [one.seal(b"1", about="it"), other.seal(b"2", about="it")]
    assert len(keyfile.read(path)) == 1
    assert [FileSealer(path).open(each, about="it") for each in sealed] == [b"1", b"2"]


def test_a_key_is_never_shown(path: Path) -> None:
    sealer = FileSealer(path)
    sealer.seal(b"", about="it")
    key = path.read_text().splitlines()[-1]
    assert key not in repr(sealer) + repr(vars(sealer))
    assert os.fspath(path) in repr(vars(sealer))
