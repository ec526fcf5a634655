"""Which edges a drawing may have, in the words that people know."""

import itertools
from dataclasses import replace

import pytest

from pupload.domain.drawing import components, joining
from pupload.domain.drawing.component import Component, Kind
from pupload.domain.drawing.findings import Wrong
from pupload.domain.drawing.ports import ComponentPort, DataType, data_type_of, fit
from tests.domain.drawing.drawings import SHIPPED, a_drawing, an_edge

KNOWN = components.known(SHIPPED)

NODES = (
    *("chat:trigger_chat", "cron:trigger_schedule", "model:ai_model", "agent:agent", "way:switch", "code:code"),
    *("sum:calculator", "keep:filter", "each:loop", "resize:pupload/resize", "lost:acme/gone", "parse:output_parser"),
)


def refusal(line: str, *others: str) -> tuple[str, str] | None:
    found = joining.objection(a_drawing(*NODES, *others), an_edge(line), KNOWN)
    return None if found is None else (found.kind.value, found.sentence)


@pytest.mark.parametrize(
    "line",
    [
        "chat -> agent",
        "chat -> code",
        "code -> resize",
        "keep -> each",
        "model -[llm]-> agent",
        "sum -[tool]-> agent",
        "parse -[output_parser]-> agent",
        "way -(yes)-> code",
        "way -> code",
        "each -[loop_body]-> code",
        "code -[loop_return]-> each",
        "chat -> lost",
    ],
)
def test_an_edge_that_can_be(line: str) -> None:
    assert refusal(line) is None


MISMATCH = "Source type '{}' output '{}' is not compatible with target input '{}'"


@pytest.mark.parametrize(
    ("line", "kind", "sentence"),
    [
        ("way -()-> code", Wrong.UNFIT, "Conditional edges require a non-empty condition_value"),
        ("way -(yes)-> ", Wrong.UNFIT, "Conditional edges require a non-empty target_node_id"),
        ("code -(yes)-> sum", Wrong.UNFIT, "Conditional edges can only originate from 'switch' nodes"),
        ("chat -(yes)-> nobody", Wrong.ABSENT, "Node not found."),
        ("nobody -> code", Wrong.ABSENT, "Node not found."),
        ("code -> nobody", Wrong.ABSENT, "Node not found."),
        ("code -> ", Wrong.UNFIT, "target_node_id: must not be empty"),
        ("code -> code", Wrong.UNFIT, "Node 'code' cannot be connected to itself"),
        ("code -> cron", Wrong.UNFIT, "Node type 'trigger_schedule' is a trigger and accepts no connections"),
        ("code -[loop_body]-> sum", Wrong.UNFIT, "Edges labelled 'loop_body' can only originate from 'loop' nodes"),
        ("each -[loop_return]-> sum", Wrong.UNFIT, "Edges labelled 'loop_return' can only return to 'loop' nodes"),
        ("model -[llm]-> way", Wrong.UNFIT, "Node type 'switch' does not accept 'model' connections"),
        ("chat -[llm]-> agent", Wrong.UNFIT, MISMATCH.format("trigger_chat", "text", "model")),
        ("model -[tool]-> agent", Wrong.UNFIT, MISMATCH.format("ai_model", "model", "tools")),
        ("model -> code", Wrong.UNFIT, MISMATCH.format("ai_model", "model", "input")),
        ("keep -> agent", Wrong.UNFIT, MISMATCH.format("filter", "output", "messages")),
        ("chat -> keep", Wrong.UNFIT, MISMATCH.format("trigger_chat", "text", "input")),
        ("chat -> resize", Wrong.UNFIT, MISMATCH.format("trigger_chat", "text", "image")),
        ("chat -[colour]-> agent", Wrong.UNFIT, "edge_label: one of '', 'llm'"),
    ],
)
def test_an_edge_that_cannot_be(line: str, kind: Wrong, sentence: str) -> None:
    found = refusal(line)
    assert found is not None
    assert found[0] == kind
    assert found[1].startswith(sentence)


def test_what_an_edge_says_of_itself_is_asked_first() -> None:
    assert refusal("code -()-> ") == ("unfit", "Conditional edges require a non-empty condition_value")
    assert refusal("code -(yes)-> code") == ("unfit", "Conditional edges can only originate from 'switch' nodes")


def test_the_same_edge_is_there_once() -> None:
    assert refusal("chat -> code", "chat -> code") == ("taken", "An edge from 'chat' to 'code' exists already.")
    assert refusal("way -(no)-> code", "way -(yes)-> code") is None
    changed = replace(an_edge("chat -> code"), id=1)
    assert joining.objection(a_drawing(*NODES, "chat -> code"), changed, KNOWN) is None


def test_a_cycle_needs_a_loop() -> None:
    found = refusal("parse -> code", "code -> sum", "sum -> parse")
    assert found == ("unfit", "The edge would close a cycle, which only a 'loop' node may: parse → code → sum → parse")
    assert refusal("code -[loop_return]-> each", "each -[loop_body]-> code") is None


def test_an_edge_may_name_its_ports() -> None:
    chosen = replace(an_edge("chat -> keep"), mapping={"output": "payload", "input": "none"})
    found = joining.objection(a_drawing(*NODES), chosen, KNOWN)
    assert found is not None
    assert found.sentence == MISMATCH.format("trigger_chat", "payload", "none")


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("code_1a2b", True),
        ("A-1", True),
        ("x" * 100, True),
        ("x" * 101, False),
        ("", False),
        ("a.b", False),
        ("ä", False),
    ],
)
def test_what_a_node_may_be_called(name: str, good: bool) -> None:
    assert (joining.name_objection(name) is None) == good


# ── The matrix ───────────────────────────────────────────────────────────────────────────────────────────────────

FILES = [each for each in DataType if each not in ("llm", "tool", "memory", "output_parser", "skill")]
LENT = [each for each in DataType if each not in FILES]
WIDER = {("string", "message"), ("string", "messages"), ("message", "messages")}


def alike(one: DataType, other: DataType) -> bool:
    """As the contract has it: equal, anything on either side, or a text that becomes a message."""
    left, right = (DataType.STRING if each is DataType.TEXT else each for each in (one, other))
    return left == right or DataType.ANY in (left, right) or (left, right) in WIDER


@pytest.mark.parametrize(("one", "other"), [*itertools.product(FILES, FILES)])
def test_files_fit_as_documented(one: DataType, other: DataType) -> None:
    assert fit(ComponentPort(name="o", data_type=one), ComponentPort(name="i", data_type=other)) == alike(one, other)


@pytest.mark.parametrize(("one", "other"), [*itertools.product(LENT, DataType), *itertools.product(DataType, LENT)])
def test_what_is_lent_fits_itself_alone(one: DataType, other: DataType) -> None:
    assert fit(ComponentPort(name="o", data_type=one), ComponentPort(name="i", data_type=other)) == (one == other)


@pytest.mark.parametrize(
    ("data_type", "types", "fits"),
    [
        ("object", ("application/json",), True),
        ("string", ("application/json",), False),
        ("string", ("text/csv",), True),
        ("image", ("image/png",), True),
        ("image", ("text/plain",), False),
        ("any", ("video/mp4",), True),
        ("file", ("video/mp4",), True),
        ("number", (), True),
    ],
)
def test_a_containers_port_goes_by_its_media_types(data_type: str, types: tuple[str, ...], fits: bool) -> None:
    drawn = ComponentPort(name="o", data_type=DataType(data_type))
    real = ComponentPort(name="i", data_type=data_type_of(types), types=types)
    assert fit(drawn, real) == fits


def test_every_pair_of_components_is_joined_or_refused_in_words() -> None:
    for giver, taker in itertools.product(KNOWN.values(), KNOWN.values()):
        drawing = a_drawing(f"a:{giver.type}", f"b:{taker.type}")
        found = joining.objection(drawing, an_edge("a -> b"), KNOWN)
        fits = any(fit(output, target) for output in giver.outputs for target in taker.inputs)
        assert (found is None) == (fits and not _begins(taker))
        assert found is None or found.sentence.isprintable()


def _begins(component: Component) -> bool:
    return component.kind is Kind.TRIGGER or component.type.startswith("trigger_")
