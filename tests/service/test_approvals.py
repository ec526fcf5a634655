"""Approvals: a run asks, and somebody says yes or no."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pupload import errors
from pupload.domain import flow as flows
from pupload.domain.access import Caller, Role
from pupload.domain.run import Run, Status
from pupload.service import asking
from pupload.service.approvals import MOST_COMMENT, Approvals
from pupload.service.handing import Hands
from tests.bench import Bench, a_bench, copies
from tests.builders import a_flow, a_node, a_well

IMAGE = "pupload/resize:latest"
BOB = Caller(user=None, name="bob", role=Role.ADMIN)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


def approvals_of(bench: Bench) -> Approvals:
    return Approvals(engine=bench.engine, runs=bench.runs, hands=Hands(engine=bench.engine, uploads=bench.uploads))


def asks(**fields: Any) -> flows.Flow:
    """The first node makes `draft`; the second waits that somebody says yes on `go`, and is asked about it then."""
    second = a_node("publish", inputs={"image": "draft", "approval": "go"}, outputs={"resized": "result"}, **fields)
    first = a_node("draft", inputs={"image": "photo"}, outputs={"resized": "draft"})
    return a_flow(first, second, wells=[a_well("go", source="approval")])


async def asked(bench: Bench, this: flows.Flow | None = None, data: bytes = b"hello") -> Run:
    """A run that has come to its question."""
    run = await bench.start(this or asks())
    await bench.upload(run, "photo", data)
    await bench.until(lambda: bench.engine.driver.live[run.id].artifacts.keys() == {"photo", "draft"})
    return bench.engine.driver.live[run.id]


async def test_a_run_waits_until_somebody_says_yes(bench: Bench) -> None:
    run = await asked(bench)
    view = await bench.view(run)
    assert run.status is Status.WAITING
    assert [(each.edge, each.nodes) for each in view.approvals] == [("go", ["publish"])]
    assert view.waiting == []
    with asking.asked_by(BOB):
        await approvals_of(bench).answer(run.id, "go", approve=True, comment="looks good")
    run = await bench.ended(run)
    assert run.status is Status.COMPLETE
    said = json.loads(await bench.download(run, "go"))
    assert said.pop("at").startswith("20")
    assert said == {"approved": True, "by": "bob", "comment": "looks good"}


async def test_a_no_fails_the_run_and_says_who_said_it(bench: Bench) -> None:
    run = await asked(bench)
    with asking.asked_by(BOB):
        await approvals_of(bench).answer(run.id, "go", approve=False, comment="too\nblurred")
    run = await bench.ended(run)
    assert (run.status, run.error) == (Status.ERROR, "bob said no to edge go: too blurred")


async def test_nobody_is_asked_before_there_is_something_to_ask_about(bench: Bench) -> None:
    run = await bench.start(asks())
    assert [each.edge for each in (await bench.view(run)).waiting] == ["photo"]
    assert (await bench.view(run)).approvals == []
    with pytest.raises(errors.NotAwaited, match="nobody is asked yet"):
        await approvals_of(bench).answer(run.id, "go", approve=True)


@pytest.mark.parametrize("approve", [True, False])
async def test_who_answers_first_has_answered(bench: Bench, approve: bool) -> None:
    run = await asked(bench)
    await approvals_of(bench).answer(run.id, "go", approve=approve)
    with pytest.raises(errors.NotAwaited, match=r"somebody said yes already|the run is ERROR"):
        await approvals_of(bench).answer(run.id, "go", approve=not approve)
    await bench.ended(run)


@pytest.mark.parametrize("edge", ["photo", "draft", "none"])
async def test_what_asks_nobody_is_not_answered(bench: Bench, edge: str) -> None:
    run = await asked(bench)
    with pytest.raises(errors.NotAwaited):
        await approvals_of(bench).answer(run.id, edge, approve=True)


async def test_an_approval_cannot_be_uploaded(bench: Bench) -> None:
    run = await asked(bench)
    with pytest.raises(errors.NotAwaited, match="it takes a yes or no"):
        await bench.uploads.renew(run.id, "go")
    with pytest.raises(errors.NotAwaited, match="it takes a yes or no"):
        await bench.uploads.complete(run.id, "go")


async def test_nobody_is_asked_about_what_its_condition_leaves_out(bench: Bench) -> None:
    run = await bench.start(asks(when="input.image.size > 100"))
    await bench.upload(run, "photo", b"hello")
    run = await bench.ended(run)
    assert run.status is Status.COMPLETE
    assert run.nodes["publish"].unmet
    asked_of = await asked(bench, asks(when="input.image.size > 100"), b"x" * 101)
    assert [each.edge for each in (await bench.view(asked_of)).approvals] == ["go"]


async def test_nobody_says_anything_for_a_day(bench: Bench) -> None:
    run = await bench.ended(await asked(bench), step=3600)
    assert run.error == "nobody said yes or no to edge go within 24h"


async def test_a_resumed_run_does_not_ask_again(bench: Bench) -> None:
    run = await asked(bench)
    await approvals_of(bench).answer(run.id, "go", approve=True)
    await bench.runs.cancel(run.id)
    run = await bench.ended(run)
    if run.status is Status.STOPPED:
        run = await bench.ended((await bench.runs.resume(run.id)).run)
    assert run.status is Status.COMPLETE


@pytest.mark.parametrize("comment", ["x" * (MOST_COMMENT + 1), "\x1b[31m"])
async def test_a_comment_is_short_and_can_be_read(bench: Bench, comment: str) -> None:
    run = await asked(bench)
    with pytest.raises(errors.Malformed):
        await approvals_of(bench).answer(run.id, "go", approve=True, comment=comment)


async def test_an_answer_outlives_the_server_that_took_it(bench: Bench) -> None:
    run = await asked(bench)
    planned = run.plan.edges["go"]
    await bench.store.put_bytes(planned.upload_key, b"{}", content_type="application/json")
    bench = await bench.restarted()
    assert (await bench.ended(run)).status is Status.COMPLETE
    await bench.engine.close()
