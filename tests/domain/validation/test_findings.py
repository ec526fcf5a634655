"""The table of codes, pointers and the order of findings."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.flow import Binding, DataWell, FlagValue, Flow, Node, Store
from pupload.domain.nodedef import Command, FlagDef, NodeDef, Port, Retry
from pupload.domain.validation import findings, validate

NAMES = {
    "STORE_002": "StoreInvalidType",
    "NODE_001": "NodeDefNotFound",
    "NODE_004": "NodeInvalidTier",
    "NODE_006": "NodeUnknownFlag",
    "EDGE_002": "EdgeNoConsumer",
    "WELL_008": "DatawellDynamicHasStaticKey",
    "FLOW_003": "FlowInvalidTimeout",
}
TEXT = st.text(max_size=8) | st.sampled_from(["a", "e", "../x", "${RUN_ID}", "${", "x/y", "image/*", "1h", "default"])
BINDINGS = st.lists(st.builds(Binding, name=TEXT, edge=TEXT), max_size=3).map(tuple)
ANY_FLOW = st.builds(
    Flow,
    name=TEXT,
    nodes=st.lists(
        st.builds(
            Node,
            id=TEXT,
            uses=st.sampled_from(["x/y", "x/z"]) | TEXT,
            inputs=BINDINGS,
            outputs=BINDINGS,
            flags=st.lists(st.builds(FlagValue, name=TEXT, value=TEXT), max_size=2).map(tuple),
            timeout=st.none() | TEXT,
            when=st.none() | st.sampled_from(["input.a.size > 1", "node.a.status == 'x' or flag.e"]) | TEXT,
            runs=st.sampled_from(["", "", "Finally", "OnFailure"]) | TEXT,
        ),
        max_size=4,
    ).map(tuple),
    stores=st.lists(
        st.builds(
            Store,
            name=TEXT,
            type=st.sampled_from(["s3", "local", "x"]),
            params=st.dictionaries(TEXT, TEXT | st.booleans(), max_size=2),
        ),
        max_size=2,
    ).map(tuple),
    wells=st.lists(
        st.builds(
            DataWell,
            edge=TEXT,
            store=TEXT,
            source=st.sampled_from([None, "upload", "static", "webhook"]) | TEXT,
            key=st.none() | TEXT,
            lifetime=st.none() | TEXT,
        ),
        max_size=3,
    ).map(tuple),
    default_well=st.none() | st.builds(DataWell, store=TEXT, key=st.none() | TEXT, lifetime=st.none() | TEXT),
    timeout=st.none() | TEXT,
)
PORTS = st.lists(
    st.builds(Port, name=TEXT, types=st.lists(TEXT, max_size=2).map(tuple), required=st.sampled_from([None, True])),
    max_size=2,
).map(tuple)
ANY_DEFINITION = st.builds(
    NodeDef,
    publisher=st.just("x"),
    name=st.sampled_from(["y", "z"]),
    image=TEXT,
    inputs=PORTS,
    outputs=PORTS,
    flags=st.lists(
        st.builds(FlagDef, name=TEXT, type=TEXT, default=st.none() | TEXT, minimum=st.none() | st.floats()), max_size=2
    ).map(tuple),
    command=st.builds(Command, exec=TEXT | st.lists(TEXT, max_size=3).map(tuple)),
    tier=TEXT,
    retry=st.builds(Retry, delay=st.none() | TEXT, on_exit_codes=st.lists(st.integers(), max_size=2).map(tuple)),
    timeout=st.none() | TEXT,
    user=TEXT,
    network=TEXT,
    transfer=TEXT,
    progress=TEXT,
)


@pytest.mark.parametrize("code", findings.CODES)
def test_every_code_explains_itself(code: str) -> None:
    info = findings.CODES[code]
    assert info.code == code
    assert info.text
    assert info.meaning.endswith(".")
    assert info.remedy.endswith(".")
    facts = {name for _, name, _, _ in string.Formatter().parse(info.text) if name}
    found = findings.found(code, "/Flow", **dict.fromkeys(facts, "fact"))
    assert (found.code, found.name, found.type) == (code, info.name, info.severity)
    assert "{fact" not in found.description.replace("${fact}", "")


def test_names_are_the_contracts() -> None:
    assert {code: findings.CODES[code].name for code in NAMES} == NAMES


def test_every_family_is_numbered_without_gaps() -> None:
    numbers: dict[str, list[int]] = {}
    for code in findings.CODES:
        family, _, number = code.partition("_")
        numbers.setdefault(family, []).append(int(number))
    assert {family: list(range(1, len(found) + 1)) for family, found in numbers.items()} == numbers


def test_severities_are_the_contracts_words() -> None:
    assert findings.CODES["FLOW_001"].severity == "ValidationError"
    assert findings.CODES["STORE_004"].severity == "ValidationWarning"


def test_pointers_are_escaped() -> None:
    assert findings.pointer("/Flow", "Params", "a/b~c", 0) == "/Flow/Params/a~1b~0c/0"


def test_findings_stand_in_the_order_of_the_document() -> None:
    paths = [
        "/Flow/Timeout",
        "/Flow/Stores/0/Type",
        "/Flow/DataWells/0/Edge",
        "/Flow/Nodes",
        "/Flow/Nodes/2/ID",
        "/Flow/Nodes/10/ID",
        "/Flow/Nodes/10/Inputs/0/Edge",
        "/NodeDefs/0/Tier",
    ]
    found = [findings.found("FLOW_002", path) for path in paths]
    assert [one.path for one in findings.in_order(reversed(found))] == paths


def test_errors_are_told_from_warnings() -> None:
    error, warning = findings.found("FLOW_002", "/Flow"), findings.found("STORE_004", "/Flow", store="x")
    assert findings.errors([warning, error]) == (error,)


@given(ANY_FLOW, st.lists(ANY_DEFINITION, max_size=3))
def test_any_flow_can_be_judged(flow: Flow, definitions: list[NodeDef]) -> None:
    """Whatever somebody sends: findings, in the same order every time, in sentences that fit on a line."""
    found = validate(flow, definitions)
    assert found == validate(flow, definitions)
    assert len(set(found)) == len(found)
    for one in found:
        assert one.description.isprintable()
        assert one.path.startswith(("/Flow", "/NodeDefs/"))
