"""Node types have the ports and flags that the components of drawings are drawn with."""

import pytest

from pupload.domain.drawing import compiling
from pupload.domain.drawing.component import Kind
from pupload.domain.drawing.table import TABLE
from pupload.domain.drawing.weaving import GATHER, RELAY, SPLIT
from tests.domain.drawing.drawings import a_drawing
from tests.nodes import house

CONTAINERS = [each for each in TABLE if each.kind is Kind.CONTAINER]
SHIPPED = [house.definition(name) for name in house.names()]


@pytest.mark.parametrize("drawn", CONTAINERS, ids=[each.type for each in CONTAINERS])
def test_a_node_type_is_as_its_component_is_drawn(drawn: object) -> None:
    component = next(each for each in CONTAINERS if each is drawn)
    definition = house.definition(component.uses.partition("/")[2])
    assert {port.name for port in component.inputs} <= {port.name for port in definition.inputs}
    assert {port.name for port in component.given()} <= {port.name for port in definition.outputs}
    assert {port.name for port in component.inputs if port.many} == {
        port.name for port in definition.inputs if port.many
    }
    assert set(component.config_schema["properties"]) <= {flag.name for flag in definition.flags}
    assert component.remembers == ("facts" in {port.name for port in definition.inputs})


def test_what_flows_are_woven_with_is_there() -> None:
    assert {RELAY, SPLIT, GATHER} <= {each.uses for each in SHIPPED}


@pytest.mark.parametrize("drawn", CONTAINERS, ids=[each.type for each in CONTAINERS])
def test_each_can_be_drawn_behind_a_trigger_and_before_another(drawn: object) -> None:
    component = next(each for each in CONTAINERS if each is drawn)
    trigger = "trigger_workflow" if component.type == "filter" else "trigger_chat"
    needed = {"code": "return 1", "seconds": 1}
    extra = {name: value for name, value in needed.items() if name in component.config_schema["properties"]}
    drawing = a_drawing(
        *(f"t:{trigger}", f"n:{component.type}", "last:merge", "t -> n", "n -> last"),
        n={"config": {"extra_config": extra}},
    )
    found = compiling.compile_drawing(drawing, SHIPPED)
    assert not found.findings
    assert not found.remarks
