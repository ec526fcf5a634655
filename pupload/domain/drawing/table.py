"""The components that come along, in the order in which people are shown them."""

from typing import Any

from pupload.domain.drawing.component import OPERATOR, Component, Kind
from pupload.domain.drawing.ports import ComponentPort, DataType

_COLOURS = {
    "triggers": "#f59e0b",
    "agents": "#8b5cf6",
    "models": "#3b82f6",
    "routing": "#06b6d4",
    "logic": "#06b6d4",
    "tools": "#10b981",
    "memory": "#ec4899",
}

_ANY = DataType.ANY
_MODEL = ComponentPort(name="model", data_type=DataType.LLM, description="The model that it asks.", required=True)
_TOOLS = ComponentPort(name="tools", data_type=DataType.TOOL, description="What it may use.")
_MEMORY = ComponentPort(name="memory", data_type=DataType.MEMORY, description="What it remembers by.")
_PARSER = ComponentPort(name="output_parser", data_type=DataType.OUTPUT_PARSER, description="What reads its answer.")
_LENT_TOOL = ComponentPort(name="tool", data_type=DataType.TOOL, description="Lent to an agent.")
_LENT_MEMORY = ComponentPort(name="memory", data_type=DataType.MEMORY, description="Lent to an agent.")


def _port(name: str, data_type: DataType = _ANY, description: str = "", *, required: bool = False) -> ComponentPort:
    return ComponentPort(name=name, data_type=data_type, description=description, required=required)


def _inputs(*names: str) -> tuple[ComponentPort, ...]:
    return tuple(_port(name) for name in names)


def _schema(**properties: Any) -> dict[str, Any]:
    """Of `extra_config`: by name a JSON type, or a whole schema."""
    said = {name: {"type": each} if isinstance(each, str) else each for name, each in properties.items()}
    return {"type": "object", "properties": said}


def _trigger(type_: str, label: str, description: str, icon: str, *outputs: ComponentPort, **more: Any) -> Component:
    return Component(
        type=type_,
        label=label,
        category="triggers",
        description=description,
        icon=icon,
        color=_COLOURS["triggers"],
        outputs=outputs,
        **({"kind": Kind.TRIGGER} | more),
    )


def _agent(type_: str, label: str, description: str, icon: str, *outputs: ComponentPort) -> Component:
    return Component(
        type=type_,
        label=label,
        category="agents",
        description=description,
        icon=icon,
        color=_COLOURS["agents"],
        inputs=(_port("messages", DataType.MESSAGES, "What it is asked.", required=True),),
        outputs=outputs,
        sub_inputs=(_MODEL, _TOOLS, _MEMORY, _PARSER) if type_ == "agent" else (_MODEL, _MEMORY, _PARSER),
        uses=f"{OPERATOR}/{type_}",
        executable=False,
    )


def _container(type_: str, label: str, category: str, description: str, icon: str, **more: Any) -> Component:
    return Component(
        type=type_,
        label=label,
        category=category,
        description=description,
        icon=icon,
        color=_COLOURS[category],
        kind=Kind.CONTAINER,
        uses=f"pupload/{type_.replace('_', '-')}",
        **more,
    )


def _foreign(type_: str, label: str, description: str, icon: str, **more: Any) -> Component:
    """A tool that belongs to a platform of agents, which this is not."""
    return Component(
        type=type_,
        label=label,
        category="tools",
        description=description,
        icon=icon,
        color=_COLOURS["tools"],
        uses=f"{OPERATOR}/{type_}",
        executable=False,
        **({"inputs": _inputs("input"), "outputs": (_port("output", DataType.STRING), _LENT_TOOL)} | more),
    )


_RULES = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "id": {"type": "string", "description": "The condition_value of the edges that this rule opens."},
            "field": {
                "type": "string",
                "description": "A path into the JSON, such as `order.total`; empty: all of it.",
            },
            "operator": {"type": "string"},
            "value": {},
        },
    },
}

_ASKING = (
    _agent("agent", "Agent", "Answers with the help of a model and of tools.", "bot", _port("output", DataType.STRING)),
    _agent(
        *("categorizer", "Categorizer", "Has a model say which of several categories it is.", "tags"),
        _port("category", DataType.STRING),
    ),
    _agent("router", "Router", "Has a model say which way it goes.", "split", _port("route", DataType.STRING)),
    _agent(
        "extractor",
        "Extractor",
        "Has a model take facts out of a text.",
        "scan-text",
        _port("extracted", DataType.OBJECT),
    ),
    Component(
        type="ai_model",
        label="AI model",
        category="models",
        description="A model and how it is asked, lent to agents.",
        icon="cpu",
        color=_COLOURS["models"],
        outputs=(_port("model", DataType.LLM),),
        kind=Kind.LENDER,
        executable=False,
    ),
    Component(
        type="switch",
        label="Switch",
        category="routing",
        description="Lets what it is given go on by the conditional edges whose condition is met.",
        icon="git-branch",
        color=_COLOURS["routing"],
        inputs=(_port("input", required=True),),
        outputs=(_port("output"),),
        config_schema=_schema(rules=_RULES, enable_fallback="boolean"),
        kind=Kind.SWITCH,
    ),
)

_TEXT = _port("output", DataType.STRING)

_TOOLBOX = (
    _container(
        *("run_command", "Run command", "tools", "Runs a line of shell, confined as every node is.", "terminal"),
        inputs=_inputs("input"),
        outputs=(_TEXT, _LENT_TOOL),
        config_schema=_schema(command="string"),
    ),
    _container(
        *(
            "http_request",
            "HTTP request",
            "tools",
            "Asks a public address by HTTP, where the policy allows it.",
            "globe",
        ),
        inputs=_inputs("input"),
        outputs=(_port("response"), _port("status", DataType.OBJECT), _LENT_TOOL),
        config_schema=_schema(url="string", method="string", headers="object", body="string", timeout="number"),
    ),
    _foreign("web_search", "Web search", "Searches the web.", "search"),
    _container(
        *("calculator", "Calculator", "tools", "Works out an arithmetic expression.", "calculator"),
        inputs=_inputs("input"),
        outputs=(_port("result", DataType.NUMBER), _LENT_TOOL),
        config_schema=_schema(expression="string"),
    ),
    _container(
        *("datetime", "Date and time", "tools", "Tells, shifts and formats a moment.", "clock"),
        inputs=_inputs("input"),
        outputs=(_TEXT, _LENT_TOOL),
        config_schema=_schema(timezone="string", format="string", add="string"),
    ),
    _foreign("create_agent_user", "Create agent user", "Makes an account for an agent.", "user-plus"),
    _foreign("platform_api", "Platform API", "Asks this server's own API.", "plug"),
    _foreign("whoami", "Who am I", "Tells an agent who it is.", "id-card"),
    _foreign("epic_tools", "Epic tools", "Makes and changes epics.", "layers"),
    _foreign("task_tools", "Task tools", "Makes and changes tasks.", "list-checks"),
    Component(
        type="spawn_and_await",
        label="Spawn and await",
        category="tools",
        description="Runs another drawing and waits for what comes of it.",
        icon="git-fork",
        color=_COLOURS["tools"],
        inputs=_inputs("input"),
        outputs=(_port("output"), _LENT_TOOL),
        config_schema=_schema(workflow_slug="string"),
        kind=Kind.SUBFLOW,
    ),
    _foreign("workflow_create", "Create workflow", "Draws another workflow.", "file-plus"),
    _foreign("workflow_discover", "Discover workflows", "Looks for workflows.", "compass"),
    _foreign("scheduler_tools", "Scheduler tools", "Makes and changes schedules.", "calendar-cog"),
    _foreign("system_health", "System health", "Tells how the platform fares.", "heart-pulse"),
)

_EIGHT = _inputs("input", *(f"input_{place}" for place in range(2, 9)))

_LOGIC = (
    _container(
        *("aggregator", "Aggregator", "logic", "Makes one list, text or figure of many things.", "combine"),
        inputs=(*_EIGHT, ComponentPort(name="items", many=True)),
        outputs=(_port("output", DataType.ARRAY),),
        config_schema=_schema(mode="string", separator="string"),
    ),
    Component(
        type="human_confirmation",
        label="Human confirmation",
        category="logic",
        description="Lets what it is given go on when a person has said yes.",
        icon="user-check",
        color=_COLOURS["logic"],
        inputs=(_port("input", required=True),),
        outputs=(_port("output"),),
        config_schema=_schema(prompt="string"),
        kind=Kind.CONFIRMATION,
    ),
    Component(
        type="workflow",
        label="Workflow",
        category="logic",
        description="Runs another drawing with what it is given.",
        icon="workflow",
        color=_COLOURS["logic"],
        inputs=_inputs("input"),
        outputs=(_port("output"), _LENT_TOOL),
        config_schema=_schema(workflow_slug="string"),
        kind=Kind.SUBFLOW,
    ),
    _container(
        *("code", "Code", "logic", "Runs lines of Python, confined as every node is.", "code"),
        inputs=_EIGHT,
        outputs=(_port("output"), _LENT_TOOL),
        config_schema=_schema(code="string"),
    ),
    _container(
        *(
            "code_execute",
            "Execute code",
            "tools",
            "Runs code that it is given, confined as every node is.",
            "square-code",
        ),
        inputs=_inputs("input"),
        outputs=(_TEXT, _LENT_TOOL),
        config_schema=_schema(language="string", code="string"),
    ),
    Component(
        type="loop",
        label="Loop",
        category="logic",
        description="Has the node of its body run for each item of a list or collection.",
        icon="repeat",
        color=_COLOURS["logic"],
        inputs=(_port("items", DataType.ARRAY, required=True),),
        outputs=(_port("results", DataType.ARRAY),),
        config_schema=_schema(max_iterations="integer", concurrency="integer", on_error="string"),
        kind=Kind.LOOP,
    ),
    _container(
        *("wait", "Wait", "logic", "Waits a while, and gives on what it was given.", "hourglass"),
        inputs=_inputs("input"),
        outputs=(_port("output"),),
        config_schema=_schema(seconds="number"),
    ),
    _container(
        *("merge", "Merge", "logic", "Gives on whatever of its inputs there is, as one.", "merge"),
        inputs=_EIGHT,
        outputs=(_port("output"),),
        config_schema=_schema(mode="string", separator="string"),
    ),
    _container(
        *("filter", "Filter", "logic", "Keeps the items of a list for which a rule holds.", "filter"),
        inputs=(_port("input", DataType.ARRAY, required=True),),
        outputs=(_port("output", DataType.ARRAY),),
        config_schema=_schema(field="string", operator="string", value="string"),
    ),
    Component(
        type="error_handler",
        label="Error handler",
        category="logic",
        description="Says which drawing runs when a run of this one fails.",
        icon="shield-alert",
        color=_COLOURS["logic"],
        inputs=_inputs("input"),
        config_schema=_schema(workflow_slug="string"),
        kind=Kind.ERROR_HANDLER,
    ),
    _container(
        *("output_parser", "Output parser", "logic", "Reads JSON, a list or a pattern out of a text.", "braces"),
        inputs=(_port("input", required=True),),
        outputs=(_port("output"), ComponentPort(name="output_parser", data_type=DataType.OUTPUT_PARSER)),
        config_schema=_schema(parser_type="string", pattern="string"),
    ),
)

_REMEMBERING = (
    _container(
        *("memory_read", "Read memory", "memory", "Looks facts up that are remembered.", "book-open"),
        inputs=_inputs("input"),
        outputs=(_port("output"), _LENT_TOOL, _LENT_MEMORY),
        config_schema=_schema(key="string", default="string"),
        remembers=True,
    ),
    _container(
        *("memory_write", "Write memory", "memory", "Has a fact remembered.", "book-plus"),
        inputs=_inputs("input"),
        outputs=(_port("output"), _LENT_TOOL, _LENT_MEMORY),
        config_schema=_schema(key="string", scope="string", fact_type="string"),
    ),
    _foreign(
        *("identify_user", "Identify user", "Finds out who somebody is.", "user-search"),
        outputs=(_port("user", DataType.OBJECT), _LENT_TOOL, _LENT_MEMORY),
    ),
)

_PAYLOAD = _port("payload", DataType.OBJECT, "All that came with it.")

_BEGINNING = (
    _trigger(
        *("trigger_telegram", "Telegram", "A message in Telegram.", "send"),
        *(_port("text", DataType.STRING), _PAYLOAD),
        kind=Kind.FOREIGN,
        uses=f"{OPERATOR}/trigger_telegram",
        executable=False,
    ),
    _trigger("trigger_schedule", "Schedule", "A moment of a schedule.", "calendar", _PAYLOAD),
    _trigger(
        *("trigger_manual", "Manual", "Somebody starts it.", "play"),
        *(_port("text", DataType.STRING, "What was said."), _PAYLOAD, _port("file", _ANY, "A file that is uploaded.")),
    ),
    _trigger("trigger_workflow", "Called", "Another drawing runs this one.", "corner-down-right", _port("payload")),
    _trigger(
        "trigger_error",
        "Error",
        "A run of another drawing has failed.",
        "alert-triangle",
        _port("error", DataType.OBJECT),
    ),
    _trigger(
        *("trigger_chat", "Chat", "Somebody writes a message.", "message-circle"),
        *(_port("text", DataType.STRING, "The message."), _PAYLOAD),
    ),
)

TABLE: tuple[Component, ...] = (*_ASKING, *_TOOLBOX, *_LOGIC, *_REMEMBERING, *_BEGINNING)
"""All of them."""
