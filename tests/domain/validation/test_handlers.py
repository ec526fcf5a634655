"""Rules about handlers."""

from pupload.domain.flow import Flow
from pupload.domain.validation import validate
from tests.builders import a_flow, a_node, definitions_for

WORK = a_node("work", inputs={"in": "file"}, outputs={"out": "result"})


def judge(flow: Flow) -> list[tuple[str, str]]:
    return [(one.code, one.path) for one in validate(flow, definitions_for(flow))]


def test_handlers_take_what_the_flow_and_each_other_make() -> None:
    flow = a_flow(
        WORK,
        a_node("sad", inputs={"a": "file", "b": "result"}, outputs={"out": "sorry"}, runs="OnFailure"),
        a_node("sadder", inputs={"a": "sorry"}, outputs={}, runs="OnFailure"),
        a_node("last", inputs={"a": "sorry", "b": "result"}, outputs={"out": "report"}, runs="Finally"),
        a_node("very-last", inputs={"a": "report"}, outputs={}, runs="Finally"),
    )
    assert judge(flow) == []


def test_runs_names_a_moment() -> None:
    assert judge(a_flow(WORK, a_node("last", inputs={}, runs="finally"))) == [("RUNS_001", "/Flow/Nodes/1/Runs")]


def test_nothing_that_runs_before_a_handler_takes_what_it_makes() -> None:
    flow = a_flow(
        WORK,
        a_node("sad", inputs={"a": "report"}, outputs={"out": "sorry"}, runs="OnFailure"),
        a_node("more", inputs={"a": "sorry"}, outputs={}),
        a_node("last", inputs={}, outputs={"out": "report"}, runs="Finally"),
    )
    assert judge(flow) == [("RUNS_002", "/Flow/Nodes/1/Inputs/0/Edge"), ("RUNS_002", "/Flow/Nodes/2/Inputs/0/Edge")]


def test_there_is_something_to_handle() -> None:
    assert judge(a_flow(a_node("last", inputs={}, runs="Finally"))) == [("RUNS_003", "/Flow/Nodes")]


def test_nothing_is_awaited_for_a_handler() -> None:
    flow = a_flow(WORK, a_node("last", inputs={"a": "other", "b": "file"}, outputs={}, runs="Finally"))
    assert judge(flow) == [("RUNS_004", "/Flow/Nodes/1/Inputs/0/Edge")]


def test_there_are_only_so_many_handlers() -> None:
    many = [a_node(f"h{number}", inputs={}, outputs={}, runs="Finally") for number in range(101)]
    assert judge(a_flow(WORK, *many)) == [("RUNS_005", "/Flow/Nodes")]
    assert judge(a_flow(WORK, *many[1:])) == []


def test_a_handler_runs_once() -> None:
    flow = a_flow(WORK, a_node("last", inputs={"in": "result"}, outputs={}, runs="Finally", for_each="in"))
    assert judge(flow) == [("RUNS_006", "/Flow/Nodes/1/ForEach")]
