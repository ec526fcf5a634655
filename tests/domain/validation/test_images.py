"""What is wrong with images: those that definitions name, and those that nodes choose."""

from typing import Any

import pytest

from pupload.domain import params, validation
from pupload.domain.flow import Node
from pupload.domain.nodedef import Command, NodeDef
from tests.builders import a_definition, a_flag, a_flow, a_node


def choosing(image: str = "${flag.image}", **flag: Any) -> NodeDef:
    return a_definition(image=image, flags=[a_flag("image", **(flag or {"default": "acme/x:1"}))])


def judged(definition: NodeDef, node: Node | None = None) -> list[tuple[str, str]]:
    found = validation.validate(a_flow(node or a_node()), [definition])
    return [(each.code, each.path) for each in found if each.is_error]


@pytest.mark.parametrize(
    ("definition", "sentence"),
    [
        (choosing("${flag.images}"), "the definition has no flag images"),
        (choosing("${flag.}"), "the definition has no flag"),
        (choosing(default=None), "flag image needs a Default, or Required: true"),
        (choosing(type="secret", required=True), "flag image is a secret"),
        (choosing("acme/${flag.image}"), "write [registry/]name"),
        (choosing("${flag.image}:1"), "write [registry/]name"),
        (choosing("${flag.image}${flag.image}"), "write [registry/]name"),
        (choosing("${flag.image}\n"), "write [registry/]name"),
        (choosing("${param.image}"), "write [registry/]name"),
        (choosing("${image}"), "write [registry/]name"),
    ],
)
def test_a_choice_that_cannot_be_made_is_told_at_the_definition(definition: NodeDef, sentence: str) -> None:
    node = a_node(flags={"image": "${secret.X}"}) if definition.flags[0].type == "secret" else None
    found = validation.validate(a_flow(node or a_node()), [definition])
    (wrong,) = [each for each in found if each.code == "NODE_013"]
    assert wrong.path == "/NodeDefs/0/Image"
    assert sentence in wrong.description


@pytest.mark.parametrize(
    "value", ["", "Upper/Case", "a b", "-rm", "--privileged", "${secret.X}", "${flag.image}", "a\n"]
)
def test_what_is_chosen_is_a_reference(value: str) -> None:
    assert judged(choosing(), a_node(flags={"image": value})) == [("NODE_015", "/Flow/Nodes/0/Flags/0/Value")]
    assert judged(choosing(default=value)) == [("NODE_024", "/NodeDefs/0/Flags/0/Default")]


@pytest.mark.parametrize("value", ["busybox", "registry.example.org:5000/a/b:1", "a@sha256:" + "1" * 64])
def test_a_reference_may_be_chosen(value: str) -> None:
    assert judged(choosing(), a_node(flags={"image": value})) == []
    assert judged(choosing(default=value)) == []
    assert judged(choosing(required=True), a_node(flags={"image": value})) == []


def test_a_choice_that_must_be_made_is_asked_for() -> None:
    assert judged(choosing(required=True)) == [("NODE_005", "/Flow/Nodes/0/Flags")]


def test_a_parameter_chooses_and_is_judged_when_it_is_known() -> None:
    flow = a_flow(a_node(flags={"image": "${param.image}"}))
    assert not [each for each in validation.validate(flow, [choosing()]) if each.is_error]
    filled = params.filled(flow, {"image": "no image"})
    (found,) = validation.validate(filled, [choosing()], given={"image": "no image"})
    assert (found.code, found.path) == ("NODE_015", "/Flow/Nodes/0/Flags/0/Value")
    assert "it chooses the image: write [registry/]name" in found.description


def test_who_sets_the_entry_point_aside_names_a_program() -> None:
    aside = a_definition(command=Command(entrypoint=False))
    assert judged(aside) == [("NODE_020", "/NodeDefs/0/Command/Exec")]
    assert judged(a_definition(command=Command(exec=("sh",), entrypoint=False))) == []
