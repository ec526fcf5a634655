"""What an attempt's end means."""

import asyncio

import pytest

from pupload import errors
from pupload.domain import tiers
from pupload.domain.run import AttemptRef, Failure
from pupload.engine import verdict
from pupload.ports import Exit

REF = AttemptRef(run="run_a", node="resize", number=2)
NANO, LARGEST = tiers.TABLE["c-nano"], max(tiers.TABLE.values(), key=lambda tier: tier.memory_bytes)


def an_exit(code: int, **fields: object) -> Exit:
    usual = {"oom": False, "started_at": None, "finished_at": None}
    return Exit(code=code, **{**usual, **fields})  # type: ignore[arg-type]


def test_a_good_end_is_no_failure() -> None:
    assert verdict.of_exit(REF, an_exit(0), NANO, "words") is None
    assert verdict.of_exit(REF, an_exit(0, oom=True), NANO, "") is None, "a child was killed, the node ended well"


@pytest.mark.parametrize(
    ("ended", "words", "failure", "reason"),
    [
        (an_exit(1), "", Failure.EXIT, "exit code 1"),
        (an_exit(1), "no such file", Failure.EXIT, "exit code 1: no such file"),
        (an_exit(1), "x" * 1000, Failure.EXIT, f"exit code 1: {'x' * verdict.QUOTED}"),
        (an_exit(137), "", Failure.EXIT, "exit code 137 (SIGKILL)"),
        (an_exit(200), "", Failure.EXIT, "exit code 200"),
        (an_exit(153), "", Failure.STORAGE, "wrote a file larger than the limit of 4096 MiB (c-nano); try c-small"),
        (an_exit(127, error="no such command"), "", Failure.NOT_STARTABLE,
         "the command could not be started: no such command"),
        (an_exit(137, oom=True), "", Failure.OOM, "killed: used 512 MiB, the limit of c-nano is 512 MiB; try c-micro"),
        (an_exit(137, oom=True, peak_memory_bytes=1 << 40), "", Failure.OOM,
         "killed: used 512 MiB, the limit of c-nano is 512 MiB; try c-micro"),
        (an_exit(137, oom=True, peak_memory_bytes=100 << 20), "", Failure.OOM,
         "killed: used 100 MiB, the limit of c-nano is 512 MiB; try c-micro"),
    ],
)  # fmt: skip
def test_a_bad_end_has_a_class_and_a_sentence(ended: Exit, words: str, failure: Failure, reason: str) -> None:
    told = verdict.of_exit(REF, ended, NANO, words)
    assert told is not None
    assert (told.failure, told.exit_code) == (failure, ended.code)
    assert told.reason == reason.replace("4096", str(NANO.storage_bytes >> 20))
    assert (told.node, told.attempt, told.peak_memory_bytes) == ("resize", 2, ended.peak_memory_bytes)


def test_beyond_the_largest_tier_there_is_nothing_to_try() -> None:
    told = verdict.of_exit(REF, an_exit(137, oom=True), LARGEST, "")
    assert told is not None
    assert "try" not in told.reason


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (errors.ImageMissing(image="i", reason="no"), Failure.IMAGE_MISSING),
        (errors.ImageRateLimited(image="i", reason="no"), Failure.IMAGE_RATE_LIMITED),
        (errors.OutputMissing(port="p", path="q"), Failure.OUTPUT_MISSING),
        (errors.StoreIntegrity(edge="e", store="s", reason="r"), Failure.STORE),
        (errors.ContainerLost(attempt="a"), Failure.RUNTIME),
        (errors.DiskFull(path="/"), Failure.DISK_FULL),
        (errors.StoreUnavailable(store="s", endpoint="e", reason="r"), Failure.STORE),
        (errors.ObjectForbidden(key="k", store="s", reason="r"), Failure.STORE),
        (errors.ExecutorUnavailable(host="h", reason="r"), Failure.RUNTIME),
        (errors.DatabaseUnavailable(reason="r"), Failure.RUNTIME),
        (errors.Broken(reason="r"), Failure.RUNTIME),
    ],
)
def test_an_error_has_its_class_and_its_own_words(error: errors.PuploadError, failure: Failure) -> None:
    told = verdict.of_error(REF, error)
    assert (told.failure, told.reason, told.exit_code) == (failure, str(error), None)


def test_a_bug_is_told_without_its_details() -> None:
    told = verdict.of_error(REF, KeyError("a secret"))
    assert (told.failure, told.reason) == (Failure.RUNTIME, "internal error: KeyError")


def test_what_was_stopped_was_stopped() -> None:
    told = verdict.of_error(REF, asyncio.CancelledError())
    assert (told.failure, told.reason) == (Failure.CANCELLED, "stopped before it was started")


def test_every_class_of_error_is_a_failure_of_the_domain() -> None:
    def below(kind: type[errors.AttemptFailed]) -> list[type[errors.AttemptFailed]]:
        return [kind, *(one for child in kind.__subclasses__() for one in below(child))]

    assert {Failure(kind.failure) for kind in below(errors.AttemptFailed)} <= set(Failure)
