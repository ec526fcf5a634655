"""Requests read in one go mean what they mean read with care, and whatever is odd about one is left to care."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload import errors
from pupload.api import documents
from pupload.api.flow import models, plainly, wire
from pupload.domain.flow import DataWell, Flow
from pupload.domain.nodedef import NodeDef
from tests.api.house import EXAMPLE
from tests.strategies import flows

ODD: tuple[Any, ...] = (None, True, 0, -1, 2, 1.5, 10**18, "", "1", "x" * 100, [], ["a"], [1], [[]], {}, {"Name": "x"})


def parsed(document: Any) -> Any:
    return documents.parse_json(json.dumps(document).encode())


def told(document: Any) -> object:
    """What the document orders, or why it orders nothing."""
    try:
        return wire.read_order(document)
    except errors.Malformed as error:
        return str(error), error.facts.get("problems")


def told_with_care(document: Any) -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plainly, "read", lambda model, document: None)
        return told(document)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in the document with each of its keys."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


@st.composite
def documents_with_a_fault(draw: st.DrawFn) -> Any:
    """An order as a program writes it, with something in it that may be otherwise than it should."""
    document = copy.deepcopy(wire.write_order(*draw(flows(max_nodes=3))))
    for _ in range(draw(st.integers(1, 2))):
        around, key = draw(st.sampled_from([*places(document)]))
        change = draw(st.sampled_from(["value", "gone", "more", "case"]))
        if change == "value":
            around[key] = draw(st.sampled_from(ODD))
        elif change == "gone" or not isinstance(around, dict):
            del around[key]
        elif change == "more":
            around[draw(st.sampled_from(["odd", "Steps", "tasks", "Command", "name", "Min"]))] = around[key]
        else:
            around[key.swapcase()] = around.pop(key)
    return document


def without_stores(given: tuple[Flow, tuple[NodeDef, ...]]) -> Any:
    flow, definitions = given
    wells = tuple(replace(well, store="default") for well in flow.wells)
    default = flow.default_well and DataWell(store="default", lifetime=flow.default_well.lifetime)
    return wire.write_order(replace(flow, stores=(), wells=wells, default_well=default), definitions)


@given(flows())
def test_what_programs_write_is_read_in_one_go_and_means_the_same(given: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    document = parsed(without_stores(given))
    # A number as it was written is a matter for care.
    if not any(flag.minimum is not None for definition in given[1] for flag in definition.flags):
        assert plainly.read(models.TestFlow, document) is not None
    assert told(document) == told_with_care(document)


def test_the_contracts_own_example_is_read_in_one_go() -> None:
    assert plainly.read(models.TestFlow, parsed(EXAMPLE)) is not None


@given(documents_with_a_fault())
def test_whatever_is_odd_means_or_is_refused_as_with_care(document: Any) -> None:
    assert told(parsed(document)) == told_with_care(parsed(document))


@pytest.mark.parametrize(
    "odd",
    [
        {"Flow": {"steps": []}},
        {"Flow": {"Nodes": None}},
        {"Flow": {"Nodes": [{"ID": 1}]}},
        {"Flow": {"Nodes": [{"Flags": [{"Name": "a", "Value": 1}]}]}},
        {"Flow": {"Stores": [{"Name": "a", "Params": {"endpoint": "x"}}]}},
        {"Flow": {"Nodes": [{}] * (plainly.LONGEST + 1)}},
        {"Flow": {}, "more": 1},
        {},
        [],
    ],
    ids=str,
)
def test_what_is_written_otherwise_is_left_to_care(odd: Any) -> None:
    assert plainly.read(models.TestFlow, odd) is None


def test_a_size_that_may_not_be_is_left_to_care() -> None:
    assert plainly.read(models.UploadRequest, {"Size": -1}) is None
    assert plainly.read(models.UploadRequest, {}) is not None
