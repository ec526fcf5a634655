"""A run's flow with changes, and what they concern."""

from dataclasses import replace
from typing import Any

import pytest

from pupload import errors
from pupload.domain import replaying
from pupload.domain.flow import FlagValue
from pupload.domain.nodedef import Command
from pupload.domain.plan import Plan
from pupload.domain.replaying import Edits, Setting
from tests.builders import a_chain, a_definition, a_flag, a_flow, a_node, a_plan

WIDE = a_definition("p/wide", flags=[a_flag("width", default="100", description="how wide")], description="words")
FLOW = a_flow(*a_chain(2), a_node("w", uses="p/wide", inputs={"image": "e2"}, flags={"width": "300"}))
DEFINITIONS = [WIDE, a_definition()]


def edits(*from_nodes: str, flags: Any = (), parts: Any = ()) -> Edits:
    return Edits(
        from_nodes=from_nodes,
        flags=tuple(Setting(node=node, name=name, value=value) for node, name, value in flags),
        parts=tuple(Setting(node=node, name=name, value=value) for node, name, value in parts),
    )


def affected(asked: Edits, old: Plan | None = None) -> set[str]:
    """What a replay with these edits concerns of itself."""
    flow, definitions = replaying.edited(FLOW, DEFINITIONS, asked)
    old = old or a_plan(FLOW, DEFINITIONS)
    return set(replaying.affected(old, a_plan(flow, definitions), old.definitions or DEFINITIONS, asked))


def test_a_plan_keeps_its_definitions_without_their_descriptions() -> None:
    kept = {definition.uses: definition for definition in a_plan(FLOW, DEFINITIONS).definitions}
    bare = replace(WIDE, description="", flags=(a_flag("width", default="100"),))
    assert kept == {"p/wide": bare, "pupload/resize": DEFINITIONS[1]}


def test_a_flag_is_set_for_its_node_alone() -> None:
    flow, definitions = replaying.edited(FLOW, DEFINITIONS, edits(flags=[("w", "width", "5"), ("w", "new", "x")]))
    assert flow.nodes[2].flags == (FlagValue(name="width", value="5"), FlagValue(name="new", value="x"))
    assert (flow.nodes[:2], definitions) == (FLOW.nodes[:2], tuple(DEFINITIONS))
    assert affected(edits(flags=[("w", "width", "5")])) == {"w"}


def test_a_definition_is_changed_for_all_nodes_that_use_it() -> None:
    asked = edits(parts=[("n1", "image", "other:2"), ("pupload/resize", "Tier", "c-nano"), ("n0", "MaxAttempts", "7")])
    flow, (wide, changed) = replaying.edited(FLOW, DEFINITIONS, asked)
    assert (flow, wide) == (FLOW, WIDE)
    assert (changed.image, changed.tier, changed.max_attempts) == ("other:2", "c-nano", 7)
    assert affected(asked) == {"n0", "n1"}
    _, (changed, _) = replaying.edited(FLOW, DEFINITIONS, edits(parts=[("w", "Command", "run ${width}")]))
    assert changed.command.exec == "run ${width}"


def test_a_flag_that_chooses_the_image_is_a_flag_like_any_other() -> None:
    chooses = replace(WIDE, image="${flag.width}", command=Command(exec="a", name="n", entrypoint=False))
    flow, definitions = replaying.edited(FLOW, [chooses], edits(flags=[("w", "width", "acme/y")]))
    assert a_plan(flow, definitions).nodes["w"].image == "acme/y"
    _, (changed,) = replaying.edited(FLOW, [chooses], edits(parts=[("w", "Command", "b")]))
    assert changed.command == Command(exec="b", name="n", entrypoint=False)


def test_what_is_set_to_what_it_was_concerns_nobody() -> None:
    assert affected(edits(flags=[("w", "width", "300")], parts=[("w", "Tier", WIDE.tier)])) == set()
    # A default that is now said aloud is the same value.
    assert affected(edits(flags=[("n0", "width", "1")])) == {"n0"}


def test_a_node_that_is_named_runs_whether_it_is_changed_or_not() -> None:
    assert affected(edits("n1", flags=[("w", "width", "5")])) == {"n1", "w"}


def test_of_a_run_that_did_not_keep_its_definitions_their_changes_are_seen_in_what_its_nodes_did() -> None:
    old = replace(a_plan(FLOW, [WIDE, a_definition(image="older:1")]), definitions=())
    assert affected(edits(flags=[("w", "width", "5")]), old) == {"n0", "n1", "w"}
    assert affected(edits(parts=[("w", "Tier", "c-nano")]), replace(a_plan(FLOW, DEFINITIONS), definitions=())) == {"w"}


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (edits("x"), "the run has no node x; it has: n0, n1, w"),
        (edits(flags=[("x", "width", "1")]), "the run has no node x"),
        (edits(parts=[("x", "Image", "a:1")]), "the run has no node x"),
        (edits(parts=[("p/other", "Image", "a:1")]), "the run has no node p/other"),
        (edits(parts=[("w", "Ports", "1")]), "Ports cannot be changed in a replay; what can is: Image, Command"),
        (edits(parts=[("w", "MaxAttempts", "many")]), "MaxAttempts must be a whole number, not many"),
    ],
)
def test_what_there_is_not_cannot_be_changed(asked: Edits, sentence: str) -> None:
    with pytest.raises(errors.Malformed, match=f"^{sentence}"):
        replaying.edited(FLOW, DEFINITIONS, asked)


def test_every_part_that_is_named_can_be_changed() -> None:
    for part in replaying.PARTS.values():
        (changed, _) = replaying.edited(FLOW, DEFINITIONS, edits(parts=[("w", part, "9")]))[1]
        assert changed != WIDE


def test_what_runs_anew_is_not_taken_from_elsewhere() -> None:
    plan = replaying.anew(a_plan(FLOW, DEFINITIONS), {"n1"})
    assert plan.replays
    assert {node: planned.memoize for node, planned in plan.nodes.items()} == {"n0": True, "n1": False, "w": True}
