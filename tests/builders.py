"""
Values for tests: each builder fills in what the test does not care about.

    flow = a_flow(a_node("resize", inputs={"image": "photo"}, outputs={"resized": "small"}))
    plan = a_plan(flow, [a_definition("pupload/resize", flags=[a_flag("width", type="integer")])])

Definitions that nobody gives are made up: bare ones, which take any port and flag.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pupload.domain import flow as flows
from pupload.domain import nodedef, planning
from pupload.domain.artifact import Artifact
from pupload.domain.plan import Plan
from pupload.domain.validation.limits import Limits

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
RUN_ID = "run_01HZX3K9T8Q2B7M4N6P5R1S0VW"


def a_node(
    id: str = "resize",  # noqa: A002 (the field's name)
    *,
    uses: str = "pupload/resize",
    inputs: Mapping[str, str] | None = None,
    outputs: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
    timeout: str | None = None,
    **fields: Any,
) -> flows.Node:
    """A node; `inputs` and `outputs` are edges by port, `for_each` may be an input's name."""
    if isinstance(fields.get("for_each"), str):
        fields["for_each"] = flows.ForEach(input=fields["for_each"])
    return flows.Node(
        id=id,
        uses=uses,
        inputs=_bindings({"image": f"{id}-in"} if inputs is None else inputs),
        outputs=_bindings({"resized": f"{id}-out"} if outputs is None else outputs),
        flags=tuple(flows.FlagValue(name=name, value=value) for name, value in (flags or {}).items()),
        timeout=timeout,
        **fields,
    )


def a_chain(length: int = 2, *, uses: str = "pupload/resize") -> tuple[flows.Node, ...]:
    """Nodes `n0`, `n1`, … on edges `e0` (an upload), `e1`, …: each takes what the one before gives."""
    return tuple(
        a_node(f"n{i}", uses=uses, inputs={"image": f"e{i}"}, outputs={"resized": f"e{i + 1}"}) for i in range(length)
    )


def a_well(edge: str = "photo", **fields: Any) -> flows.DataWell:
    return flows.DataWell(edge=edge, **fields)


def a_store(name: str = "bucket", /, **params: str | bool) -> flows.Store:
    """An S3 store that could be used."""
    usual: dict[str, str | bool] = {"Endpoint": "s3.example.org", "BucketName": "media"}
    return flows.Store(name=name, type="s3", params={**usual, **params})


def a_flow(*nodes: flows.Node, **fields: Any) -> flows.Flow:
    """A flow of these nodes, or of one; `wells` and `stores` may be any sequence."""
    for many in ("wells", "stores"):
        fields[many] = tuple(fields.get(many, ()))
    return flows.Flow(**{"name": "photos", **fields}, nodes=nodes or (a_node(),))


def a_port(name: str = "image", *types: str, **fields: Any) -> nodedef.Port:
    return nodedef.Port(name=name, types=types, **fields)


def a_flag(name: str = "width", **fields: Any) -> nodedef.FlagDef:
    return nodedef.FlagDef(name=name, **fields)


def a_definition(uses: str = "pupload/resize", /, **fields: Any) -> nodedef.NodeDef:
    """
    A definition; without ports and flags it is a bare one, which takes any.

    `exec` is a shorthand for the command; ports and flags may be any sequence.
    """
    publisher, _, name = uses.partition("/")
    for many in ("inputs", "outputs", "flags"):
        fields[many] = tuple(fields.get(many, ()))
    if "exec" in fields:
        fields["command"] = nodedef.Command(exec=fields.pop("exec"))
    usual = {"image": f"{uses}:latest", "tier": "c-small"}
    return nodedef.NodeDef(publisher=publisher, name=name, **{**usual, **fields})


def definitions_for(flow: flows.Flow) -> tuple[nodedef.NodeDef, ...]:
    """A bare definition for everything the flow uses."""
    return tuple(a_definition(uses) for uses in dict.fromkeys(node.uses for node in flow.nodes))


def a_plan(
    flow: flows.Flow | None = None,
    definitions: Sequence[nodedef.NodeDef] | None = None,
    *,
    run_id: str = RUN_ID,
    now: datetime = NOON,
    limits: Limits | None = None,
    **options: Any,
) -> Plan:
    """The plan of a flow; definitions that are not given are made up. `options` are those of `make_plan`."""
    flow = flow or a_flow()
    given = tuple(definitions or ())
    named = {definition.uses for definition in given}
    missing = (definition for definition in definitions_for(flow) if definition.uses not in named)
    tokens = (f"token{number}" for number in itertools.count(1))
    return planning.make_plan(
        flow,
        (*given, *missing),
        run_id=run_id,
        now=now,
        tokens=lambda: next(tokens),
        limits=limits,
        **options,
    )


def _bindings(edges: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[flows.Binding, ...]:
    pairs = edges.items() if isinstance(edges, Mapping) else edges
    return tuple(flows.Binding(name=name, edge=edge) for name, edge in pairs)


def an_artifact(edge: str, **fields: Any) -> Artifact:
    """A small picture that lies on the edge."""
    usual: dict[str, Any] = {
        "edge": edge,
        "store": "default",
        "key": f"{RUN_ID}/{edge}",
        "size": 3,
        "content_type": "image/png",
        "sha256": "ab",
        "etag": "e",
        "created_at": NOON,
    }
    return Artifact(**{**usual, **fields})
