"""Rules about parameters."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pupload.domain import params, validation
from pupload.domain.flow import FlagValue, Flow
from pupload.domain.nodedef import FlagDef
from tests.builders import a_flow, a_node, a_well, definitions_for


def judged(flow: Flow, given: Mapping[str, str] | None) -> list[tuple[str, str]]:
    """Codes and places, of a flow filled as the service fills it."""
    filled = params.filled(flow, params.values(flow, given or {}))
    found = validation.validate(filled, definitions_for(flow), given=given)
    return [(each.code, each.path) for each in found if each.code.startswith("PARAM")]


def flow_with(*declared: FlagDef, value: str = "plain", key: str = "") -> Flow:
    node = replace(a_node("n"), flags=(FlagValue(name="f", value=value),))
    wells = (a_well("n", key=key),) if key else ()
    return replace(a_flow(node), params=declared, wells=wells)


WIDTH = FlagDef(name="width", type="integer", minimum=1, maximum=100, default="10")
NAME = FlagDef(name="name", required=True)


@pytest.mark.parametrize(
    "param",
    [
        FlagDef(name=""),
        FlagDef(name="a b"),
        FlagDef(name="a", type="date"),
        FlagDef(name="a", type="secret"),
        FlagDef(name="a", type="integer", default="x"),
        FlagDef(name="a", choices=("x",), default="y"),
        FlagDef(name="a", type="integer", maximum=1, default="2"),
    ],
)
def test_what_is_declared_can_be_so(param: FlagDef) -> None:
    assert judged(flow_with(param), None) == [("PARAM_001", "/Flow/Params/0")]


def test_names_are_declared_once() -> None:
    assert judged(flow_with(WIDTH, NAME, WIDTH), {"name": "x"}) == [("PARAM_001", "/Flow/Params/2")]


def test_flags_and_keys_name_what_is_declared() -> None:
    flow = flow_with(WIDTH, value="${param.width} ${param.hight}", key="out/${param.none}/${UUID}")
    assert judged(flow, None) == [
        ("PARAM_002", "/Flow/DataWells/0/Key"),
        ("PARAM_002", "/Flow/Nodes/0/Flags/0/Value"),
    ]
    assert judged(flow_with(WIDTH, value="${param.width}"), {}) == []


def test_a_flow_that_declares_none_takes_what_is_given() -> None:
    flow = flow_with(value="${param.any}", key="out/${param.other}/${UUID}")
    assert judged(flow, {"any": "1", "other": "2", "third": "3"}) == []
    assert judged(flow, None) == []
    assert judged(flow, {"any": "1"}) == [("PARAM_002", "/Flow/DataWells/0/Key")]


def test_a_run_is_given_what_the_flow_takes() -> None:
    flow = flow_with(WIDTH, NAME, value="${param.width} ${param.name}")
    assert judged(flow, {"name": "x", "width": "20"}) == []
    assert judged(flow, {"nam": "x", "width": "200"}) == [
        ("PARAM_004", "/Params"),
        ("PARAM_003", "/Params/nam"),
        ("PARAM_005", "/Params/width"),
    ]
    assert judged(flow, None) == [], "nobody asks for a run"


def test_a_flags_value_is_judged_with_its_parameters_in_it() -> None:
    flow = flow_with(WIDTH, value="${param.width}")
    (definition,) = definitions_for(flow)
    strict = replace(definition, flags=(FlagDef(name="f", type="integer", maximum=5),))
    filled = params.filled(flow, params.values(flow, {}))
    assert [each.code for each in validation.validate(filled, [strict], given={})] == ["NODE_015"]
