"""What the nodes of a drawing can be."""

from pupload.domain.drawing import components
from pupload.domain.drawing.component import Kind
from pupload.domain.drawing.table import TABLE
from pupload.domain.nodedef import FlagDef, Port
from tests.builders import a_definition
from tests.domain.drawing.drawings import SHIPPED, a_type

DOCUMENTED = """
agent categorizer router extractor ai_model switch run_command http_request web_search calculator datetime
create_agent_user platform_api whoami epic_tools task_tools spawn_and_await workflow_create workflow_discover
scheduler_tools system_health aggregator human_confirmation workflow code code_execute loop wait merge filter
error_handler output_parser memory_read memory_write identify_user trigger_telegram trigger_schedule
trigger_manual trigger_workflow trigger_error trigger_chat
"""


def test_every_documented_component_is_there_once() -> None:
    assert sorted(each.type for each in TABLE) == sorted(DOCUMENTED.split())


def test_what_comes_along_runs_where_its_node_type_is_there() -> None:
    here = components.known(SHIPPED)
    nowhere = components.known(())
    containers = {each.type for each in TABLE if each.kind is Kind.CONTAINER}
    built_in = {"switch", "human_confirmation", "workflow", "spawn_and_await", "loop", "error_handler"}
    triggers = {f"trigger_{each}" for each in ("chat", "manual", "schedule", "workflow", "error")}
    assert {name for name, each in nowhere.items() if each.executable} == built_in | triggers
    assert {name for name in DOCUMENTED.split() if here[name].executable} == built_in | triggers | containers


def test_an_operator_has_what_is_foreign_run() -> None:
    agent = a_type(
        "operator/agent", [Port(name="messages")], [Port(name="output", types=("text/plain",))], "model_name"
    )
    found = components.known([agent])["agent"]
    assert (found.executable, found.kind, found.requires("model"), found.requires("tools")) == (
        *(True, Kind.CONTAINER),
        *(True, False),
    )


def test_a_node_definition_is_a_component() -> None:
    definition = a_definition(
        "acme/blur-more",
        inputs=[Port(name="image", types=("image/png", "image/*"), required=True)],
        outputs=[Port(name="blurred", types=("application/pdf",))],
        flags=[FlagDef(name="radius", type="integer", required=True, minimum=1)],
    )
    found = components.known([definition])["acme/blur-more"]
    assert found.label == "Blur more"
    assert [(port.name, port.data_type, port.required) for port in found.inputs] == [("image", "image", True)]
    assert [(port.name, port.data_type) for port in found.outputs] == [("blurred", "file")]
    assert found.config_schema == {
        "type": "object",
        "properties": {"radius": {"type": "integer", "minimum": 1}},
        "required": ["radius"],
    }


def test_a_bare_definition_takes_and_gives_anything() -> None:
    found = components.known([a_definition("acme/any")])["acme/any"]
    assert found.inputs[0].name == "input"
    assert [port.name for port in found.outputs] == ["output"]
