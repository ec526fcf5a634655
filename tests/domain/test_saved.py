"""Flows under names: what they may be called, and what is otherwise between two of their versions."""

from dataclasses import replace

import pytest

from pupload.domain import flow, ids, nodedef, saved

OLD = saved.Content(
    flow=flow.Flow(
        name="shrink",
        nodes=(
            flow.Node(
                id="resize",
                uses="pupload/resize",
                inputs=(flow.Binding(name="in", edge="photo"),),
                outputs=(flow.Binding(name="out", edge="small"),),
                flags=(flow.FlagValue(name="Width", value="100"),),
            ),
            flow.Node(id="label", uses="pupload/exif"),
        ),
        stores=(flow.Store(name="mine", type="s3", params={"SecretKey": "hush hush"}),),
        wells=(flow.DataWell(edge="photo", source="webhook", secret="quiet quiet"),),
        params=(nodedef.FlagDef(name="width", type="integer", default="100"),),
        callbacks=(flow.Callback(url="http://there/?token=whisper", secrets=("mumble",)),),
    ),
    definitions=(nodedef.NodeDef(publisher="p", name="n", image="n:1"),),
)


def told(old: saved.Content, new: saved.Content) -> list[str]:
    """The changes in a word each."""
    return [
        f"{each.kind} {each.name} {each.how}" + (f" {each.field}: {each.was} > {each.now}" if each.field else "")
        for each in saved.diff(old, new)
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("daily", ("default", "daily")),
        ("backup/daily", ("backup", "daily")),
        ("/a/b/c/", ("a/b", "c")),
        ("", ("default", "")),
        ("//", ("default", "")),
    ],
)
def test_a_name_is_split_into_namespace_and_name(text: str, names: tuple[str, str]) -> None:
    assert saved.split(text) == names


@pytest.mark.parametrize("name", ["a", "A.b-c_9", "0", "a" * 128])
def test_names_that_may_be(name: str) -> None:
    assert not saved.objection("x/y", name)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("x", ""),
        ("x", "."),
        ("x", ".."),
        ("..", "a"),
        ("x//y", "a"),
        ("", "a"),
        ("x", "a b"),
        ("x", "a\n"),
        ("x", "é"),
        ("x", "-a"),
        ("x", "a" * 129),
        ("/".join(["a" * 100] * 6), "a"),
        ("default", "flow_01JD0000000000000000000001"),
    ],
)
def test_names_that_may_not_be(namespace: str, name: str) -> None:
    assert saved.objection(namespace, name)


def test_an_id_is_told_from_a_name() -> None:
    run_id = ids.run_id(1 << 100)
    made = saved.new_id(run_id)
    assert made == "flow_" + run_id.removeprefix("run_")
    assert saved.canonical_id(made) == saved.canonical_id("flow_" + run_id.removeprefix("run_").lower()) == made
    assert saved.canonical_id("flow_daily") is saved.canonical_id(run_id) is saved.canonical_id("daily") is None


@pytest.mark.parametrize(
    ("label", "following"), [("1.0.0", "1.0.1"), ("2.3.9", "2.3.10"), ("beta", "beta"), ("2024", "2024"), ("", "")]
)
def test_the_label_of_the_version_that_follows(label: str, following: str) -> None:
    assert saved.next_label(label) == following


def test_nothing_is_otherwise_in_the_same() -> None:
    assert not saved.diff(OLD, replace(OLD, flow=replace(OLD.flow)))


def test_parts_come_and_go() -> None:
    new = replace(OLD, flow=replace(OLD.flow, nodes=OLD.flow.nodes[:1], params=()), definitions=())
    assert told(OLD, new) == ["param width removed", "node label removed", "definition p/n removed"]
    assert told(new, OLD) == ["param width added", "node label added", "definition p/n added"]


def test_what_changed_of_a_part_is_told_with_its_values() -> None:
    resize = replace(
        OLD.flow.nodes[0],
        inputs=(flow.Binding(name="in", edge="picture"),),
        flags=(flow.FlagValue(name="Width", value="${param.width}"), flow.FlagValue(name="Height", value="7")),
        memoize=False,
    )
    param = replace(OLD.flow.params[0], default="50", required=True)
    changed = replace(OLD.flow, name="smaller", nodes=(resize, OLD.flow.nodes[1]), params=(param,), timeout="1h")
    assert told(OLD, replace(OLD, flow=changed)) == [
        "flow  changed name: shrink > smaller",
        "flow  changed timeout:  > 1h",
        "param width changed required: false > true",
        "param width changed default: 100 > 50",
        "node resize changed memoize: true > false",
        "node resize changed inputs.in: photo > picture",
        "node resize changed flags.Width: 100 > ${param.width}",
        "node resize changed flags.Height:  > 7",
    ]
    other = replace(OLD, definitions=(replace(OLD.definitions[0], image="n:2", retry=nodedef.Retry(delay="2s")),))
    assert told(OLD, other) == [
        "definition p/n changed image: n:1 > n:2",
        "definition p/n changed retry:  > 2s",
    ]


def test_that_a_secret_changed_is_told_and_not_what_it_is() -> None:
    changed = replace(
        OLD.flow,
        stores=(replace(OLD.flow.stores[0], params={"SecretKey": "louder louder"}),),
        wells=(replace(OLD.flow.wells[0], secret="${secret.hook}"),),
        callbacks=(flow.Callback(url="http://there/?token=shout", secrets=("scream",)),),
    )
    assert told(OLD, replace(OLD, flow=changed)) == [
        "well photo changed secret: *** > ${secret.hook}",
        "store mine changed params.SecretKey: *** > ***",
        "callback 1 changed url: http://there/ > http://there/",
        "callback 1 changed secrets.1: *** > ***",
    ]
