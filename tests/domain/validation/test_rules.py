"""Every code is found where it should be, and only it."""

from typing import Any

import pytest
from hypothesis import given

from pupload.domain.flow import Binding, Callback, DataWell, FlagValue, Flow, Node, Store
from pupload.domain.nodedef import NodeDef, Port, Retry
from pupload.domain.tiers import Capacity
from pupload.domain.validation import Limits, validate
from tests import strategies
from tests.builders import (
    a_chain,
    a_definition,
    a_flag,
    a_flow,
    a_node,
    a_port,
    a_store,
    a_well,
    definitions_for,
)

LAPTOP = Capacity(cpus=2, memory_bytes=4 << 30, storage_bytes=40 << 30)
DECLARED = a_definition(
    inputs=[a_port("image", "image/*", required=True), a_port("mask", "image/png")],
    outputs=[a_port("resized", "image/png")],
    flags=[a_flag("width", type="integer", minimum=1, maximum=9000), a_flag("mode", choices=("fit", "fill"))],
)


def judge(flow: Flow, *definitions: NodeDef, **limits: Any) -> list[tuple[str, str]]:
    """Codes and places of what is wrong; bare definitions are made up where none are given."""
    found = validate(flow, definitions or definitions_for(flow), limits=Limits(**limits))
    assert all(one.description and one.name for one in found)
    return [(one.code, one.path) for one in found]


# ── What is right ────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_contracts_own_example_passes() -> None:
    node = a_node(
        "resize-1", inputs={"image": "input-image"}, outputs={"resized": "output-image"}, flags={"width": "800"}
    )
    assert judge(a_flow(node, name="image-resize"), a_definition(image="pupload/resize:latest")) == []


def test_the_originals_cases_pass() -> None:
    """One node between an upload and a store, and two nodes in a chain, each edge with a well."""
    node = a_node(inputs={"image": "in"}, outputs={"resized": "out"}, flags={"width": "3"})
    wells = [a_well("in", store="bucket", source="upload"), a_well("out", store="bucket")]
    assert judge(a_flow(node, stores=[a_store()], wells=wells), DECLARED) == []
    wells = [a_well("e0", source="upload"), a_well("e1"), a_well("e2")]
    assert judge(a_flow(*a_chain(2), wells=wells), DECLARED) == []


@pytest.mark.parametrize("node", [a_node(), a_node(flags={})])
def test_optional_inputs_and_flags_are_never_asked_for(node: Node) -> None:
    assert judge(a_flow(node), DECLARED) == []
    optional = a_definition(inputs=[a_port("image")], flags=[a_flag()], outputs=[a_port("resized", required=False)])
    assert judge(a_flow(a_node(inputs={}, outputs={})), optional) == []


def test_results_that_nobody_consumes_are_no_fault() -> None:
    assert judge(a_flow(*a_chain(1), default_well=DataWell())) == []


def test_definitions_that_nobody_uses_are_not_judged() -> None:
    assert judge(a_flow(), a_definition(), a_definition("other/broken", image="", tier="huge")) == []


@given(strategies.flows())
def test_valid_flows_have_no_errors(drawn: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    assert [one for one in validate(*drawn) if one.is_error] == []


# ── Flows ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_cycle_is_one_finding_that_names_it() -> None:
    (found,) = validate(
        a_flow(a_node("a", inputs={"i": "x"}, outputs={"o": "y"}), a_node("b", inputs={"i": "y"}, outputs={"o": "x"})),
        [a_definition()],
    )
    assert (found.code, found.path) == ("FLOW_001", "/Flow/Nodes")
    assert found.description == "Flow has a cycle, which would cause infinite execution: a → b → a"


def test_an_empty_flow() -> None:
    assert judge(Flow()) == [("FLOW_002", "/Flow/Nodes")]


@pytest.mark.parametrize(
    ("timeout", "sentence"),
    [
        ("soon", 'Flow timeout "soon" is not a valid duration: write numbers'),
        ("0s", "Flow timeout must be a positive duration"),
        ("-1m", "Flow timeout must be a positive duration"),
    ],
)
def test_a_flows_timeout(timeout: str, sentence: str) -> None:
    (found,) = validate(a_flow(timeout=timeout), [a_definition()])
    assert (found.code, found.path) == ("FLOW_003", "/Flow/Timeout")
    assert found.description.startswith(sentence)


def test_too_many_nodes() -> None:
    assert judge(a_flow(*a_chain(3)), max_nodes=2) == [("FLOW_004", "/Flow/Nodes")]


@pytest.mark.parametrize("name", ["a\nb", "x" * 257, "\x00"])
def test_a_flows_name(name: str) -> None:
    assert judge(a_flow(name=name)) == [("FLOW_005", "/Flow/Name")]


# ── Stores ───────────────────────────────────────────────────────────────────────────────────────────────────────


def with_store(store: Store, **fields: Any) -> list[tuple[str, str]]:
    return judge(a_flow(stores=[store], wells=[a_well("resize-out", store=store.name)], **fields))


def test_the_default_wells_store_must_exist() -> None:
    assert judge(a_flow(default_well=DataWell(store="nowhere"))) == [("STORE_001", "/Flow/DefaultDataWell/Store")]


def test_a_stores_type() -> None:
    assert with_store(Store(name="b", type="ftp")) == [("STORE_002", "/Flow/Stores/0/Type")]
    assert with_store(Store(name="b", type="local")) == []


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"Bucket": "b"}, "/Flow/Stores/0/Params/Bucket"),
        ({"a/b~c": "x"}, "/Flow/Stores/0/Params/a~1b~0c"),
        ({"Secure": "yes"}, "/Flow/Stores/0/Params/Secure"),
        ({"Region": True}, "/Flow/Stores/0/Params/Region"),
        ({"Endpoint": " "}, "/Flow/Stores/0/Params"),
    ],
)
def test_a_stores_params(params: dict[str, str | bool], path: str) -> None:
    assert with_store(a_store(**params)) == [("STORE_003", path)]


def test_params_are_read_without_regard_to_case() -> None:
    assert with_store(Store(name="b", type="s3", params={"endpoint": "h", "BUCKETNAME": "b", "secure": False})) == []


def test_secrets_are_never_shown() -> None:
    store = a_store(SecretKey=True, AccessKey="AKIDVERYSECRET", Surprise="hunter2")
    found = validate(a_flow(stores=[store]), [a_definition()])
    assert len(found) == 3
    assert "hunter2" not in str(found)
    assert "AKIDVERYSECRET" not in str(found)


def test_stores_that_no_well_names() -> None:
    assert judge(a_flow(stores=[a_store()])) == [("STORE_004", "/Flow/Stores/0")]
    assert judge(a_flow(stores=[a_store()], default_well=DataWell(store="bucket"))) == []


def test_store_names() -> None:
    twice = a_flow(stores=[a_store(), a_store()], default_well=DataWell(store="bucket"))
    assert judge(twice) == [("STORE_005", "/Flow/Stores/1/Name")]
    for name in ("", "default", "x" * 129, "a\tb"):
        assert with_store(a_store(name)) == [("STORE_006", "/Flow/Stores/0/Name")]


def test_location_has_a_successor() -> None:
    assert with_store(a_store(Location="eu")) == [("WARN_001", "/Flow/Stores/0/Params/Location")]


# ── Wells ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_well(edge: str = "resize-in", **fields: Any) -> list[tuple[str, str]]:
    return judge(a_flow(wells=[a_well(edge, **fields)]))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"source": "magic"}, [("WELL_001", "Source")]),
        ({"edge": "nowhere"}, [("WELL_002", "Edge")]),
        ({"source": "upload", "store": "nowhere"}, [("WELL_004", "Store")]),
        ({"source": "upload", "key": "${RUN_ID}/${NOPE}/$run_id"}, [("WELL_005", "Key"), ("WELL_005", "Key")]),
        ({"source": "upload", "key": "${RUN_ID"}, []),
        ({"source": "upload", "key": "${RUN_ID}/${param.}"}, [("WELL_005", "Key")]),
        ({"source": "static", "key": "a/${RUN_ID}"}, [("WELL_007", "Key")]),
        ({"source": "upload", "key": "fixed"}, [("WELL_008", "Key")]),
        ({"source": "webhook", "key": "${FLOW_NAME}/${EDGE}"}, [("WELL_008", "Key")]),
        ({"edge": "resize-out", "key": "fixed.png"}, [("WELL_009", "Key")]),
        ({"edge": "resize-out", "lifetime": "1 day"}, [("WELL_010", "Lifetime")]),
        ({"edge": "resize-out", "lifetime": "0s"}, [("WELL_010", "Lifetime")]),
        ({"source": "static", "key": "../secret"}, [("WELL_011", "Key")]),
        ({"source": "upload", "key": "/${RUN_ID}"}, [("WELL_011", "Key")]),
        ({"source": "upload", "key": "a/../${RUN_ID}"}, [("WELL_011", "Key")]),
        ({"source": "upload", "key": "${RUN_ID}\n"}, [("WELL_011", "Key")]),
        ({"source": "upload", "key": "x" * 1000 + "${RUN_ID}"}, [("WELL_011", "Key")]),
    ],
)
def test_a_well(fields: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert with_well(**fields) == [(code, f"/Flow/DataWells/0/{field}") for code, field in expected]


@pytest.mark.parametrize("source", ["upload", "webhook", "static"])
def test_wells_that_are_right(source: str) -> None:
    assert with_well(source=source, key="in/logo.png" if source == "static" else "in/${RUN_ID}") == []


def test_a_static_well_needs_a_key() -> None:
    assert with_well(source="static") == [("WELL_006", "/Flow/DataWells/0")]


def test_two_wells_for_one_edge() -> None:
    assert judge(a_flow(wells=[a_well("resize-in", source="upload")] * 2)) == [("WELL_003", "/Flow/DataWells/1/Edge")]


@pytest.mark.parametrize(
    ("well", "expected"),
    [
        (DataWell(source="upload"), [("WELL_012", "/Flow/DefaultDataWell/Source")]),
        (DataWell(edge="x"), [("WELL_012", "/Flow/DefaultDataWell/Edge")]),
        (DataWell(key="${RUN_ID}"), [("WELL_012", "/Flow/DefaultDataWell/Key")]),
        (DataWell(key="${EDGE}"), [("WELL_009", "/Flow/DefaultDataWell/Key")]),
        (DataWell(key="${RUN_ID}/${EDGE}/${X}"), [("WELL_005", "/Flow/DefaultDataWell/Key")]),
        (DataWell(lifetime="x"), [("WELL_010", "/Flow/DefaultDataWell/Lifetime")]),
        (DataWell(key="${RUN_ID}/${EDGE}", lifetime="24h"), []),
    ],
)
def test_the_default_well(well: DataWell, expected: list[tuple[str, str]]) -> None:
    assert judge(a_flow(default_well=well)) == expected


def test_two_wells_with_one_key() -> None:
    def keys(key: str) -> list[tuple[str, str]]:
        return judge(a_flow(wells=[a_well("resize-in", source="upload", key=key), a_well("resize-out", key=key)]))

    assert keys("${RUN_ID}.png") == [("WELL_013", "/Flow/DataWells/1/Key")]
    assert keys("${RUN_ID}/${EDGE}.png") == []
    assert keys("${UUID}.png") == []


# ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (a_node(uses="nobody/knows"), ("NODE_001", "Uses")),
        (a_node(inputs={}), ("NODE_002", "Inputs")),
        (a_node(flags={"depth": "1"}), ("NODE_006", "Flags/0/Name")),
        (a_node(inputs={"image": "a", "pic": "b"}), ("NODE_009", "Inputs/1/Name")),
        (a_node(outputs={"resized": "a", "pic": "b"}), ("NODE_010", "Outputs/1/Name")),
        (a_node(timeout="later"), ("NODE_016", "Timeout")),
        (a_node(timeout="0s"), ("NODE_016", "Timeout")),
    ],
)
def test_a_node(node: Node, expected: tuple[str, str]) -> None:
    code, field = expected
    assert judge(a_flow(node), DECLARED) == [(code, f"/Flow/Nodes/0/{field}")]


@pytest.mark.parametrize(
    ("id_", "code"),
    [
        ("", "NODE_008"),
        *((bad, "NODE_011") for bad in ("a b", "-a", ".a", "a/b", "ä", "x" * 129, "a\n", "a\x00")),
    ],
)
def test_ids_that_nothing_can_be_called(id_: str, code: str) -> None:
    assert judge(a_flow(a_node(id_, inputs={}, outputs={}))) == [(code, "/Flow/Nodes/0/ID")]


@pytest.mark.parametrize("id_", ["a", "0", "a.b_c-d", "x" * 128])
def test_ids_that_are_right(id_: str) -> None:
    assert judge(a_flow(a_node(id_, inputs={}, outputs={}))) == []


def test_required_outputs_and_flags() -> None:
    definition = a_definition(
        outputs=[a_port("resized", required=True)],
        flags=[a_flag("width", required=True), a_flag("height", required=True, default="1")],
    )
    assert judge(a_flow(a_node(outputs={})), definition) == [
        ("NODE_003", "/Flow/Nodes/0/Outputs"),
        ("NODE_005", "/Flow/Nodes/0/Flags"),
    ]


def test_ids_are_used_once() -> None:
    nodes = [a_node("a", outputs={}), a_node("b", outputs={}), a_node("a", outputs={})]
    assert judge(a_flow(*nodes)) == [("NODE_007", "/Flow/Nodes/2/ID")]


@pytest.mark.parametrize(
    ("flag", "value", "right"),
    [
        ("width", "800", True),
        ("width", "-5", False),
        ("width", "9001", False),
        ("width", "8.5", False),
        ("width", "wide", False),
        ("width", "", False),
        ("width", "٣", False),
        ("mode", "fit", True),
        ("mode", "Fit", False),
    ],
)
def test_flag_values(flag: str, value: str, right: bool) -> None:
    expected = [] if right else [("NODE_015", "/Flow/Nodes/0/Flags/0/Value")]
    assert judge(a_flow(a_node(flags={flag: value})), DECLARED) == expected


@pytest.mark.parametrize(
    ("kind", "value", "right"),
    [
        ("number", "1.5e3", True),
        ("float", ".5", True),
        ("number", "nan", False),
        ("number", "1e999", False),
        ("boolean", "true", True),
        ("bool", "yes", False),
        ("int", "7", True),
        ("int", "7.0", False),
        ("string", "anything", True),
        ("a colour", "anything", True),
    ],
)
def test_flag_types(kind: str, value: str, right: bool) -> None:
    found = judge(a_flow(a_node(flags={"x": value})), a_definition(flags=[a_flag("x", type=kind)]))
    assert bool(found) is not right


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("with spaces; $(rm -rf /) -o/etc/x\n", True),
        ("-leading", True),
        ("", True),
        ("a\x00b", False),
        ("x" * 65_536, True),
        ("x" * 65_537, False),
        ("ü" * 32_769, False),
        ("\ud800", False),
    ],
)
def test_values_that_no_argument_can_hold(value: str, right: bool) -> None:
    found = judge(a_flow(a_node(flags={"text": value})))
    assert found == ([] if right else [("NODE_015", "/Flow/Nodes/0/Flags/0/Value")])


def test_nothing_is_bound_or_set_twice() -> None:
    node = Node(
        id="a",
        uses="pupload/resize",
        inputs=(Binding(name="i", edge="x"), Binding(name="i", edge="y")),
        outputs=(Binding(name="o", edge="z"), Binding(name="o", edge="w")),
        flags=(FlagValue(name="f", value="1"), FlagValue(name="f", value="1")),
    )
    assert judge(a_flow(node)) == [
        ("NODE_022", "/Flow/Nodes/0/Inputs/1/Name"),
        ("NODE_022", "/Flow/Nodes/0/Outputs/1/Name"),
        ("NODE_022", "/Flow/Nodes/0/Flags/1/Name"),
    ]


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "a b", ".hidden", "x" * 129, "a\x00", "ä"])
def test_names_that_no_file_may_have(name: str) -> None:
    assert judge(a_flow(a_node(inputs={name: "e"}, outputs={}))) == [("NODE_023", "/Flow/Nodes/0/Inputs/0/Name")]
    assert ("NODE_023", "/NodeDefs/0/Inputs/0/Name") in judge(a_flow(), a_definition(inputs=[a_port(name)]))


# ── Edges ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_well_keeps_somebody_must_produce() -> None:
    """Only that is said, though the consumers' types do not fit each other either."""
    nodes = [
        a_node("a", inputs={"image": "photo"}, outputs={}),
        a_node("b", uses="x/y", inputs={"in": "photo"}, outputs={}),
    ]
    flow = a_flow(*nodes, wells=[a_well("photo")])
    found = judge(flow, DECLARED, a_definition("x/y", inputs=[a_port("in", "video/mp4")]))
    assert found == [("EDGE_001", "/Flow/Nodes/0/Inputs/0/Edge")]


def typed(produced: tuple[str, ...], taken: tuple[str, ...]) -> list[tuple[str, str]]:
    flow = a_flow(
        a_node("a", uses="x/make", inputs={}, outputs={"out": "e"}),
        a_node("b", uses="x/take", inputs={"in": "e"}, outputs={}),
    )
    return judge(
        flow,
        a_definition("x/make", outputs=[a_port("out", *produced)]),
        a_definition("x/take", inputs=[a_port("in", *taken)]),
    )


@pytest.mark.parametrize(
    ("produced", "taken"),
    [
        (("image/png",), ("image/png",)),
        (("image/*",), ("image/png",)),
        (("text/plain",), ("text/*",)),
        (("image/png", "image/gif"), ("image/gif", "video/mp4")),
        ((), ("image/png",)),
        (("image/png",), ()),
    ],
)
def test_types_that_fit(produced: tuple[str, ...], taken: tuple[str, ...]) -> None:
    assert typed(produced, taken) == []


def test_types_that_do_not_fit() -> None:
    assert typed(("text/plain",), ("application/json",)) == [("EDGE_003", "/Flow/Nodes/1/Inputs/0/Edge")]


def test_a_bad_type_hides_no_other_mismatch() -> None:
    assert typed(("nonsense", "image/png"), ("video/mp4",)) == [
        ("EDGE_003", "/Flow/Nodes/1/Inputs/0/Edge"),
        ("TYPE_001", "/NodeDefs/0/Outputs/0/Type/0"),
    ]
    assert typed(("nonsense",), ("video/mp4",)) == [("TYPE_001", "/NodeDefs/0/Outputs/0/Type/0")]


def test_an_upload_that_nobody_could_make() -> None:
    flow = a_flow(
        a_node("a", uses="x/a", inputs={"in": "e"}, outputs={}), a_node("b", uses="x/b", inputs={"in": "e"}, outputs={})
    )
    found = judge(
        flow,
        a_definition("x/a", inputs=[a_port("in", "image/*")]),
        a_definition("x/b", inputs=[a_port("in", "video/*")]),
    )
    assert found == [("EDGE_003", "/Flow/Nodes/1/Inputs/0/Edge")]


def test_without_a_store_of_the_server_every_edge_needs_a_well() -> None:
    flow = a_flow(*a_chain(1), stores=[a_store()])
    assert [code for code, _ in judge(flow, default_store=False)] == ["STORE_004", "EDGE_004", "EDGE_004"]
    kept = a_flow(
        *a_chain(1),
        stores=[a_store()],
        wells=[a_well("e0", source="upload", store="bucket")],
        default_well=DataWell(store="bucket"),
    )
    assert judge(kept, default_store=False) == []


@pytest.mark.parametrize("name", ["", "a/b", "..", "a\nb", "x" * 129, " x", "\u200b"])
def test_edge_names(name: str) -> None:
    assert judge(a_flow(a_node(inputs={"i": name}))) == [("EDGE_005", "/Flow/Nodes/0/Inputs/0/Edge")]


@pytest.mark.parametrize("name", ["a b", "größe", "x" * 128, "a.b:c", "100%"])
def test_edge_names_are_free_otherwise(name: str) -> None:
    assert judge(a_flow(a_node(inputs={"i": name}))) == []


def test_one_producer_for_an_edge() -> None:
    two = a_flow(a_node("a", outputs={"o": "e"}), a_node("b", outputs={"o": "e"}))
    assert judge(two) == [("EDGE_006", "/Flow/Nodes/1/Outputs/0/Edge")]
    assert with_well("resize-out", source="upload") == [("EDGE_006", "/Flow/DataWells/0/Source")]


BY_URL = {"transfer": "urls", "network": "bridge"}

# ── Definitions ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"tier": "pn-2xlarge"}, "NODE_004", "Tier"),
        ({"tier": "C-Small"}, "NODE_004", "Tier"),
        ({"image": ""}, "NODE_013", "Image"),
        ({"image": "Upper/Case"}, "NODE_013", "Image"),
        ({"image": "a b"}, "NODE_013", "Image"),
        ({"image": "https://host/a"}, "NODE_013", "Image"),
        ({"image": "a:tag:tag"}, "NODE_013", "Image"),
        ({"image": "-rm"}, "NODE_013", "Image"),
        ({"image": "a@sha256:12"}, "NODE_013", "Image"),
        ({"image": "a\n"}, "NODE_013", "Image"),
        ({"timeout": "1d"}, "NODE_016", "Timeout"),
        ({"retry": Retry(delay="x")}, "NODE_017", "Retry/Delay"),
        ({"max_attempts": -1}, "NODE_017", "MaxAttempts"),
        ({"max_attempts": 101}, "NODE_017", "MaxAttempts"),
        ({"retry": Retry(max="-1s")}, "NODE_017", "Retry/Max"),
        ({"retry": Retry(on_exit_codes=(256,))}, "NODE_017", "Retry/OnExitCodes"),
        ({"retry": Retry(on_exit_codes=(1,), never_on_exit_codes=(1,))}, "NODE_017", "Retry/NeverOnExitCodes"),
        ({"network": "host"}, "NODE_018", "Network"),
        ({"transfer": "pigeon"}, "NODE_019", "Transfer"),
        ({"transfer": "urls"}, "NODE_019", "Transfer"),
        ({**BY_URL, "outputs": [a_port("resized", many=True)]}, "NODE_028", "Outputs/0/Many"),
        ({**BY_URL, "inputs": [a_port("image", many=True)]}, "NODE_028", "Inputs/0/Many"),
        ({"inputs": [a_port("image", max_bytes=0)]}, "TYPE_003", "Inputs/0/MaxBytes"),
        ({"inputs": [a_port("image", max_pixels=-1)]}, "TYPE_003", "Inputs/0/MaxPixels"),
        ({"inputs": [a_port("image", max_ratio=float("nan"))]}, "TYPE_003", "Inputs/0/MaxRatio"),
        ({"inputs": [a_port("image", max_pages=2**63)]}, "TYPE_003", "Inputs/0/MaxPages"),
        ({"inputs": [a_port("image", max_duration="10")]}, "TYPE_003", "Inputs/0/MaxDuration"),
        ({"inputs": [a_port("image", max_duration="-5m")]}, "TYPE_003", "Inputs/0/MaxDuration"),
        ({"outputs": [a_port("resized", "image/png", max_pages=2)]}, "WARN_004", "Outputs/0/MaxPages"),
        ({"outputs": [a_port("resized", "text/csv", max_ratio=2)]}, "WARN_004", "Outputs/0/MaxRatio"),
        ({"outputs": [a_port("resized", "image/*", max_duration="2s")]}, "WARN_004", "Outputs/0/MaxDuration"),
        ({"exec": "echo 'open"}, "NODE_020", "Command/Exec"),
        ({"exec": ("a", "b\x00")}, "NODE_020", "Command/Exec"),
        ({"flags": [a_flag(minimum=2, maximum=1)]}, "NODE_024", "Flags/0"),
        ({"flags": [a_flag(type="integer", default="x")]}, "NODE_024", "Flags/0/Default"),
        ({"flags": [a_flag("a-b"), a_flag("a.b")]}, "NODE_025", "Flags/1/Name"),
        ({"user": "root"}, "NODE_026", "User"),
        ({"user": "99999999999"}, "NODE_026", "User"),
        ({"user": "4294967295"}, "NODE_026", "User"),
        ({"progress": "crystal ball"}, "NODE_027", "Progress"),
    ],
)
def test_a_definition(fields: dict[str, Any], code: str, field: str) -> None:
    assert judge(a_flow(), a_definition(**fields)) == [(code, f"/NodeDefs/0/{field}")]


@pytest.mark.parametrize(
    "port",
    [
        a_port("resized", "image/*", "application/pdf", max_bytes=1, max_pixels=2, max_pages=3),
        a_port("resized", "video/*", max_duration="10m", max_pixels=2),
        a_port("resized", "application/epub+zip", max_ratio=1.5),
        a_port("resized", max_bytes=1, max_pixels=2, max_pages=3, max_ratio=4, max_duration="1h30m"),
    ],
)
def test_limits_that_make_sense(port: Port) -> None:
    assert not judge(a_flow(), a_definition(inputs=[a_port("image")], outputs=[port]))


@pytest.mark.parametrize(
    "image",
    [
        "a",
        "pupload/resize:latest",
        "localhost:5000/a/b_c--d.e:V1.0_x",
        "registry.example.org/a@sha256:" + "0" * 64,
        "a:1@sha256:" + "f" * 64,
        "sha256:" + "0" * 64,
        "[::1]:5000/a",
    ],
)
def test_images_that_engines_understand(image: str) -> None:
    assert judge(a_flow(), a_definition(image=image)) == []


def test_definitions_are_given_once() -> None:
    assert judge(a_flow(), a_definition(), a_definition()) == [("NODE_012", "/NodeDefs/1/Name")]


def test_definitions_may_stand_elsewhere() -> None:
    found = validate(a_flow(), [a_definition(tier="huge")], pointers=["/Catalogue/3"])
    assert [one.path for one in found] == ["/Catalogue/3/Tier"]


def test_a_tier_that_no_machine_can_hold() -> None:
    (found,) = validate(a_flow(), [a_definition(tier="c-medium")], limits=Limits(capacity=LAPTOP))
    assert (found.code, found.path) == ("NODE_014", "/NodeDefs/0/Tier")
    assert "4 CPUs where there are 2" in found.description
    assert "50 GiB of storage where there are 40 GiB" in found.description


def test_tiers_are_clamped_where_the_operator_says_so() -> None:
    clamped = {"capacity": LAPTOP, "clamp": True}
    assert judge(a_flow(), a_definition(tier="c-4xlarge"), **clamped) == [("WARN_003", "/NodeDefs/0/Tier")]
    assert judge(a_flow(), a_definition(tier="c-nano"), **clamped) == []
    assert judge(a_flow(), a_definition(tier="gn-small"), **clamped) == [("NODE_014", "/NodeDefs/0/Tier")]


def test_an_empty_tier_is_the_default() -> None:
    assert judge(a_flow(), a_definition(tier=""), capacity=LAPTOP) == []


def test_urls_for_nodes_need_a_network() -> None:
    assert judge(a_flow(), a_definition(network="bridge", transfer="urls")) == []
    for network in ("", "none"):
        urls = a_definition(network=network, transfer="urls")
        assert judge(a_flow(), urls) == [("NODE_019", "/NodeDefs/0/Transfer")]


def test_variables_that_nothing_is_called() -> None:
    ports: dict[str, Any] = {"inputs": [a_port("image")], "outputs": [a_port("resized")]}
    line = "r [--w ${width}] ${image} ${resizd} $${HOME}"
    assert judge(a_flow(), a_definition(**ports, flags=[a_flag()], exec=line)) == [
        ("NODE_021", "/NodeDefs/0/Command/Exec")
    ]
    assert judge(a_flow(), a_definition(**ports, exec=line)) == []


def test_ports_that_meet_in_one_file() -> None:
    definition = a_definition(inputs=[a_port("image"), a_port("a", "image/png"), a_port("a.png")])
    assert judge(a_flow(), definition) == [("NODE_025", "/NodeDefs/0/Inputs/2/Name")]


def test_types_of_ports() -> None:
    definition = a_definition(inputs=[a_port("image", "image/*", "picture")], outputs=[a_port("resized", "", " ")])
    assert judge(a_flow(), definition) == [
        ("TYPE_001", "/NodeDefs/0/Inputs/0/Type/1"),
        ("TYPE_002", "/NodeDefs/0/Outputs/0/Type"),
    ]


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────

KNOWN = frozenset({"KEY", "OTHER"})


def test_secrets_that_are_there_may_be_named_where_they_stay_secret() -> None:
    node = a_node(inputs={"image": "in"}, flags={"token": "${secret.KEY}"})
    stores = [a_store(AccessKey="${secret.KEY}", SecretKey="${secret.OTHER}")]
    wells = [a_well("in", store="bucket", source="webhook", secret="${secret.KEY}")]
    definition = a_definition(secrets=("OTHER",), flags=[a_flag("token", type="secret"), a_flag("more", default="x")])
    callbacks = (Callback(url="https://example.org/hook", secrets=("${secret.KEY}",)),)
    flow = a_flow(node, stores=stores, wells=wells, callbacks=callbacks)
    assert judge(flow, definition, secrets=KNOWN) == []


def test_a_secret_that_is_not_there_is_found_at_each_place_that_names_it() -> None:
    node = a_node(inputs={"image": "in"}, flags={"token": "${secret.NONE}"})
    stores = [a_store(AccessKey="${secret.KEY}", SecretKey="${secret.NONE}")]
    wells = [a_well("in", store="bucket", source="webhook", secret="${secret.NONE}")]
    definition = a_definition(secrets=("KEY", "NONE"), flags=[a_flag("token"), a_flag("b", default="${secret.NONE}")])
    callbacks = (Callback(url="https://example.org/hook", secrets=("${secret.NONE}",)),)
    flow = a_flow(node, stores=stores, wells=wells, callbacks=callbacks)
    assert sorted(judge(flow, definition, secrets=KNOWN)) == [
        ("SECRET_001", "/Flow/Callbacks/0/Secrets/0"),
        ("SECRET_001", "/Flow/DataWells/0/Secret"),
        ("SECRET_001", "/Flow/Nodes/0/Flags/0/Value"),
        ("SECRET_001", "/Flow/Stores/0/Params/SecretKey"),
        ("SECRET_001", "/NodeDefs/0/Flags/1/Default"),
        ("SECRET_001", "/NodeDefs/0/Secrets/1"),
    ]
    assert judge(flow, definition) == [], "where it is not known which there are, none is missing"


@pytest.mark.parametrize("value", ["Bearer ${secret.KEY}", "${secret.KEY", "${secret.a b}", "${secret.}"])
def test_a_secret_is_a_whole_value_or_none(value: str) -> None:
    assert judge(a_flow(a_node(flags={"token": value})), secrets=KNOWN) == [
        ("SECRET_002", "/Flow/Nodes/0/Flags/0/Value")
    ]


def test_what_is_shown_cannot_be_a_secret() -> None:
    flow = a_flow(
        a_node(inputs={"image": "in"}),
        stores=[a_store(Region="${secret.KEY}")],
        wells=[a_well("in", store="bucket", source="upload")],
    )
    assert judge(flow, secrets=KNOWN) == [("SECRET_002", "/Flow/Stores/0/Params/Region")]


def test_a_name_that_no_secret_can_have_is_found_in_a_definition() -> None:
    assert judge(a_flow(), a_definition(secrets=("../x",))) == [("SECRET_002", "/NodeDefs/0/Secrets/0")]


def test_a_flag_of_type_secret_takes_nothing_else_and_does_not_show_what_it_was_given() -> None:
    flow = a_flow(a_node(flags={"token": "hunter2-in-plain"}))
    (found,) = validate(flow, [a_definition(flags=[a_flag("token", type="secret")])])
    assert (found.code, found.path) == ("NODE_015", "/Flow/Nodes/0/Flags/0/Value")
    assert "hunter2" not in found.description
    (found,) = validate(a_flow(), [a_definition(flags=[a_flag("token", type="secret", default="hunter2-in-plain")])])
    assert (found.code, found.path) == ("NODE_024", "/NodeDefs/0/Flags/0/Default")
    assert "hunter2" not in found.description


def test_a_flag_of_another_type_cannot_be_a_secret() -> None:
    flow = a_flow(a_node(flags={"width": "${secret.KEY}"}))
    assert judge(flow, a_definition(flags=[a_flag("width", type="integer")]), secrets=KNOWN) == [
        ("NODE_015", "/Flow/Nodes/0/Flags/0/Value")
    ]
