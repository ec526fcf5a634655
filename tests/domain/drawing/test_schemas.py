"""A value is held against a schema as JSON Schema has it, for the words that are read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.drawing import schemas

PERSON = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, None),
        (True, 1),
        (None, 1),
        ("nonsense", 1),
        ({"type": "nonsense"}, 1),
        ({"type": 7, "required": "name", "properties": [], "enum": "a", "anyOf": {}, "minimum": "1"}, {}),
        ({"type": ["string", "null"]}, None),
        ({"type": "integer"}, 3.0),
        ({"type": "number"}, 3),
        ({"enum": [1, "a"]}, 1.0),
        ({"const": {"a": [1]}}, {"a": [1]}),
        (PERSON, {"name": "Ann", "age": 7}),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 2}, ["a", "b"]),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "a"),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 2),
        ({"not": {"type": "string"}}, 1),
        ({"$ref": "http://elsewhere/", "pattern": "(a+)+$"}, "a" * 100),
    ],
)
def test_what_fits(schema: Any, value: Any) -> None:
    assert not schemas.objections(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        (False, 1, "$ may not be there"),
        ({"type": "string"}, 1, "$ is not of type string"),
        ({"type": "integer"}, True, "$ is not of type integer"),
        ({"type": "integer"}, 3.5, "$ is not of type integer"),
        ({"type": ["string", "null"]}, 1, "$ is not of type string or null"),
        ({"enum": [1]}, True, "$ is none of 1"),
        ({"const": 1}, 2, "$ is not 1"),
        (PERSON, {}, "$.name is required"),
        (PERSON, {"name": ""}, "$.name has less than 1 letters"),
        (PERSON, {"name": "a", "age": -1}, "$.age is less than 0"),
        (PERSON, {"name": "a", "size": 1}, "$.size may not be there"),
        ({"additionalProperties": {"type": "string"}}, {"a": 1}, "$.a is not of type string"),
        ({"items": {"items": {"type": "string"}}}, [["a"], [1]], "$[1][0] is not of type string"),
        ({"maxItems": 1}, [1, 2], "$ has more than 1 items"),
        ({"exclusiveMaximum": 1}, 1, "$ is not less than 1"),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, 1, "$ is none of what it may be"),
        ({"allOf": [{"minimum": 1}, {"maximum": 3}]}, 4, "$ is more than 3"),
        ({"not": {"type": "string"}}, "a", "$ is what it may not be"),
    ],
)
def test_what_does_not_fit(schema: Any, value: Any, words: str) -> None:
    assert schemas.objections(schema, value) == [words]


def test_what_goes_on_for_ever_comes_to_an_end() -> None:
    schema: Any = {"type": "string"}
    for _ in range(40):
        schema = {"anyOf": [schema, schema]}
    assert schemas.objections(schema, 1) in ([], ["$ is none of what it may be"])
    assert len(schemas.objections({"items": {"type": "string"}}, [1] * 1000)) == schemas.MOST


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
words = st.sampled_from(["type", "enum", "properties", "items", "required", "anyOf", "not", "minimum", "maxLength"])
rules = st.recursive(values, lambda inner: st.dictionaries(words, inner, max_size=4), max_leaves=8)


@given(rules, values)
def test_whatever_somebody_says_is_read(schema: Any, value: Any) -> None:
    assert len(schemas.objections(schema, value)) <= schemas.MOST
