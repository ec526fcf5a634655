"""Parameters of flows: what they are replaced by, and where they stay."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import params
from pupload.domain.flow import FlagValue, Flow
from pupload.domain.nodedef import FlagDef
from tests.builders import a_flow, a_node


def flow_with(value: str, *declared: FlagDef) -> Flow:
    node = replace(a_node("n"), flags=(FlagValue(name="plain", value="as it is"), FlagValue(name="f", value=value)))
    return replace(a_flow(node), params=declared)


def flag(flow: Flow) -> str | None:
    return next((each.value for each in flow.nodes[0].flags if each.name == "f"), None)


def test_what_is_given_goes_before_the_default() -> None:
    flow = flow_with("", FlagDef(name="a", default="1"), FlagDef(name="b", default="2"), FlagDef(name="c"))
    assert params.values(flow, {"b": "3", "x": "4"}) == {"a": "1", "b": "3", "x": "4"}


def test_values_are_put_into_flags() -> None:
    flow = flow_with("${param.a}x${param.b}-${param.a}", FlagDef(name="a"), FlagDef(name="b"))
    assert flag(params.filled(flow, {"a": "1", "b": "2"})) == "1x2-1"


def test_what_is_put_in_is_not_looked_at_again() -> None:
    flow = flow_with("${param.a}", FlagDef(name="a"), FlagDef(name="b"))
    assert flag(params.filled(flow, {"a": "${param.b}", "b": "no"})) == "${param.b}"


def test_a_flag_that_is_nothing_but_a_parameter_without_a_value_is_not_set() -> None:
    flow = flow_with("${param.a}", FlagDef(name="a"))
    assert flag(params.filled(flow, {})) is None
    assert flag(params.filled(flow_with("w=${param.a}", FlagDef(name="a")), {})) == "w="


def test_what_must_be_given_and_what_nobody_knows_stays_named() -> None:
    flow = flow_with("${param.a} ${param.b}", FlagDef(name="a", required=True))
    assert flag(params.filled(flow, {})) == "${param.a} ${param.b}"
    assert params.named("${param.a} ${param.b} ${param.a}") == ("a", "b")


@given(st.text())
def test_no_other_text_is_touched(text: str) -> None:
    flow = flow_with(text)
    if "${param." not in text:
        assert params.filled(flow, {"a": "1"}) is flow
        assert params.named(text) == ()
