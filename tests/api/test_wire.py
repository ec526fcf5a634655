"""Words of the wire and of YAML files, and the domain's values they stand for."""

import functools
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.api import documents
from pupload.api.flow import happenings, wire
from pupload.domain import events, nodedef
from pupload.domain.artifact import Artifact
from pupload.domain.facts import Facts
from pupload.domain.flow import Callback
from pupload.domain.run import Attempt, NodeRun, NodeStatus
from pupload.ports import Entry
from pupload.service.views import ArtifactView, Order
from tests.api.house import EXAMPLE
from tests.builders import a_flow, a_node, a_store, a_well

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


def order(text: str) -> Order:
    return wire.read_order(documents.parse_json(text.encode()))


# ── Orders ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_names_are_read_in_any_case_and_by_the_newer_originals_words() -> None:
    usual = wire.read_order(EXAMPLE)
    text = json.dumps(EXAMPLE).replace('"Nodes"', '"STEPS"').replace('"NodeDefs"', '"tasks"').replace('"ID"', '"id"')
    assert order(text) == usual
    assert usual.warnings == ()
    assert usual.flow.nodes[0].flags[0].value == "800"
    assert usual.definitions[0].uses == "pupload/resize"


@pytest.mark.parametrize(
    ("written", "value"),
    [('"x"', "x"), ("28", "28"), ("-0.50", "-0.50"), ("1e3", "1e3"), ("true", "true"), ("false", "false"), ('""', "")],
)
def test_a_flags_value_is_text_as_it_was_written(written: str, value: str) -> None:
    text = json.dumps(EXAMPLE).replace('"800"', written)
    assert order(text).flow.nodes[0].flags[0].value == value


def test_parameters_are_texts_as_they_were_written_and_come_back_with_their_flow() -> None:
    flow = '{"Name": "f", "Params": [{"Name": "width", "Type": "integer", "Default": 10, "Min": 1}]}'
    asked = order(f'{{"Flow": {flow}, "Params": {{"width": 20, "exact": true, "name": "x"}}}}')
    assert asked.params == {"width": "20", "exact": "true", "name": "x"}
    assert asked.flow.params == (nodedef.FlagDef(name="width", type="integer", default="10", minimum=1),)
    assert wire.read_flow(wire.write_flow(asked.flow)) == asked.flow
    assert wire.read_order(wire.write_order(asked.flow, (), asked.params)) == asked
    with pytest.raises(errors.Malformed, match="/Params/width"):
        order(f'{{"Flow": {flow}, "Params": {{"width": [20]}}}}')
    assert wire.read_params({"params": {"width": 20}}) == {"width": "20"}


def test_null_is_not_given_and_unknown_is_a_warning() -> None:
    text = (
        '{"Flow": {"Name": null, "Nodes": [{"ID": "a", "Inputs": null, "Command": "x", "a/b~": 1}]}, "NodeDefs": null}'
    )
    read = order(text)
    assert (read.flow.name, read.flow.nodes[0].inputs, read.definitions) == ("", (), ())
    assert read.warnings == ("/Flow/Nodes/0/Command has no effect", "unknown field /Flow/Nodes/0/a~1b~0")


def test_warnings_do_not_grow_without_end() -> None:
    many = {"Flow": {}, **{f"x{number}": 1 for number in range(1000)}}
    read = wire.read_order(many)
    assert len(read.warnings) == 51
    assert read.warnings[-1] == "and 950 more unknown fields"


def test_a_flow_comes_back_as_it_went() -> None:
    flow = a_flow(
        a_node(flags={"width": "8"}, timeout="5m"),
        stores=[a_store(AccessKey="k", Secure=False)],
        wells=[a_well("photo", source="upload", key="${RUN_ID}", lifetime="1h")],
        timeout="1h",
    )
    assert wire.read_flow(json.loads(json.dumps(wire.write_flow(flow)))) == flow


def test_a_callback_comes_back_as_it_went_and_its_secrets_masked() -> None:
    url = "https://hooks.example/in?key=hush-hush"
    given = Callback(url=url, on=("error",), secrets=("whsec_c2VjcmV0", "${secret.HOOK}"))
    this = replace(a_flow(), callbacks=(given,))
    assert wire.read_flow(wire.write_flow(this)) == this
    masked = wire.write_flow(this, masked=True)
    assert masked["Callbacks"] == [
        {"URL": "https://hooks.example/in?***", "On": ["error"], "Secrets": ["***", "${secret.HOOK}"]}
    ]
    with pytest.raises(errors.Malformed, match=r"/Flows/0/Callbacks/0/URL is masked.*Secrets/0 is masked"):
        wire.read_project({"Flows": [masked]}, project_id="01563e3a-b5d3-d676-4c61-efb99302bd5b")


def test_a_definition_comes_back_as_it_went() -> None:
    definition = nodedef.NodeDef(
        publisher="p",
        name="n",
        image="i",
        description="d",
        inputs=(nodedef.Port(name="a", types=("image/*",), required=True),),
        outputs=(nodedef.Port(name="b", many=True),),
        flags=(nodedef.FlagDef(name="f", type="integer", default="3", choices=("3", "4"), minimum=1, maximum=9.5),),
        command=nodedef.Command(exec=("run", "${a}"), entrypoint=False, name="c"),
        tier="c-nano",
        max_attempts=2,
        retry=nodedef.Retry(delay="1s", max="5s", on_exit_codes=(1,), never_on_exit_codes=(2,), more_memory=True),
        timeout="1m",
        user="1:1",
        network="bridge",
        transfer="urls",
        progress="ffmpeg",
    )
    assert wire.read_definition(json.loads(json.dumps(wire.write_definition(definition)))) == definition


def test_secrets_are_masked_and_references_to_secrets_are_not() -> None:
    store = a_store(AccessKey="AK", SecretKey="${secret.S3}", Unknown="?", Secure=True)
    (shown,) = wire.write_flow(a_flow(stores=[store]), masked=True)["Stores"]
    assert shown["Params"]["AccessKey"] == "***"
    assert shown["Params"]["SecretKey"] == "${secret.S3}"
    assert shown["Params"]["Unknown"] == "***", "what we do not know may be a secret"
    assert shown["Params"]["Secure"] is True


# ── Runs and events ──────────────────────────────────────────────────────────────────────────────────────────────


def a_node_run(status: NodeStatus, *, charged: int, started: bool = True) -> NodeRun:
    attempts = (Attempt(number=1, ready_at=NOON),) if started else ()
    return NodeRun(id="n", status=status, charged=charged, attempts=attempts)


@pytest.mark.parametrize(
    ("status", "charged", "started", "shown"),
    [
        (NodeStatus.IDLE, 0, False, 0),
        (NodeStatus.SKIPPED, 0, False, 0),
        (NodeStatus.READY, 0, True, 1),
        (NodeStatus.RUNNING, 1, True, 2),
        (NodeStatus.RETRYING, 1, True, 2),
        (NodeStatus.COMPLETE, 2, True, 3),
        (NodeStatus.ERROR, 3, True, 3),
        (NodeStatus.ERROR, 1, True, 1),
        (NodeStatus.ERROR, 0, True, 1),
    ],
)
def test_attempts_on_the_wire(status: NodeStatus, charged: int, started: bool, shown: int) -> None:
    assert wire._attempt(a_node_run(status, charged=charged, started=started), 3) == shown


def test_an_entry_of_the_journal_has_its_facts_in_the_wires_words() -> None:
    artifact = Artifact(
        edge="e", store="default", key="k", size=3, content_type="image/png", sha256="0", etag="t", created_at=NOON
    )
    event = events.NodeSucceeded(node="n", attempt=1, exit_code=0, artifacts=(artifact,))
    written = json.loads(wire.encode(happenings.write(Entry(run="r", seq=4, at=NOON, event=event))))
    assert (written["Seq"], written["At"], written["Kind"]) == (4, "2026-03-03T12:00:00Z", "node.succeeded")
    assert written["Data"]["ExitCode"] == 0
    assert written["Data"]["Artifacts"][0]["SHA256"] == "0"


def test_what_a_file_holds_is_told_as_far_as_it_is_known() -> None:
    artifact = Artifact(
        edge="e", store="default", key="k", size=3, content_type="image/png", sha256="0", etag="t", created_at=NOON,
        facts=Facts(width=30, height=0),
    )  # fmt: skip
    event = events.UploadSealed(edge="e", artifact=artifact)
    written = json.loads(wire.encode(happenings.write(Entry(run="r", seq=4, at=NOON, event=event))))
    assert written["Data"]["Artifact"]["Facts"] == {"Width": 30, "Height": 0}
    view = ArtifactView(artifact=artifact, url="u")
    assert json.loads(wire.encode(wire._artifact(view)))["Facts"] == {"Width": 30, "Height": 0}
    bare = ArtifactView(artifact=replace(artifact, facts=None), url="u")
    assert "Facts" not in json.loads(wire.encode(wire._artifact(bare)))


def test_what_a_port_takes_at_most_goes_there_and_back() -> None:
    limits = {"MaxBytes": 5, "MaxPixels": 6, "MaxDuration": "10m", "MaxRatio": 1.5, "MaxPages": 7}
    document = {"Publisher": "p", "Name": "n", "Inputs": [{"Name": "a", **limits}], "Outputs": [{"Name": "b"}]}
    read = wire.read_definition(document)
    written = wire.write_definition(read)
    assert {name: written["Inputs"][0][name] for name in limits} == limits
    assert not limits.keys() & written["Outputs"][0].keys()
    assert wire.read_definition(written) == read


# ── Documents ────────────────────────────────────────────────────────────────────────────────────────────────────

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc/~", max_size=3), inner, max_size=3),
    max_leaves=10,
)


def refusal(read: Callable[[], object]) -> str | None:
    """The sentence with which reading is refused; None where it is not. Any other error is one of the test's."""
    try:
        read()
    except errors.Malformed as refused:
        return refused.message
    return None


@given(json_values)
def test_whatever_is_json_is_read_as_it_is(value: Any) -> None:
    body = json.dumps(value).encode()
    if "\\u0000" in body.decode():
        assert "NUL" in (refusal(lambda: documents.parse_json(body)) or "")
    else:
        assert documents.parse_json(body) == value


@given(
    st.integers(documents.MAX_DEPTH - 3, documents.MAX_DEPTH + 5),
    st.lists(
        st.tuples(st.booleans(), st.text('[]{}"\\\\a', max_size=4), st.text('[]{}"\\\\a', max_size=4)), min_size=1
    ),
)
def test_a_document_is_too_deep_by_its_brackets_and_not_by_those_in_its_texts(
    depth: int, layers: list[tuple[bool, str, str]]
) -> None:
    value: Any = []
    for level in range(depth - 1):
        is_object, before, behind = layers[level % len(layers)]
        value = {f"b{before}": before, "": value, f"a{behind}": behind} if is_object else [before, value, behind]
    refused = refusal(lambda: documents.parse_json(json.dumps(value).encode()))
    assert (refused is not None) == (depth > documents.MAX_DEPTH + 1)
    assert refused is None or "nested too deeply" in refused


@given(json_values)
def test_reading_an_order_never_breaks(value: Any) -> None:
    for document in (value, {"Flow": value}, {"Flow": {"Nodes": [value], "Stores": value}, "NodeDefs": [value]}):
        assert refusal(functools.partial(wire.read_order, document)) != ""


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    assert refusal(lambda: documents.parse_json(body)) != ""


@given(st.text(max_size=80))
def test_any_text_is_yaml_or_refused_with_its_line(text: str) -> None:
    assert (refusal(lambda: documents.parse_yaml(text, name="f.yaml")) or "f.yaml:").startswith("f.yaml:")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("True", "True"),
        ("true", True),
        ("~", None),
        ("", None),
        ("12:30", "12:30"),
        ("0755", "0755"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("28", 28),
        ("-1.50", -1.5),
        ("2026-03-03", "2026-03-03"),
        ("'28'", "28"),
        ("!!str 28", "28"),
        (".inf", ".inf"),
    ],
)
def test_yaml_is_held_to_jsons_scalars(written: str, value: Any) -> None:
    assert documents.parse_yaml(f"a: {written}", name="f").value == {"a": value}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "f:3: the key 'a' is given twice"),
        ("a: &x [1]\n<<: *x", "f:2: merge keys"),
        ("? [1]\n: 2", "f:1: a key must be a text"),
        ("a: !!int x", "f:1: the tag"),
        ("a: !mine x", "f:1: the tag !mine"),
        ("a: 1e999", "f:1: the number 1e999 is too large"),
        ("a: " + "9" * 30, "f:1: the number"),
        ("---\na: 1\n---\nb: 2", "f:3: "),
        ("[" * 3000, "f:1: nested too deeply"),
        (
            "a: &a [1,2,3]\n"
            + "".join(f"b{n}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 9)}]\n" for n in range(9)),
            "values",
        ),
        ("a: \x01", "f:1: "),
    ],
)
def test_yaml_that_could_be_read_in_two_ways_is_refused(text: str, said: str) -> None:
    with pytest.raises(errors.Malformed) as refused:
        documents.parse_yaml(text, name="f")
    assert said in refused.value.message


def test_lines_are_found_by_pointer_in_any_case() -> None:
    document = documents.parse_yaml("name: x\nnodes:\n  - id: a\n    uses: b/c\n", name="f")
    assert document.line("/Nodes/0/Uses") == 4
    assert document.line("/Nodes/0/Flags/3/Value") == 3
    assert document.line("/Elsewhere") == 1


def test_numbers_become_text_in_yaml_where_text_is_due() -> None:
    text = "Publisher: 5\nName: n\nUser: 1000\nMaxAttempts: 2\nFlags: [{Name: 1.50, Default: true}]"
    read = wire.read_definition(documents.parse_yaml(text, name="f").value, yaml=True)
    assert (read.publisher, read.user, read.max_attempts, read.flags[0].name) == ("5", "1000", 2, "1.50")
    assert read.flags[0].default == "true"
