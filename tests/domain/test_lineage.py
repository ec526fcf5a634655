"""Lineage: what flows read and write, and where they meet."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import lineage
from pupload.domain.flow import Callback, DataWell, FlagValue, Flow, Store
from pupload.domain.lineage import FEEDS, READS, USES, WRITES, Graph, Link
from pupload.domain.nodedef import FlagDef, NodeDef
from tests import strategies
from tests.builders import a_flow, a_node

SERVER = "http://127.0.0.1:9000/pupload"


def a_bucket(name: str = "mine", **params: str | bool) -> Store:
    said = {"Endpoint": "https://s3.example", "BucketName": "photos", "AccessKey": "AKIA-HIDDEN", **params}
    return Store(name=name, type="s3", params={**said, "SecretKey": "s3cr3t-HIDDEN"})


def of(flow: Flow, *definitions: NodeDef, flow_id: str = "flow_a") -> Graph:
    return lineage.of_flow(flow_id, flow, definitions, default=SERVER)


def links(graph: Graph) -> set[tuple[str, str, str]]:
    return {(each.source, each.kind, each.target) for each in graph.edges}


# ── One flow ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_data_goes_from_objects_through_nodes_to_objects() -> None:
    flow = replace(
        a_flow(a_node("clean", inputs={"in": "raw"}, outputs={"out": "clean"}), a_node("sum", inputs={"in": "clean"})),
        wells=(
            DataWell(edge="raw", store="mine", source="static", key="in/raw.csv"),
            DataWell(edge="clean", store="mine", key="out/$DATE.csv"),
        ),
        stores=(a_bucket(),),
    )
    there = "https://s3.example/photos"
    found = of(flow)
    assert links(found) == {
        ("proc:flow_a:clean", FEEDS, "proc:flow_a:sum"),
        (f"store:{there}/in/raw.csv", READS, "proc:flow_a:clean"),
        ("proc:flow_a:clean", WRITES, f"store:{there}/out/${{DATE}}.csv"),
        (f"connection:{there}", USES, "proc:flow_a:clean"),
    }
    assert {each.id: (each.kind, each.name) for each in found.nodes} == {
        "proc:flow_a:clean": ("processing", "clean"),
        "proc:flow_a:sum": ("processing", "sum"),
        f"connection:{there}": ("connection", "mine"),
        f"store:{there}/in/raw.csv": ("object", "in/raw.csv"),
        f"store:{there}/out/${{DATE}}.csv": ("object", "out/${DATE}.csv"),
    }


def test_parameters_and_secrets_are_variables_wherever_they_are_named() -> None:
    node = replace(
        a_node("a", inputs={"in": "x"}),
        flags=(
            FlagValue(name="w", value="w-${param.width}-${param.height}"),
            FlagValue(name="k", value="${secret.api}"),
            FlagValue(name="c", value="${credential.open.ai.api_key}"),
        ),
    )
    flow = replace(
        a_flow(node),
        wells=(DataWell(edge="x", store="mine", source="webhook", key="${param.date}/x", secret="${secret.hook}"),),
        stores=(a_bucket(SecretKey2="", AccessKey="${secret.access}"),),
    )
    publisher, _, name = node.uses.partition("/")
    known = NodeDef(
        publisher=publisher, name=name, secrets=("always",), flags=(FlagDef(name="t", default="${param.tone}"),)
    )
    used = {(source, target) for source, kind, target in links(of(flow, known)) if kind == USES}
    node_id = "proc:flow_a:a"
    assert used == {
        ("param:flow_a:width", node_id),
        ("param:flow_a:height", node_id),
        ("param:flow_a:date", node_id),
        ("param:flow_a:tone", node_id),
        ("secret:api", node_id),
        ("secret:api_key@open.ai", node_id),
        ("secret:hook", node_id),
        ("secret:always", node_id),
        ("secret:access", "connection:https://s3.example/photos"),
        ("connection:https://s3.example/photos", node_id),
    }


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("a/b.csv", "a/b.csv"),
        ("$YEAR/${MONTH}.csv", "${YEAR}/${MONTH}.csv"),
        ("$FLOW_NAME/$EDGE/$NODE_ID", "my%20flow/out/a"),
        ("costs-$$5/$$DATE", "costs-$$5/$$DATE"),
        ("${param.date}.csv", "${param.date}.csv"),
    ],
)
def test_a_key_is_told_with_what_the_flow_itself_fills_in(key: str, told: str) -> None:
    flow = replace(a_flow(a_node("a", outputs={"o": "out"})), name="my flow", wells=(DataWell(edge="out", key=key),))
    assert {each.id for each in of(flow).nodes if each.kind == "object"} == {f"store:default/{told}"}


def test_what_was_there_before_is_called_as_it_is() -> None:
    flow = replace(a_flow(a_node("a", inputs={"i": "in"})), wells=(DataWell(edge="in", source="static", key="$5"),))
    assert {each.id for each in of(flow).nodes if each.kind == "object"} == {"store:default/$$5"}


@pytest.mark.parametrize("key", [None, "$RUN_ID/x", "x-${UUID}"])
def test_what_only_one_run_can_reach_is_its_flows_own(key: str | None) -> None:
    flow = replace(a_flow(a_node("a", outputs={"o": "out"})), wells=(DataWell(edge="out", key=key),))
    ids = [{each.id for each in of(flow, flow_id=each).nodes if each.kind == "object"} for each in ("flow_a", "flow_b")]
    assert len(ids[0]) == len(ids[1]) == 1
    assert not ids[0] & ids[1]


def test_a_default_well_is_where_all_is_written_that_has_no_well_of_its_own() -> None:
    nodes = (a_node("a", inputs={"i": "in"}, outputs={"o": "x", "p": "y"}),)
    flow = replace(a_flow(*nodes), default_well=DataWell(store="mine", key="all/$EDGE"), stores=(a_bucket(),), wells=())
    own = replace(flow, wells=(DataWell(edge="x", key="mine/x"),))
    there = "store:https://s3.example/photos"
    written = {target for _, kind, target in links(of(own)) if kind == WRITES}
    assert written == {"store:default/mine/x", f"{there}/all/y"}
    assert {target for _, kind, target in links(of(flow)) if kind == WRITES} == {f"{there}/all/x", f"{there}/all/y"}


# ── Stores ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("store", "place"),
    [
        (Store(name="x", type="local"), "default"),
        (Store(name="x", type="LOCAL", params={"bucketname": "other"}), "local/other"),
        (a_bucket(Endpoint="HTTPS://S3.Example:443/"), "https://s3.example/photos"),
        (a_bucket(Endpoint="s3.example"), "https://s3.example/photos"),
        (a_bucket(Endpoint="s3.example:9000", Secure=False), "http://s3.example:9000/photos"),
        (a_bucket(Endpoint="s3.example:80", Secure="no"), "http://s3.example/photos"),
        (a_bucket(Endpoint="https://[::1]:9000"), "https://[::1]:9000/photos"),
        (a_bucket(Endpoint=""), "https://s3.amazonaws.com/photos"),
        (a_bucket(Endpoint="https://s3.eu-west-1.amazonaws.com"), "https://s3.amazonaws.com/photos"),
        (a_bucket(Endpoint="http://127.0.0.1:9000", BucketName="pupload"), "default"),
        (a_bucket(Endpoint="https://user:HIDDEN@s3.example?x=HIDDEN"), "https://s3.example/photos"),
        (a_bucket(Endpoint="https://s3.example:HIDDEN"), "unknown/photos"),
    ],
)
def test_a_store_is_known_by_where_it_is(store: Store, place: str) -> None:
    assert lineage.place(store, default=SERVER) == place


# ── Many flows ───────────────────────────────────────────────────────────────────────────────────────────────────

WRITER = replace(
    a_flow(a_node("write", outputs={"o": "x"})),
    wells=(DataWell(edge="x", store="here", key="daily/$DATE.csv"),),
    stores=(a_bucket("here"),),
)
READER = replace(
    a_flow(a_node("read", inputs={"i": "in"}), a_node("alone", inputs={"i": "other"})),
    wells=(DataWell(edge="in", store="there", source="upload", key="daily/${DATE}.csv"),),
    stores=(a_bucket("there", Endpoint="s3.example:443"),),
)


def test_flows_meet_at_an_object_whatever_they_call_its_store() -> None:
    both = lineage.joined([of(WRITER, flow_id="flow_a"), of(READER, flow_id="flow_b")])
    shared = "store:https://s3.example/photos/daily/${DATE}.csv"
    assert Link("proc:flow_a:write", shared, WRITES, "flow_a", "x") in both.edges
    assert Link(shared, "proc:flow_b:read", READS, "flow_b", "in") in both.edges
    ids = [each.id for each in both.nodes]
    assert len(ids) == len(set(ids))


def test_around_a_flow_are_those_who_touch_its_objects_and_no_more() -> None:
    lonely = a_flow(a_node("c", outputs={"o": "x"}))
    graphs = [of(flow, flow_id=each) for each, flow in [("flow_a", WRITER), ("flow_b", READER), ("flow_c", lonely)]]
    whole = lineage.joined(graphs)
    found = lineage.around("flow_a", whole)
    assert {each.id for each in found.nodes if each.kind == "processing"} == {"proc:flow_a:write", "proc:flow_b:read"}
    assert lineage.around("flow_c", whole) == graphs[2]
    assert lineage.around("flow_d", whole) == lineage.EMPTY


def takes(key: str, *, store: Store | None = None) -> Flow:
    well = DataWell(edge="in", source="static", key=key, store=store.name if store else "default")
    return replace(a_flow(a_node("take", inputs={"i": "in"})), wells=(well,), stores=(store,) if store else ())


def makes(key: str) -> Flow:
    return replace(a_flow(a_node("make", outputs={"o": "out"})), wells=(DataWell(edge="out", key=key),))


@pytest.mark.parametrize(
    ("written", "taken", "fits"),
    [
        ("daily/$DATE.csv", "daily/2026-11-22.csv", True),
        ("daily/$DATE.csv", "daily/yesterday.csv", False),
        ("daily/$DATE.csv", "daily/2026-11-22.csv.old", False),
        ("daily/$DATE.csv", "early/2026-11-22.csv", False),
        ("$YEAR/$MONTH/$DAY/x", "2026/11/22/x", True),
        ("${param.town}.csv", "Z%C3%BCrich.csv", True),
        ("${param.town}.csv", "a/b.csv", False),
        ("a.b/$TIMESTAMP", "a.b/2026-11-22T10:00:00Z", True),
        ("a.b/$TIMESTAMP", "axb/2026-11-22T10:00:00Z", False),
        ("$$5/$DATE", "$5/2026-11-22", True),
        ("out/$RUN_ID.csv", "out/run_01JD0000000000000000000001.csv", True),
        ("$RUN_ID/out", "run_01JD0000000000000000000001/out", False),
    ],
)
def test_who_takes_an_object_meets_who_writes_such(written: str, taken: str, fits: bool) -> None:
    graphs = [of(makes(written), flow_id="flow_a"), of(takes(taken), flow_id="flow_b")]
    whole = lineage.joined(graphs)
    between = [link for link in whole.edges if not link.flow]
    assert bool(between) is fits
    assert {link.source.startswith("store:default/") for link in between} <= {True}
    around = {each.id for each in lineage.around("flow_b", whole).nodes}
    assert ("proc:flow_a:make" in around) is fits
    assert ("proc:flow_b:take" in {each.id for each in lineage.around("flow_a", whole).nodes}) is fits


def test_who_takes_it_from_another_store_meets_nobody() -> None:
    graphs = [of(makes("daily/$DATE.csv")), of(takes("daily/2026-11-22.csv", store=a_bucket()), flow_id="flow_b")]
    assert all(link.flow for link in lineage.joined(graphs).edges)


# ── Any flows ────────────────────────────────────────────────────────────────────────────────────────────────────

flows = strategies.flows()


@given(st.lists(flows, min_size=1, max_size=3))
def test_every_link_has_its_ends_and_nothing_is_told_twice(drawn: list[Any]) -> None:
    graphs = [lineage.of_flow(f"flow_{n}", flow, known, default=SERVER) for n, (flow, known) in enumerate(drawn)]
    for graph in (*graphs, lineage.joined(graphs)):
        ids = [each.id for each in graph.nodes]
        assert len(ids) == len(set(ids))
        assert len(graph.edges) == len(set(graph.edges))
        assert {end for each in graph.edges for end in (each.source, each.target)} <= set(ids)
    whole = lineage.joined(graphs)
    assert sum(each.kind == "processing" for each in whole.nodes) == sum(len(flow.nodes) for flow, _ in drawn)
    assert {link for link in whole.edges if link.flow} == {link for graph in graphs for link in graph.edges}


@given(flows, flows)
def test_another_flow_changes_nothing_of_what_one_says(one: Any, other: Any) -> None:
    first, second = lineage.of_flow("flow_a", *one), lineage.of_flow("flow_b", *other)
    whole = lineage.joined([first, second])
    own, seen = lineage.around("flow_a", lineage.joined([first])), lineage.around("flow_a", whole)
    assert set(first.edges) <= set(own.edges) <= set(seen.edges) <= set(whole.edges)
    assert {each.id for each in first.nodes} <= {each.id for each in seen.nodes}
    assert set(lineage.joined([second, first]).edges) == set(whole.edges)


hidden = st.text(st.sampled_from("xyz"), max_size=8).map("HIDDEN".__add__)


@given(flows, hidden)
def test_nothing_secret_is_ever_told(drawn: Any, value: str) -> None:
    flow, known = drawn
    params = dict.fromkeys(("AccessKey", "SecretKey", "SessionToken"), value)
    stores = tuple(
        replace(store, params={**store.params, **params, "Endpoint": f"https://{value}:{value}@s3.example"})
        for store in flow.stores
    )
    wells = tuple(replace(well, secret=value) for well in flow.wells)
    nodes = tuple(replace(node, flags=(*node.flags, FlagValue(name="f", value=value))) for node in flow.nodes)
    told = lineage.of_flow(
        *("flow_a", replace(flow, stores=stores, wells=wells, nodes=nodes, callbacks=(Callback(secrets=(value,)),))),
        known,
    )
    assert "HIDDEN" not in repr(told)
