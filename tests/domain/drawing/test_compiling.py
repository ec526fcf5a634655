"""What becomes of a drawing when it runs."""

from collections.abc import Mapping
from typing import Any

import pytest

from pupload.domain import validation
from pupload.domain.drawing import compiling, judging
from pupload.domain.drawing.compiling import Compiled
from pupload.domain.flow import Binding, DataWell, ForEach, Node
from pupload.domain.nodedef import FlagDef, NodeDef, Port
from tests.domain.drawing.drawings import SHIPPED, a_drawing, a_type

FLOWS: Mapping[int | str, str] = {7: "drawn/child", 8: "drawn/rescue", "child": "drawn/child"}


def compiled(
    *lines: str,
    trigger: str | None = None,
    more: tuple[NodeDef, ...] = (),
    drawing: Any = None,
    **fields: dict[str, Any],
) -> Compiled:
    drawn = a_drawing(*lines, drawing=drawing, **fields)
    return compiling.compile_drawing(drawn, (*SHIPPED, *more), trigger=trigger, flows=FLOWS)


def sound(*lines: str, **given: Any) -> Compiled:
    """Compiled, and without a finding: then the flow has no fault either."""
    found = compiled(*lines, **given)
    assert not found.findings
    faults = validation.validate(found.content.flow, (*SHIPPED, *given.get("more", ())))
    assert not [each for each in faults if each.is_error]
    return found


def nodes(this: Compiled) -> Mapping[str, Node]:
    return {node.id: node for node in this.content.flow.nodes}


def wells(this: Compiled) -> Mapping[str, DataWell]:
    return {well.edge: well for well in this.content.flow.wells}


def bound(bindings: tuple[Binding, ...]) -> dict[str, str]:
    return {binding.name: binding.edge for binding in bindings}


def sentences(this: Compiled) -> list[str]:
    return [each.sentence for each in this.findings]


# ── Nodes and what passes between them ───────────────────────────────────────────────────────────────────────────


def test_a_trigger_is_a_well_and_a_node_a_node() -> None:
    found = sound(
        "ask:trigger_chat", "shout:code", "last:code", "ask -> shout", "shout -> last", drawing={"max_seconds": 90}
    )
    assert found.entries == {"ask": {"text": "ask.text"}}
    assert found.terminals == ("last.output",)
    shout = nodes(found)["shout"]
    assert (shout.uses, bound(shout.inputs), bound(shout.outputs)) == (
        *("pupload/code", {"input": "ask.text"}),
        {"output": "shout.output"},
    )
    assert wells(found) == {"ask.text": DataWell(edge="ask.text", source="upload")}
    assert (found.content.flow.name, found.content.flow.timeout, found.content.definitions) == ("Photos", "90s", ())


def test_settings_are_flags_and_what_no_flag_is_for_is_told() -> None:
    extra = {"code": "print(1)", "colour": "red", "timeout": 2.5, "max_retries": 0}
    found = sound("shout:code", shout={"config": {"extra_config": extra}})
    shout = nodes(found)["shout"]
    assert [(flag.name, flag.value) for flag in shout.flags] == [("code", "print(1)")]
    assert (shout.timeout, shout.max_attempts) == ("2.5s", 1)
    assert [each.sentence for each in found.remarks] == [
        "Node 'shout': 'colour' is no flag of pupload/code, and left out"
    ]


def test_values_are_written_as_json_where_they_are_no_text() -> None:
    extra = {"headers": {"A": "b"}, "timeout": 3, "url": "https://example.org", "body": None}
    found = sound("get:http_request", get={"config": {"extra_config": extra}})
    flags = {flag.name: flag.value for flag in nodes(found)["get"].flags}
    assert flags == {"headers": '{"A": "b"}', "timeout": "3", "url": "https://example.org"}


def test_a_port_that_nobody_takes_is_not_bound_but_for_the_first() -> None:
    found = sound("get:http_request", "code:code", "get -> code")
    assert bound(nodes(found)["get"].outputs) == {"response": "get.response"}


def test_the_first_ports_that_fit_are_joined_and_an_edge_may_name_others() -> None:
    found = compiled("ask:trigger_chat", "keep:filter", "ask -> keep")
    assert sentences(found) == ["Source type 'trigger_chat' output 'text' is not compatible with target input 'input'"]
    assert nodes(sound("do:trigger_manual", "shrink:pupload/resize", "do -> shrink"))["shrink"].inputs == (
        Binding(name="image", edge="do.file"),
    )


def test_several_edges_take_inputs_one_after_the_other_until_none_is_left() -> None:
    lines = [f"c{place}:code" for place in range(9)]
    found = sound(*lines[:8], "m:merge", *(f"c{place} -> m" for place in range(8)))
    assert bound(nodes(found)["m"].inputs)["input_8"] == "c7.output"
    full = compiled(*lines, "m:merge", *(f"c{place} -> m" for place in range(9)))
    assert sentences(full) == ["Node 'm' has no input left for what node 'c8' gives: put a 'merge' node between"]


def test_only_what_a_trigger_leads_to_runs() -> None:
    lines = ("a:trigger_chat", "b:trigger_schedule", "c:code", "d:code", "now:datetime", "m:merge")
    edges = ("a -> c", "b -> d", "c -> m", "d -> m", "now -> c")
    assert set(nodes(sound(*lines, *edges, trigger="a"))) == {"c", "m", "now"}
    assert set(nodes(sound(*lines, *edges, trigger="b"))) == {"d", "m"}
    assert sound(*lines, *edges).entries == {"a": {"text": "a.text"}, "b": {"payload": "b.payload"}}
    assert sentences(compiled(*lines, *edges, trigger="c")) == ["Node 'c' is no trigger"]


def test_nodes_that_wait_for_each_other_are_told() -> None:
    found = compiled("a:code", "b:code", "a -> b", "b -> a")
    assert sentences(found) == ["The nodes 'a', 'b' wait for each other: only a 'loop' node may"]


def test_what_nothing_runs_is_told() -> None:
    lines = ("ask:trigger_chat", "agent_abc123:agent", "lost:acme/gone", "ask -> agent_abc123", "ask -> lost")
    assert sentences(compiled(*lines)) == [
        "Node 'agent_abc123' is missing required 'model' connection",
        "Node 'agent_abc123' cannot run: nothing runs 'agent' here until there is a node definition operator/agent",
        "Node 'lost' has the type 'acme/gone', which is not known here",
    ]


def test_an_operators_agent_has_what_it_is_lent() -> None:
    agent = a_type("operator/agent", [Port(name="messages")], [Port(name="output")], "model_name", "system_prompt")
    agent = NodeDef(**{**_fields(agent), "flags": (*agent.flags, FlagDef(name="api_key", type="secret"))})
    found = compiled(
        *("ask:trigger_chat", "a:agent", "m:ai_model", "ask -> a", "m -[llm]-> a"),
        more=(agent,),
        a={"config": {"system_prompt": "Be kind."}},
        m={"config": {"model_name": "large", "llm_credential_id": 12, "temperature": 0.5}},
    )
    flags = {flag.name: flag.value for flag in nodes(found)["a"].flags}
    assert flags == {"model_name": "large", "system_prompt": "Be kind.", "api_key": "${credential.12.api_key}"}
    assert "m" not in nodes(found)


def _fields(this: NodeDef) -> dict[str, Any]:
    return {name: getattr(this, name) for name in NodeDef.__slots__}


# ── Ways ─────────────────────────────────────────────────────────────────────────────────────────────────────────

WAYS = ("ask:trigger_chat", "s:switch", "yes:code", "no:code", "ask -> s", "s -(it's)-> yes", "s -(no)-> no")


def test_a_switch_is_a_condition_of_what_it_leads_to() -> None:
    found = sound(*WAYS)
    assert nodes(found)["yes"].when == "text(input.input) == 'it\\'s'"
    assert bound(nodes(found)["yes"].inputs) == {"input": "ask.text"}
    assert "s" not in nodes(found)


@pytest.mark.parametrize(
    ("rule", "when"),
    [
        ({"field": "order.total", "operator": "gt", "value": 5}, "json(input.input).order.total > 5"),
        ({"field": "a[0].b c", "operator": "equals", "value": "x"}, "json(input.input).a[0]['b c'] == 'x'"),
        ({"field": "n", "value": "5"}, "json(input.input).n in ['5', 5]"),
        ({"field": "ok", "operator": "is_true"}, "json(input.input).ok == true"),
        ({"field": "a", "operator": "not_contains", "value": "b"}, "not (json(input.input).a contains 'b')"),
        ({"field": "a", "operator": "exists"}, "not (json(input.input).a == null)"),
        ({"field": "a", "operator": "is_empty"}, "(json(input.input).a == null or json(input.input).a == '')"),
        ({"operator": "starts_with", "value": "hi"}, "text(input.input) startswith 'hi'"),
    ],
)
def test_rules_are_conditions(rule: dict[str, Any], when: str) -> None:
    extra = {"rules": [{"id": "go", **rule}], "enable_fallback": True}
    lines = ("t:trigger_schedule", "s:switch", "a:code", "b:code", "t -> s", "s -(go)-> a", "s -(__other__)-> b")
    found = sound(*lines, s={"config": {"extra_config": extra}})
    assert nodes(found)["a"].when == when
    assert nodes(found)["b"].when == f"not ({when})"


def test_the_first_rule_that_holds_counts() -> None:
    rules = [
        {"id": "big", "field": "n", "operator": "gt", "value": 9},
        {"id": "some", "field": "n", "operator": "gt", "value": 1},
    ]
    lines = ("t:trigger_schedule", "s:switch", "a:code", "t -> s", "s -(some)-> a")
    found = sound(*lines, s={"config": {"extra_config": {"rules": rules}}})
    assert nodes(found)["a"].when == "not (json(input.input).n > 9) and json(input.input).n > 1"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"rules": [{"id": "x"}]}, "has no rule of the id 'go', which its edge names"),
        (
            {"rules": [{"id": "go", "operator": "matches_regex"}]},
            "operator 'matches_regex' is none of equals, not_equals",
        ),
        ({"rules": [{"id": "go", "operator": "gt", "value": "many"}]}, "compares with a number, not with 'many'"),
        ({"rules": ["go"]}, "rules is a list of objects"),
    ],
)
def test_rules_that_cannot_be_are_told(extra: dict[str, Any], words: str) -> None:
    lines = ("t:trigger_schedule", "s:switch", "a:code", "t -> s", "s -(go)-> a")
    [said] = sentences(compiled(*lines, s={"config": {"extra_config": extra}}))
    assert words in said


def test_switches_behind_each_other_must_all_let_through() -> None:
    lines = ("ask:trigger_chat", "s:switch", "r:switch", "a:code", "ask -> s", "s -(x)-> r", "r -(y)-> a")
    rules = {"config": {"extra_config": {"rules": [{"id": "y", "operator": "contains", "value": "z"}]}}}
    assert nodes(sound(*lines, r=rules))["a"].when == "text(input.input) == 'x' and text(input.input) contains 'z'"


# ── People ───────────────────────────────────────────────────────────────────────────────────────────────────────

YES = "json(input.h.approval).approved == true"


def test_a_confirmation_is_a_well_that_what_follows_waits_for() -> None:
    found = sound("ask:trigger_chat", "h:human_confirmation", "a:code", "b:code", "ask -> h", "h -> a", "h -> b")
    assert [nodes(found)[each].when for each in "ab"] == [YES, YES]
    assert bound(nodes(found)["a"].inputs) == {"input": "ask.text", "h.approval": "h.approval"}
    assert wells(found)["h.approval"] == DataWell(edge="h.approval", source="approval")


def test_a_confirmation_that_nothing_follows_hands_on_what_it_is_given() -> None:
    found = sound("ask:trigger_chat", "h:human_confirmation", "ask -> h", h={"interrupt_before": True})
    assert (nodes(found)["h"].uses, nodes(found)["h"].when, found.terminals) == ("pupload/merge", YES, ("h.output",))


def test_an_interrupt_is_before_a_node_or_behind_it() -> None:
    before = sound("a:code", "b:code", "a -> b", a={"interrupt_before": True})
    assert nodes(before)["a"].when == "json(input.a.approval).approved == true"
    assert nodes(before)["b"].when is None
    after = sound("a:code", "b:code", "a -> b", a={"interrupt_after": True})
    assert nodes(after)["a"].when is None
    assert nodes(after)["b"].when == "json(input.a.approval-after).approved == true"
    last = sound("a:code", a={"interrupt_after": True})
    assert last.terminals == ("a.held",)


# ── Other runs ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_another_drawing_is_a_well_that_a_run_of_it_fills() -> None:
    found = sound("ask:trigger_chat", "w:workflow", "c:code", "ask -> w", "w -> c", w={"subdrawing": 7})
    assert wells(found)["w.output"] == DataWell(edge="w.output", source="run", flow="drawn/child", given="ask.text")
    assert bound(nodes(found)["c"].inputs) == {"input": "w.output"}
    assert found.entries == {"ask": {"text": "ask.text"}}


def test_another_drawing_may_be_named_and_may_be_the_last() -> None:
    found = sound("c:code", "w:spawn_and_await", "c -> w", w={"config": {"extra_config": {"workflow_slug": "child"}}})
    assert wells(found)["w.output"].given == "c.output"
    assert found.terminals == ("w.result",)
    lost = compiled("c:code", "w:workflow", "c -> w", w={"subdrawing": 99})
    assert sentences(lost) == ["Node 'w' names no workflow that it could run"]


def test_a_run_that_a_condition_decides_on_is_given_what_a_node_hands_on() -> None:
    lines = ("ask:trigger_chat", "s:switch", "w:workflow", "ask -> s", "s -(go)-> w")
    found = sound(*lines, w={"subdrawing": 7})
    assert nodes(found)["w"].when == "text(input.input) == 'go'"
    assert wells(found)["w.output"].given == "w.input"
    assert found.terminals == ("w.result",)


def test_a_run_that_only_a_switch_without_ways_is_given_is_still_one() -> None:
    found = sound("c:code", "w:workflow", "s:switch", "c -> w", "w -> s", w={"subdrawing": 7})
    assert found.terminals == ("w.result",)
    assert [each.sentence for each in found.remarks] == ["Node 's': leads nowhere"]


def test_an_error_handler_is_what_runs_when_a_run_fails() -> None:
    assert sound("c:code", drawing={"error_handler": 8}).content.flow.on_error == "drawn/rescue"
    assert sound("c:code", "e:error_handler", "c -> e", e={"subdrawing": 8}).content.flow.on_error == "drawn/rescue"
    lost = compiled("c:code", "e:error_handler", "c -> e")
    assert sentences(lost) == ["Node 'e' names no workflow that could run when a run fails"]


# ── Loops ────────────────────────────────────────────────────────────────────────────────────────────────────────

ROUND = ("l:loop", "b:code", "l -[loop_body]-> b", "b -[loop_return]-> l")


def test_a_loop_over_a_list_deals_it_out_and_gathers_what_comes() -> None:
    extra = {"max_iterations": 5, "concurrency": 2, "on_error": "continue"}
    lines = ("f:filter", *ROUND, "e:code", "t:trigger_workflow", "t -> f", "f -> l", "l -> e")
    found = sound(*lines, l={"config": {"extra_config": extra}})
    assert {node.id: node.uses for node in found.content.flow.nodes} == {
        "f": "pupload/filter",
        "l": "pupload/loop",
        "b": "pupload/code",
        "l.results": "pupload/aggregator",
        "e": "pupload/code",
    }
    assert nodes(found)["b"].for_each == ForEach(input="input", concurrency=2, max_items=5, partial_failure="Keep")
    assert bound(nodes(found)["l.results"].inputs) == {"items": "b.output"}
    assert bound(nodes(found)["e"].inputs) == {"input": "l.results"}


def test_a_loop_over_files_needs_no_more_than_its_body() -> None:
    found = sound(
        "u:pupload/unpack", "l:loop", "b:pupload/resize", "l -[loop_body]-> b", "b -[loop_return]-> l", "u -> l"
    )
    assert set(nodes(found)) == {"u", "b"}
    assert found.terminals == ("b.resized",)


@pytest.mark.parametrize(
    "lines",
    [
        ("l:loop",),
        ("l:loop", "b:switch", "l -[loop_body]-> b"),
        ("l:loop", "b:code", "c:code", "l -[loop_body]-> b", "l -[loop_body]-> c"),
        ("l:loop", "b:code", "c:code", "l -[loop_body]-> b", "b -> c", "c -[loop_return]-> l"),
    ],
)
def test_the_body_of_a_loop_is_one_node(lines: tuple[str, ...]) -> None:
    found = compiled("f:trigger_workflow", *lines, "f -> l")
    assert "Node 'l' has to have a body of one node, which runs a node type" in sentences(found)


def test_what_is_remembered_is_a_well() -> None:
    found = sound("ask:trigger_chat", "r:memory_read", "ask -> r")
    assert wells(found)["r.facts"] == DataWell(edge="r.facts", source="facts")
    assert bound(nodes(found)["r"].inputs) == {"facts": "r.facts", "input": "ask.text"}


# ── Judging ──────────────────────────────────────────────────────────────────────────────────────────────────────


def judged(*lines: str, **fields: dict[str, Any]) -> list[str]:
    return [each.sentence for each in judging.judge(a_drawing(*lines, **fields), SHIPPED, flows=FLOWS)]


def test_a_drawing_that_can_run_has_nothing_wrong() -> None:
    assert judged(*WAYS) == []


def test_all_that_is_wrong_is_told_at_once() -> None:
    found = judged(
        *("ask:trigger_chat", "keep:filter", "a:agent", "far:code", "x:switch"),
        *("ask -> keep", "ask -> keep", "ask -> a", "ask -> nobody", "far -> x"),
    )
    mismatch = "Source type 'trigger_chat' output 'text' is not compatible with target input 'input'"
    assert found == [
        f"Edge ask → keep: {mismatch}",
        "Edge ask → nobody: Node not found.",
        "Node 'far' is not reached from any trigger",
        "Node 'x' is not reached from any trigger",
        mismatch,
        "Node 'a' is missing required 'model' connection",
        "Node 'a' cannot run: nothing runs 'agent' here until there is a node definition operator/agent",
    ]


def test_a_missing_input_is_told_as_flows_are_judged() -> None:
    assert judged("shrink:pupload/resize") == ["Node shrink missing required input image"]
