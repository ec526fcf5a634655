"""Whoever wants to know that a run is over is told: at least once, whatever receivers and crashes do."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.memory.outbox import MemoryPoster
from pupload.domain import callbacks, signing
from pupload.domain.access import Caller, Role
from pupload.domain.delivery import Delivery, Reply, State
from pupload.domain.flow import Callback, Flow
from pupload.domain.run import Run, Status
from pupload.engine.callbacks import AT_ONCE, AT_ONCE_PER_HOST, Callbacks, Operator
from pupload.service.asking import asked_by
from tests.bench import PNG, Bench, a_bench, assemble, copies, ends
from tests.builders import a_flow, a_node

OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "plain words, 16 bytes or more"
URL = "https://hooks.example/in?key=1"

IMAGE = "pupload/resize:latest"


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with a_bench(tmp_path) as found:
        found.image(IMAGE, copies("image", "resized"))
        yield found


def receiver(bench: Bench) -> MemoryPoster:
    """Who is told."""
    found = bench.world.poster
    assert isinstance(found, MemoryPoster)
    return found


def telling(*urls: str, secrets: tuple[str, ...] = (OLD,)) -> Flow:
    """A flow whose runs are told to these."""
    return a_flow(a_node(), callbacks=tuple(Callback(url=url, secrets=secrets) for url in urls or (URL,)))


async def finished(bench: Bench, this: Flow) -> Run:
    """A run of the flow that is over."""
    run = await bench.start(this)
    for waiting in (await bench.view(run)).waiting:
        await bench.upload(run, waiting.edge, PNG)
    return await bench.ended(run)


async def of(bench: Bench, run: Run) -> list[Delivery]:
    return list(await bench.world.outbox.of_run(run.id))


async def until(bench: Bench, run: Run, state: State, *, step: float = 0.01) -> Delivery:
    """The run's one delivery, when it has come to this."""
    found: list[Delivery] = []

    async def look() -> None:
        found[:] = await of(bench, run)

    for _ in range(5000):
        await bench.clock.run_for(step)
        await look()
        if found and found[0].state is state and not bench.engine.callbacks._busy:
            return found[0]
    raise AssertionError(f"it never came to be {state}: {found}")


# ── What is told ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_run_that_is_over_is_told_once_and_signed_by_every_secret(bench: Bench) -> None:
    run = await finished(bench, telling(secrets=(OLD, NEW)))
    kept = await until(bench, run, State.DELIVERED)
    (posted,) = receiver(bench).posted
    told = json.loads(posted.body)
    assert (told["type"], told["data"]["ID"], told["data"]["Status"]) == ("run.completed", run.id, "COMPLETE")
    assert posted.url == URL
    assert not posted.trusted
    assert posted.headers["webhook-id"] == kept.id == callbacks.delivery_id(run.id, 0)
    assert posted.headers["Content-Type"] == "application/json"
    for secret in (OLD, NEW):
        judged = signing.objection(
            [signing.key_of(secret)],
            message_id=posted.headers["webhook-id"],
            timestamp=posted.headers["webhook-timestamp"],
            signatures=posted.headers["webhook-signature"],
            body=posted.body,
            now=kept.tries[0].at,
        )
        assert judged is None
    assert b"memory://" not in posted.body, "a presigned URL lets in whoever has it"


async def test_a_run_that_failed_and_one_that_was_cancelled_are_told(bench: Bench) -> None:
    bench.image(IMAGE, ends(code=7))
    failed = await bench.start(replace(telling(), nodes=(a_node(),)))
    for waiting in (await bench.view(failed)).waiting:
        await bench.upload(failed, waiting.edge, PNG)
    assert (await bench.ended(failed, step=1.0)).status is Status.ERROR
    stopped = await bench.start(telling())
    await bench.runs.cancel(stopped.id)
    for run in (failed, stopped):
        await until(bench, run, State.DELIVERED)
    assert {json.loads(one.body)["type"] for one in receiver(bench).posted} == {"run.failed", "run.stopped"}


async def test_no_secret_of_a_callback_is_shown(bench: Bench) -> None:
    run = await finished(bench, telling())
    (kept,) = await of(bench, run)
    shown = repr((run, run.plan, run.plan.flow, kept, await bench.view(run)))
    assert OLD not in shown
    assert "key=1" not in shown


async def test_without_secrets_nothing_is_signed(bench: Bench) -> None:
    await until(bench, await finished(bench, telling(secrets=())), State.DELIVERED)
    assert "webhook-signature" not in receiver(bench).posted[0].headers


async def test_a_secret_that_is_named_is_looked_up_when_it_is_sent(bench: Bench) -> None:
    await bench.world.secrets.put("HOOK", NEW, at=bench.clock.now())
    run = await bench.start(telling(secrets=("${secret.HOOK}",)))
    await bench.world.secrets.remove("HOOK")
    await bench.runs.cancel(run.id)
    (kept,) = [one async for one in _tried(bench, run)]
    assert kept.tries[0].error == "it cannot be signed: there is no secret HOOK"
    assert receiver(bench).posted == []
    await bench.world.secrets.put("HOOK", OLD, at=bench.clock.now())
    await until(bench, run, State.DELIVERED, step=1.0)
    assert "webhook-signature" in receiver(bench).posted[0].headers


async def test_a_callback_is_signed_with_its_run_s_account_s_secret(bench: Bench) -> None:
    await bench.world.secrets.put("HOOK", OLD, at=bench.clock.now())
    await bench.world.secrets.put("HOOK", NEW, account=2, at=bench.clock.now())
    with asked_by(Caller(user=2, name="", role=Role.EDITOR)):
        run = await bench.start(telling(secrets=("${secret.HOOK}",)))
        await bench.runs.cancel(run.id)
        await until(bench, run, State.DELIVERED)
    posted = receiver(bench).posted[0]
    signed = {
        key: signing.signature(
            signing.key_of(key),
            message_id=posted.headers["webhook-id"],
            timestamp=int(posted.headers["webhook-timestamp"]),
            body=posted.body,
        )
        for key in (OLD, NEW)
    }
    assert posted.headers["webhook-signature"] == signed[NEW] != signed[OLD]


async def _tried(bench: Bench, run: Run) -> AsyncIterator[Delivery]:
    """The delivery, once it was tried."""
    for _ in range(100):
        await bench.clock.run_for(0.01)
        for kept in await of(bench, run):
            if kept.tries:
                yield kept
                return


async def test_the_operator_is_told_of_every_run(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        config = replace(bench.config, callback=Operator(url="http://10.0.0.1/all", secrets=(NEW,)))
        await bench.engine.close()
        bench = assemble(bench.world, config, bench)
        await bench.engine.start()
        run = await finished(bench, a_flow(a_node()))
        await until(bench, run, State.DELIVERED)
        (posted,) = receiver(bench).posted
        assert (posted.url, posted.trusted) == ("http://10.0.0.1/all", True)
        assert OLD not in repr(config)
        assert NEW not in repr(config)
        await bench.engine.close()


# ── When it is told ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_receiver_that_fails_is_told_again_with_the_same_id_and_a_new_time(bench: Bench) -> None:
    receiver(bench).replies = [Reply(status=500), Reply(error="it hung up"), Reply(status=302)]
    run = await finished(bench, telling())
    kept = await until(bench, run, State.DELIVERED, step=10.0)
    assert [(one.status, one.error) for one in kept.tries] == [
        (500, "it answered 500"),
        (None, "it hung up"),
        (302, "it answered 302: redirects are not followed, name the address itself"),
        (200, ""),
    ]
    posted = receiver(bench).posted
    assert len({one.headers["webhook-id"] for one in posted}) == 1
    assert len({one.headers["webhook-timestamp"] for one in posted}) == 4
    assert len({one.body for one in posted}) == 1
    pauses = [(b.at - a.at).total_seconds() for a, b in zip(kept.tries, kept.tries[1:], strict=False)]
    assert all(least <= pause <= 1.1 * least + 1 for least, pause in zip((5, 300, 1800), pauses, strict=True))


async def test_one_that_never_takes_it_is_given_up_and_listed(bench: Bench) -> None:
    receiver(bench).replies = [Reply(status=500)] * 99
    run = await finished(bench, telling())
    await bench.engine.close()  # nothing else is to happen in these days
    bench.engine.callbacks = Callbacks(
        outbox=bench.world.outbox,
        poster=bench.world.poster,
        look=bench.engine.driver.look,
        reveal=bench.world.secrets.reveal,
        clock=bench.clock,
        ids=bench.world.ids,
        operator=Operator(),
    )
    bench.engine.callbacks.start()
    kept = await until(bench, run, State.FAILED, step=3600.0)
    assert len(kept.tries) == len(receiver(bench).posted) == 10
    assert kept.due_at is None
    await bench.clock.run_for(timedelta(days=3).total_seconds())
    assert len(receiver(bench).posted) == 10
    assert (await bench.engine.driver.look(run.id)).status is Status.COMPLETE, "it has no effect on the run"
    assert bench.engine.callbacks.totals[State.FAILED] == 1
    await bench.engine.callbacks.close()


async def test_one_that_was_given_up_is_sent_again_when_somebody_asks(bench: Bench) -> None:
    receiver(bench).replies = [Reply(status=410)]
    run = await finished(bench, telling())
    kept = await until(bench, run, State.FAILED)
    again = await bench.engine.callbacks.send_again(run.id, kept.id)
    assert again.state is State.PENDING
    kept = await until(bench, run, State.DELIVERED)
    assert [one.status for one in kept.tries] == [410, 200]
    with pytest.raises(errors.UnknownDelivery):
        await bench.engine.callbacks.send_again(run.id, "msg_other")


async def test_one_that_is_sent_again_while_it_is_under_way_is_sent_again(bench: Bench) -> None:
    receiver(bench).gate = gate = asyncio.Event()
    run = await finished(bench, telling())
    await bench.until(lambda: len(receiver(bench).posted) == 1)
    (kept,) = await of(bench, run)
    await bench.engine.callbacks.send_again(run.id, kept.id)
    gate.set()
    kept = await until(bench, run, State.DELIVERED)
    assert len(receiver(bench).posted) == len(kept.tries) == 2


# ── Others ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_host_that_does_not_answer_keeps_nobody_elses_waiting(bench: Bench) -> None:
    slow = receiver(bench)
    slow.gate = gate = asyncio.Event()
    for _ in range(3):
        await finished(bench, telling(*["https://slow.example/"] * 9))
    await bench.until(lambda: len(slow.posted) >= AT_ONCE_PER_HOST)
    await finished(bench, telling("https://other.example/"))
    await bench.until(lambda: any("other" in one.url for one in slow.posted))
    assert sum("slow" in one.url for one in slow.posted) == AT_ONCE_PER_HOST
    gate.set()
    await bench.until(lambda: len(slow.posted) == 28)
    assert AT_ONCE > AT_ONCE_PER_HOST


async def test_of_two_controllers_one_sends(bench: Bench) -> None:
    other = assemble(bench.world, replace(bench.config, attempts_root=bench.config.attempts_root / "other"), bench)
    other.engine.callbacks.start()
    run = await finished(bench, telling(*["https://hooks.example/"] * 5))
    for _ in range(20):
        other.engine.callbacks.look()
        await bench.clock.run_for(0.01)
    assert len(receiver(bench).posted) == 5
    assert {one.state for one in await of(bench, run)} == {State.DELIVERED}
    await other.engine.callbacks.close()


async def test_what_a_dead_controller_was_sending_is_sent_by_the_next(bench: Bench) -> None:
    receiver(bench).gate = asyncio.Event()
    run = await finished(bench, telling())
    await bench.until(lambda: len(receiver(bench).posted) == 1)
    again = await bench.restarted()
    receiver(bench).gate = None
    kept = await until(again, run, State.DELIVERED, step=1.0)
    assert {one.headers["webhook-id"] for one in receiver(bench).posted} == {kept.id}
    await again.engine.close()


async def test_what_a_dead_controller_had_to_send_is_sent_by_another(tmp_path: Path) -> None:
    """Its run is closed, so nobody takes that over: what is left is the callback alone."""
    async with a_bench(tmp_path, lease_seconds=15.0) as bench:
        bench.image(IMAGE, copies("image", "resized"))
        kept = bench.kept.as_controller("other")
        world = replace(bench.world, runs=kept.runs, ownership=kept.ownership)
        me, root = replace(bench.config.me, id="other"), bench.config.attempts_root / "other"
        other = assemble(world, replace(bench.config, me=me, attempts_root=root), bench)
        await other.engine.start()
        await bench.clock.run_for(10)
        receiver(bench).replies = [Reply(status=500)]
        run = await finished(bench, telling())
        await until(bench, run, State.PENDING)
        await bench.engine.callbacks.close()  # it dies, and says nothing
        await bench.engine.leases.close()
        died = bench.clock.now()
        found = await until(other, run, State.DELIVERED, step=1.0)
        assert [one.status for one in found.tries] == [500, 200]
        assert bench.clock.now() - died < timedelta(seconds=60)
        await other.engine.close()


async def test_deliveries_go_with_a_run_that_is_deleted(bench: Bench) -> None:
    receiver(bench).gate = gate = asyncio.Event()
    run = await finished(bench, telling())
    await bench.until(lambda: len(receiver(bench).posted) == 1)
    await bench.world.runs.delete(run.id)
    gate.set()
    await bench.until(lambda: not bench.engine.callbacks._busy)
    assert await of(bench, run) == []
