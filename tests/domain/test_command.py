"""Commands: split first, values put in afterwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pupload.domain import command
from tests import strategies


def written(line: str | tuple[str, ...], **values: str) -> tuple[str, ...]:
    return command.arguments(command.split(line), values)


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("", ()),
        ("convert a b", ("convert", "a", "b")),
        ("""sh -c 'echo "hi there" $HOME'""", ("sh", "-c", 'echo "hi there" $HOME')),
        (r"a\ b", ("a b",)),
        ("''", ("",)),
        ("# no comment", ("#", "no", "comment")),
        ("a;b && c", ("a;b", "&&", "c")),
    ],
)
def test_a_line_is_split_as_a_shell_would(line: str, arguments: tuple[str, ...]) -> None:
    assert written(line) == arguments


def test_a_list_is_taken_as_it_is() -> None:
    assert written(("sh", "-c", "echo 'a  b'")) == ("sh", "-c", "echo 'a  b'")


@pytest.mark.parametrize("line", ["echo 'open", 'echo "open', "echo \\"])
def test_what_cannot_be_split_is_said(line: str) -> None:
    with pytest.raises(ValueError, match="quotation mark"):
        command.split(line)


def test_dollars() -> None:
    assert written("a $$ $${x} $x ${x}", x="1") == ("a", "$", "${x}", "$x", "1")


def test_values_are_not_looked_at_again() -> None:
    assert written("${a}", a="${b} [c] $$", b="no") == ("${b} [c] $$",)


def test_names_may_hold_what_shells_forbid() -> None:
    assert written("${max-width}", **{"max-width": "3"}) == ("3",)


@pytest.mark.parametrize(
    ("line", "without", "with_"),
    [
        ("r [--width ${width}] x", ("r", "x"), ("r", "--width", "7", "x")),
        ("r [--width=${width}]", ("r",), ("r", "--width=7")),
        ("r [ --width ${width} ]", ("r",), ("r", "--width", "7")),
        ("r [${width}]", ("r",), ("r", "7")),
        ("r [-a [-b ${height}] ${width}]", ("r",), ("r", "-a", "7")),
    ],
)
def test_a_group_stands_or_falls_with_its_variables(
    line: str, without: tuple[str, ...], with_: tuple[str, ...]
) -> None:
    assert written(line) == without
    assert written(line, width="7") == with_


def test_a_group_needs_all_of_its_variables() -> None:
    assert written("r [--size ${w} ${h}]", w="1") == ("r",)
    assert written("r [--size ${w}x${h}]", w="1", h="2") == ("r", "--size", "1x2")


@pytest.mark.parametrize(
    "line",
    ["ffmpeg -filter_complex [0:v]scale=${w}:-2[v] -map [v]", "test [ -f x ]", "a[0] b]", "[open ${w}", "[]"],
)
def test_other_brackets_stand_for_themselves(line: str) -> None:
    assert written(line, w="7") == tuple(line.replace("${w}", "7").split())


def test_escaped_brackets_make_no_group() -> None:
    assert written("$[${w}$]", w="7") == ("[7]",)
    assert written("[--label $[${w}$]]", w="7") == ("--label", "[7]")
    assert written("[--label $[${w}$]]") == ()


def test_outside_groups_a_missing_value_leaves_no_argument_of_its_own() -> None:
    assert written("r ${w} --width=${w} ''") == ("r", "--width=", "")
    assert written("r ${w}", w="") == ("r", "")


def test_names_in_a_command() -> None:
    assert command.variables(command.split("r [--w ${w}] ${image} ${w} $${no}")) == ("w", "image")


@pytest.mark.parametrize(
    ("prefix", "name", "variable"),
    [
        ("INPUT_", "image", "INPUT_IMAGE"),
        ("FLAG_", "max-width.px", "FLAG_MAX_WIDTH_PX"),
        ("OUTPUT_", "höhe", "OUTPUT_H_HE"),
    ],
)
def test_environment_names(prefix: str, name: str, variable: str) -> None:
    assert command.environment_name(prefix, name) == variable


@given(strategies.values, strategies.values)
def test_a_value_never_becomes_two_arguments(width: str, image: str) -> None:
    assert written("resize [--width ${width}] --in=${image} ${image}", width=width, image=image) == (
        "resize",
        "--width",
        width,
        f"--in={image}",
        image,
    )


@given(st.lists(st.text("ab${}[] '", max_size=12), max_size=6).map(tuple), strategies.values)
def test_any_list_can_be_written(arguments: tuple[str, ...], value: str) -> None:
    names = dict.fromkeys(command.variables(arguments), value)
    assert len(command.arguments(arguments, names)) <= len(arguments)
    assert len(command.arguments(arguments, {})) <= len(arguments)


@given(st.lists(st.text(st.characters(exclude_characters="$[]")), max_size=6).map(tuple))
def test_arguments_without_variables_stay(arguments: tuple[str, ...]) -> None:
    assert command.arguments(arguments, {}) == arguments
