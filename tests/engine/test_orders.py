"""What a container is told and given."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import tiers
from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin
from pupload.domain.nodedef import Command, NodeDef, Retry
from pupload.domain.plan import PortPlan
from pupload.domain.run import AttemptRef, NodeRun
from pupload.engine import orders
from pupload.engine.staging import Folder, file_name, input_name
from pupload.ports import ContainerOrder
from tests.bench import LIMITS
from tests.builders import NOON, RUN_ID, a_definition, a_flag, a_flow, a_node, a_plan, a_port

FOLDER = Folder(path=Path("/attempts/one"))


def an_order(
    definition: NodeDef, *, flags: dict[str, str] | None = None, inputs: dict[str, str] | None = None, **node: Any
) -> ContainerOrder:
    """What the container of a flow's only node is told."""
    node = {"inputs": {"image": "photo"}, "outputs": {"resized": "small"}, **node}
    plan = a_plan(a_flow(a_node(flags=flags, **node)), [definition])
    run = begin(RUN_ID, plan, now=NOON).run
    planned = plan.nodes["resize"]
    ref = AttemptRef(run=RUN_ID, node="resize", number=2)
    given = {"image": "/pupload/in/image.png"} if inputs is None else inputs
    return orders.container(run, planned, ref, planned.tier, FOLDER, given, image="sha256:1", limits=LIMITS)


def declared(**fields: Any) -> NodeDef:
    usual: dict[str, Any] = {
        "inputs": [a_port("image", "image/png")],
        "outputs": [a_port("resized", "image/webp")],
        "flags": [a_flag("width", type="integer"), a_flag("fit-mode", type="string")],
    }
    return a_definition(**{**usual, **fields})


def test_the_environment_is_that_of_the_node_contract() -> None:
    order = an_order(declared(), flags={"width": "800", "fit-mode": "cover me"})
    assert dict(order.environment) == {
        "PUPLOAD_RUN_ID": RUN_ID,
        "PUPLOAD_NODE_ID": "resize",
        "PUPLOAD_ATTEMPT": "2",
        "FLAG_WIDTH": "800",
        "FLAG_FIT_MODE": "cover me",
        "INPUT_IMAGE": "/pupload/in/image.png",
        "OUTPUT_RESIZED": "/pupload/out/resized.webp",
    }


def test_an_order_says_of_which_type_it_is_and_whether_the_entry_point_runs() -> None:
    order = an_order(declared())
    assert (order.uses, order.reference, order.entrypoint) == ("pupload/resize", "pupload/resize:latest", True)
    aside = Command(exec=("sh", "-c", "${width}"), entrypoint=False)
    chosen = an_order(
        declared(image="${flag.fit-mode}", command=aside), flags={"width": "rm -rf / $(x) ${y}", "fit-mode": "acme/x"}
    )
    assert (chosen.reference, chosen.entrypoint) == ("acme/x", False)
    assert chosen.argv == ("sh", "-c", "rm -rf / $(x) ${y}")


def test_the_command_is_split_first_and_filled_in_then() -> None:
    exec_ = "convert ${image} -resize ${width} '${fit-mode}' [--quality ${quality}] $$HOME ${resized}"
    order = an_order(declared(exec=exec_, flags=[a_flag("width"), a_flag("fit-mode"), a_flag("quality")]),
                     flags={"width": "8 0;$(reboot)", "fit-mode": "-o/etc/x"})  # fmt: skip
    assert order.argv == (
        "convert",
        "/pupload/in/image.png",
        "-resize",
        "8 0;$(reboot)",
        "-o/etc/x",
        "$HOME",
        "/pupload/out/resized.webp",
    )


def test_without_a_command_the_images_own_runs() -> None:
    assert an_order(declared()).argv is None


def test_limits_are_the_tiers_and_the_operators() -> None:
    order = an_order(declared(tier="c-large", user="1000"))
    tier = tiers.TABLE["c-large"]
    assert (order.memory_bytes, order.file_bytes) == (tier.memory_bytes, tier.storage_bytes)
    assert order.cpus == min(tier.cpus, LIMITS.cpus), "an engine refuses more than there is"
    assert (order.pids, order.tmp_bytes, order.log_bytes) == (LIMITS.pids, LIMITS.tmp_bytes, LIMITS.log_bytes)
    assert (order.user, order.network, order.gpus) == ("1000:1000", "none", 0)
    assert (order.inputs, order.outputs) == (Path("/attempts/one/in"), Path("/attempts/one/out"))
    assert order.image == "sha256:1"


def test_nodes_without_a_user_get_the_operators() -> None:
    assert an_order(declared()).user == LIMITS.user


@pytest.mark.parametrize(("user", "owner"), [("1000", (1000, 1000)), ("1000:50", (1000, 50))])
def test_an_owner_is_a_user_and_a_group(user: str, owner: tuple[int, int]) -> None:
    assert orders.owner_of(user) == owner


def test_each_step_up_after_running_out_of_memory_is_the_next_tier() -> None:
    plan = a_plan(a_flow(), [a_definition(tier="c-nano", retry=Retry(more_memory=True))])
    names = [orders.tier_of(plan.nodes["resize"], NodeRun(id="resize", climbed=n)).name for n in range(3)]
    assert names == ["c-nano", "c-micro", "c-small"]


@pytest.mark.parametrize(
    ("port", "name"),
    [("image", "image"), ("a b/c", "a_b_c"), ("../../etc", "_.._etc"), ("-rf", "rf"), ("...", "file"), ("é", "_")],
)
def test_no_port_names_a_file_outside(port: str, name: str) -> None:
    planned = PortPlan(port=port, edge="e")
    assert file_name(planned) == name
    assert "/" not in file_name(planned)
    found = Artifact(
        edge="e", store="s", key="k", size=1, content_type="image/png", sha256="", etag="", created_at=NOON
    )
    assert input_name(planned, found) == f"{name}.png"


@given(
    value=st.text(min_size=1, max_size=60),
    exec_=st.sampled_from(["run ${width}", "run --width=${width} end", "sh -c 'echo ${width}' x", "run [-w ${width}]"]),
)
def test_a_flags_value_is_never_two_arguments_nor_anything_else(value: str, exec_: str) -> None:
    def argv(width: str) -> tuple[str, ...]:
        order = an_order(a_definition(exec=exec_), flags={"width": width})
        assert order.argv is not None
        assert order.environment["FLAG_WIDTH"] == width
        return order.argv

    plain, hostile = argv("MARK"), argv(value)
    assert len(plain) == len(hostile)
    (place,) = [number for number, one in enumerate(plain) if "MARK" in one]
    before, _, after = plain[place].partition("MARK")
    assert [*hostile] == [*plain[:place], f"{before}{value}{after}", *plain[place + 1 :]]
