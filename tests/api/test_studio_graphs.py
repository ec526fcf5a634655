"""What flow a graph of Studio's means."""

from typing import Any

from pupload.api.studio import graphs, models
from pupload.domain import entries, flow
from pupload.domain.nodedef import NodeDef
from tests.builders import a_definition, a_port


def compiled(nodes: list[dict[str, Any]], edges: list[dict[str, Any]], *known: NodeDef, **more: Any) -> graphs.Compiled:
    graph = models.Graph.model_validate({"nodes": nodes, "edges": edges, "metadata": {"name": "drawn"}})
    return graphs.compiled(graph, known, **more)


def bound(bindings: tuple[flow.Binding, ...]) -> dict[str, str]:
    return {each.name: each.edge for each in bindings}


RESIZE = a_definition("pupload/resize", inputs=[a_port("image")], outputs=[a_port("resized"), a_port("thumbnail")])
GREY = a_definition("pupload/grey", inputs=[a_port("image"), a_port("mask")], outputs=[a_port("grey")])


def test_an_edge_without_handles_leads_to_the_only_port() -> None:
    found = compiled(
        [
            {"id": "in", "type": "input"},
            {"id": "small", "type": "resize", "data": {"uses": "pupload/resize"}},
            {"id": "grey", "data": {"uses": "pupload/grey"}},
            {"id": "out", "type": "output"},
        ],
        [
            {"source": "in", "target": "small", "source_handle": "output", "target_handle": "input"},
            {"source": "small", "target": "grey", "source_handle": "thumbnail", "target_handle": "mask"},
            {"source": "in", "target": "grey", "target_handle": "image"},
            {"source": "grey", "target": "out"},
        ],
        RESIZE,
        GREY,
    )
    small, grey = found.content.flow.nodes
    assert (bound(small.inputs), bound(small.outputs)) == ({"image": "in.output"}, {"thumbnail": "small.thumbnail"})
    assert bound(grey.inputs) == {"mask": "small.thumbnail", "image": "in.output"}
    assert bound(grey.outputs) == {"grey": "grey.grey"}
    assert found.content.definitions == ()
    assert (found.name, found.boundaries.inputs, found.boundaries.outputs) == ("drawn", ["in"], ["out"])
    assert [end.edge for end in entries.entries(found.content.flow, ())] == ["in.output"]
    assert [end.edge for end in entries.terminals(found.content.flow, ())] == ["grey.grey"]


def test_a_node_with_an_image_brings_its_definition() -> None:
    data = {
        "image": "busybox:1",
        "command": ["sh", "-c", "exit"],
        "entrypoint": False,
        "flags": {"width": 80, "grey": True, "name": "x"},
        "tier": "c-small",
        "maxAttempts": 2,
        "timeout": "90s",
    }
    found = compiled([{"id": "a", "data": data}, {"id": "b", "data": {"image": "x"}}], [{"source": "a", "target": "b"}])
    first, last = found.content.definitions
    assert (first.uses, first.image, first.tier, first.max_attempts) == ("studio/a", "busybox:1", "c-small", 2)
    assert (first.command.exec, first.command.entrypoint, first.timeout) == (("sh", "-c", "exit"), False, "90s")
    assert {each.name: each.value for each in found.content.flow.nodes[0].flags} == {
        "width": "80",
        "grey": "true",
        "name": "x",
    }
    # What another takes must be made; what nobody asked for may be.
    assert [(port.name, port.required) for each in (first, last) for port in each.outputs] == [
        ("output", None),
        ("output", False),
    ]
    assert last.max_attempts == 0


def test_without_an_input_node_what_begins_takes_the_input_where_there_is_one() -> None:
    nodes = [{"id": "a", "data": {"image": "x"}}, {"id": "b", "data": {"image": "x"}}]
    edges = [{"source": "a", "target": "b"}]
    first, last = compiled(nodes, edges, given=True).content.flow.nodes
    assert (bound(first.inputs), bound(last.inputs)) == ({"input": "input"}, {"input": "a.output"})
    assert not compiled(nodes, edges).content.flow.nodes[0].inputs


def test_where_an_output_is_drawn_nothing_else_is_one() -> None:
    nodes: list[dict[str, Any]] = [
        *({"id": name, "data": {"image": "x"}} for name in "ab"),
        {"id": "out", "type": "output"},
    ]
    made, aside = compiled(nodes, [{"source": "a", "target": "out"}]).content.flow.nodes
    assert (bound(made.outputs), bound(aside.outputs)) == ({"output": "a.output"}, {})
