"""Secrets given to attempts: in files that come and go with them, and kept out of all that is told of them."""

import os
import stat
from pathlib import Path

import pytest

from pupload import errors
from pupload.adapters.memory.containers import Outcome, Said
from pupload.adapters.memory.secrets import Secrets
from pupload.domain.access import Caller, Role
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef, Retry
from pupload.domain.run import AttemptRef, Failure, NodeStatus, Run, Status
from pupload.engine.handout import Handout
from pupload.ports import ContainerOrder
from pupload.service.asking import asked_by
from tests.bench import Bench, a_bench
from tests.builders import NOON, a_definition, a_flow, a_node, a_plan

IMAGE = "pupload/resize:latest"
SECRET = "correct horse\nbattery staple"
DEFINITION = a_definition(exec="run --token ${token} ${plain}", secrets=("ALWAYS",))


def asking() -> Flow:
    return a_flow(a_node(inputs={}, outputs={}, flags={"token": "${secret.TOKEN}", "plain": "x"}))


async def started(bench: Bench, definition: NodeDef = DEFINITION, *, value: str = SECRET) -> Run:
    await bench.world.secrets.put("TOKEN", value, at=NOON)
    await bench.world.secrets.put("ALWAYS", "always", at=NOON)
    return await bench.start(asking(), [definition])


def left(root: Path) -> list[str]:
    return [path.name for path in (root / "secrets").iterdir()] if (root / "secrets").exists() else []


async def test_a_node_gets_files_and_their_paths_and_never_a_value(tmp_path: Path) -> None:
    orders: list[ContainerOrder] = []

    def run(order: ContainerOrder) -> Outcome:
        orders.append(order)
        assert order.secrets is not None
        found = {path.name: path.read_text() for path in order.secrets.iterdir()}
        assert found == {"TOKEN": SECRET, "ALWAYS": "always"}
        modes = {stat.S_IMODE(path.stat().st_mode) for path in order.secrets.iterdir()}
        assert modes == ({0o400} if os.geteuid() == 0 else {0o444})
        if os.geteuid() == 0:
            assert {path.stat().st_uid for path in (order.secrets, *order.secrets.iterdir())} == {65534}
        assert stat.S_IMODE(order.secrets.parent.stat().st_mode) == 0o700
        return Outcome()

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        ended = await bench.ended(await started(bench))
        assert ended.status is Status.COMPLETE
        (order,) = orders
        assert order.argv == ("run", "--token", "/run/secrets/TOKEN", "x")
        assert order.environment["FLAG_TOKEN"] == "/run/secrets/TOKEN"
        assert "horse" not in repr(order) + repr(ended.plan)
        await bench.until(lambda: not left(tmp_path))


async def test_a_node_that_names_none_gets_none(tmp_path: Path) -> None:
    orders: list[ContainerOrder] = []

    def run(order: ContainerOrder) -> Outcome:
        orders.append(order)
        return Outcome()

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        await bench.ended(await bench.start(a_flow(a_node(inputs={}, outputs={}))))
        assert [order.secrets for order in orders] == [None]
        assert not (tmp_path / "secrets").exists()


async def test_what_a_node_prints_of_its_secrets_is_masked_before_it_is_kept(tmp_path: Path) -> None:
    said: list[Said | str] = [
        "token: correct horse",
        '{"level": "error", "message": "bad: battery staple", "progress": 0.5}',
        Said(text="died of correct%20horse", stream="stderr", after_seconds=1),
    ]
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(code=3, said=said, seconds=2))
        run = await bench.ended(await started(bench, a_definition(max_attempts=1, secrets=("ALWAYS",))))
        assert run.nodes["resize"].error == "exit code 3: died of ***"
        assert "horse" not in run.error
        records = await bench.world.journal.read_logs(run.id)
        assert [record.line.message for record in records] == ["token: ***", "bad: ***", "died of ***"]
        assert "horse" not in repr(await bench.world.journal.read(run.id))


async def test_signatures_in_a_nodes_log_are_masked_without_any_secret(tmp_path: Path) -> None:
    url = "https://s3.example.org/b/k?X-Amz-Credential=AKID&X-Amz-Signature=0a1b2c"
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(said=[f"getting {url}"]))
        run = await bench.ended(await bench.start(a_flow(a_node(inputs={}, outputs={}))))
        (record,) = await bench.world.journal.read_logs(run.id)
        assert record.line.message == ("getting https://s3.example.org/b/k?X-Amz-Credential=***&X-Amz-Signature=***")


async def test_a_secret_that_is_gone_by_then_fails_the_attempt_for_good(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome())
        bench.executor.down = True
        run = await started(bench)
        await bench.world.secrets.remove("TOKEN")
        bench.executor.down = False
        run = await bench.ended(run, step=1)
        node = run.nodes["resize"]
        assert (run.status, node.status, len(node.attempts)) == (Status.ERROR, NodeStatus.ERROR, 1)
        assert node.attempts[0].failure is Failure.NOT_STARTABLE
        assert node.error == "secret TOKEN is not set: set it with `pup secret set TOKEN` and resume the run"
        assert not left(tmp_path)


async def test_an_attempt_takes_the_value_as_it_is_when_it_starts(tmp_path: Path) -> None:
    seen: list[str] = []

    def run(order: ContainerOrder) -> Outcome:
        assert order.secrets is not None
        seen.append((order.secrets / "TOKEN").read_text())
        return Outcome(code=len(seen) % 2, seconds=5, said=[Said(text=f"it is {seen[-1]}", after_seconds=4)])

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        definition = a_definition(retry=Retry(delay="10s"), secrets=("ALWAYS",))
        started_run = await started(bench, definition, value="first value")
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.world.secrets.put("TOKEN", "second value", at=NOON)
        ended = await bench.ended(started_run, step=0.5)
        assert ended.status is Status.COMPLETE
        assert seen == ["first value", "second value"]
        records = await bench.world.journal.read_logs(ended.id)
        assert [record.line.message for record in records] == ["it is ***", "it is ***"]


async def test_after_a_restart_the_log_is_masked_with_what_the_container_was_given(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        said = [Said(text="it is first value", after_seconds=50)]
        bench.image(IMAGE, lambda order: Outcome(seconds=60, said=said))
        run = await started(bench, value="first value")
        await bench.until(lambda: bool(bench.executor.alive))
        await bench.world.secrets.put("TOKEN", "another", at=NOON)
        again = await bench.restarted()
        ended = await again.ended(run, step=1)
        (record,) = await again.world.journal.read_logs(ended.id)
        assert record.line.message == "it is ***"
        await again.until(lambda: not left(tmp_path))
        await again.engine.close()


async def test_what_a_dead_server_left_is_gone_after_the_next_start(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(hangs=True))
        run = await started(bench)
        await bench.until(lambda: bool(bench.executor.alive))
        alive = AttemptRef(run=run.id, node="resize", number=1).id
        for name in (f"{run.id}.resize.7", f"run_{'0' * 26}.a.1", ".half.made.1"):
            (tmp_path / "secrets" / name).mkdir()
            (tmp_path / "secrets" / name / "KEY").write_text("value")
        again = await bench.restarted()
        await again.until(lambda: left(tmp_path) == [alive])
        await again.engine.close()


# ── The directory itself ─────────────────────────────────────────────────────────────────────────────────────────

REF = AttemptRef(run="run_1", node="resize", number=1)
NODE = a_plan(a_flow(a_node(flags={"token": "${secret.KEY}"}))).nodes["resize"]
OWNER = (os.geteuid(), os.getegid())


async def given(root: Path | None, value: str = "the value") -> Handout:
    secrets = Secrets()
    await secrets.put("KEY", value, at=NOON)
    return Handout(secrets=secrets, root=root)


async def test_asked_twice_it_gives_the_same_and_not_what_was_set_since(tmp_path: Path) -> None:
    handout = await given(tmp_path / "root")
    first = await handout.give(NODE, REF, owner=OWNER)
    handout = await given(tmp_path / "root", "a later value")
    assert await handout.give(NODE, REF, owner=OWNER) == first
    assert first is not None
    assert (first / "KEY").read_text() == "the value"


async def test_what_was_half_made_is_made_anew(tmp_path: Path) -> None:
    half = tmp_path / "root" / f".{REF.id}"
    half.mkdir(parents=True)
    (half / "KEY").write_text("the va")
    handout = await given(tmp_path / "root")
    made = await handout.give(NODE, REF, owner=OWNER)
    assert made is not None
    assert (made / "KEY").read_text() == "the value"
    assert left(tmp_path) == []
    assert [path.name for path in (tmp_path / "root").iterdir()] == [REF.id]
    await handout.take_back(NODE, REF)
    assert not (tmp_path / "root").exists()


async def test_without_a_place_in_memory_the_attempt_is_told_what_to_do() -> None:
    with pytest.raises(errors.SecretsUnusable, match="secrets_folder"):
        await (await given(None)).give(NODE, REF, owner=OWNER)


async def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.SecretsUnusable, match="cannot be used"):
        await (await given(tmp_path / "root")).give(NODE, REF, owner=OWNER)
    assert not list((tmp_path / "elsewhere").iterdir())


async def test_where_its_files_are_gone_an_attempt_is_masked_with_what_is_set_now(tmp_path: Path) -> None:
    mask = await (await given(tmp_path / "root")).masker(NODE, REF)
    assert mask("it is the value") == "it is ***"


async def test_an_attempt_is_given_the_secrets_of_its_run_s_account(tmp_path: Path) -> None:
    given: dict[str, str] = {}

    def run(order: ContainerOrder) -> Outcome:
        assert order.secrets is not None
        given[order.attempt.run] = (order.secrets / "TOKEN").read_text()
        return Outcome(said=["it is nobodys, it is annas"])

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        nobodys = await bench.ended(await started(bench, value="nobodys"))
        anna, ben = (Caller(user=number, name="", role=Role.EDITOR) for number in (2, 3))
        for name, value in {"TOKEN": "annas", "ALWAYS": "always"}.items():
            await bench.world.secrets.put(name, value, account=2, at=NOON)
        with asked_by(anna):
            annas = await bench.ended(await bench.start(asking(), [DEFINITION]))
            assert given == {nobodys.id: "nobodys", annas.id: "annas"}
            (record,) = (await bench.view(annas)).logs["resize"]
            assert record.line.message == "it is nobodys, it is ***"
        with asked_by(ben), pytest.raises(errors.Invalid):
            await bench.start(asking(), [DEFINITION])


async def test_what_was_taken_away_since_is_missing_and_nobody_else_s_is_not_taken(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome())
        await started(bench, value="nobodys")
        for name in ("TOKEN", "ALWAYS"):
            await bench.world.secrets.put(name, "annas", account=2, at=NOON)
        with asked_by(Caller(user=2, name="", role=Role.EDITOR)):
            flow = a_flow(a_node(inputs={"image": "in"}, outputs={}, flags={"token": "${secret.TOKEN}", "plain": "x"}))
            run = await bench.start(flow, [DEFINITION])
            await bench.world.secrets.remove("TOKEN", account=2)
            await bench.upload(run, "in", b"x")
            ended = await bench.ended(run, step=5.0)
        assert ended.status is Status.ERROR
        assert "TOKEN" in ended.error
