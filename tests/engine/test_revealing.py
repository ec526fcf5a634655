"""Values of credentials given to attempts: as secrets are, and to their owner's runs alone."""

from pathlib import Path

import pytest

from pupload.adapters.memory.containers import Outcome
from pupload.domain.access import Caller, Role
from pupload.domain.credential import Credential
from pupload.domain.flow import Flow
from pupload.domain.run import Failure, Status
from pupload.ports import ContainerOrder
from pupload.service import asking
from tests.bench import Bench, a_bench
from tests.builders import NOON, a_definition, a_flow, a_node

IMAGE = "pupload/resize:latest"
KEY = "sk-0123456789abcdef"

ANN = Caller(user=7, name="ann", role=Role.EDITOR)
ADMIN = Caller(user=1, name="root", role=Role.ADMIN)

DEFINITION = a_definition(exec="run --token ${token} ${plain}", max_attempts=1)


async def keep(bench: Bench, name: str = "openai", *, account: int | None = None, **detail: object) -> Credential:
    assert bench.world.credentials is not None
    new = Credential(
        key=f"cred_{name}_{account}",
        name=name,
        type="llm",
        detail=detail or {"api_key": KEY},
        account=account,
        created_at=NOON,
        updated_at=NOON,
    )
    return await bench.world.credentials.add(new)


def naming(value: str) -> Flow:
    return a_flow(a_node(inputs={}, outputs={}, flags={"token": value, "plain": "x"}))


@pytest.mark.parametrize("called", ["openai", "1"])
async def test_a_node_gets_a_file_of_the_value_and_its_path_and_nothing_tells_it(tmp_path: Path, called: str) -> None:
    orders: list[ContainerOrder] = []

    def run(order: ContainerOrder) -> Outcome:
        orders.append(order)
        assert order.secrets is not None
        assert {path.name: path.read_text() for path in order.secrets.iterdir()} == {f"api_key@{called}": KEY}
        return Outcome(said=[f"the key is {KEY}"])

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        await keep(bench)
        ended = await bench.ended(await bench.start(naming(f"${{credential.{called}.api_key}}"), [DEFINITION]))
        assert ended.status is Status.COMPLETE
        (order,) = orders
        assert order.argv == ("run", "--token", f"/run/secrets/api_key@{called}", "x")
        assert KEY not in repr(order) + repr(ended) + repr(await bench.world.journal.read(ended.id))
        (record,) = await bench.world.journal.read_logs(ended.id)
        assert record.line.message == "the key is ***"


async def test_of_an_object_each_text_is_masked(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome(code=1, said=[f"sending X-Key: {KEY}"]))
        await keep(bench, custom_headers={"X-Key": KEY, "X-Org": "ours"})
        ended = await bench.ended(await bench.start(naming("${credential.openai.custom_headers}"), [DEFINITION]))
        assert ended.nodes["resize"].error == "exit code 1: sending X-Key: ***"


async def test_one_that_is_gone_by_then_fails_the_attempt_for_good(tmp_path: Path) -> None:
    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, lambda order: Outcome())
        bench.executor.down = True
        kept = await keep(bench)
        run = await bench.start(naming("${credential.openai.api_key}"), [DEFINITION])
        assert bench.world.credentials is not None
        await bench.world.credentials.remove([kept.id])
        bench.executor.down = False
        node = (await bench.ended(run, step=1)).nodes["resize"]
        assert node.attempts[0].failure is Failure.NOT_STARTABLE
        assert node.error.startswith("credential openai is not there, or has no api_key to give")


async def test_a_run_is_given_its_own_accounts_and_nobody_elses(tmp_path: Path) -> None:
    given: list[str] = []

    def run(order: ContainerOrder) -> Outcome:
        assert order.secrets is not None
        given.extend(path.read_text() for path in order.secrets.iterdir())
        return Outcome()

    async with a_bench(tmp_path) as bench:
        bench.image(IMAGE, run)
        await keep(bench, api_key="nobody's key")
        anns = await keep(bench, account=7, api_key="ann's key")
        with asking.asked_by(ANN):
            await bench.ended(await bench.start(naming("${credential.openai.api_key}"), [DEFINITION]))
        await bench.ended(await bench.start(naming("${credential.openai.api_key}"), [DEFINITION]))
        assert given == ["ann's key", "nobody's key"]
        reveal = bench.world.secrets.reveal
        assert await reveal(f"api_key@{anns.id}", account=7) == "ann's key"
        for account in (None, 1, 8):
            assert await reveal(f"api_key@{anns.id}", account=account) is None
        for name in ("api_key@99", "absent@openai", "api_key@", "@openai"):
            assert await reveal(name, account=7) is None
