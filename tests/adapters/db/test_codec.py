"""Values as bytes and back."""

import collections.abc
import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pupload import errors, ports
from pupload.adapters.db import codec, plans
from pupload.domain import artifact, events, flow, nodedef, plan, run, tiers
from tests.contracts.states import NOON, a_plan, a_run, an_artifact

PLAIN: Mapping[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=12),
    int: st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.datetimes(timezones=st.just(UTC)),
}


@functools.cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Any value that a field with this type may have."""
    if hint in PLAIN:
        return PLAIN[hint]
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values_of(part) for part in parts])
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(values_of(parts[0]), max_size=3).map(tuple)
    if origin in (frozenset, collections.abc.Set):
        return st.frozensets(values_of(parts[0]), max_size=3)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(values_of(parts[0]), values_of(parts[1]), max_size=3)
    if issubclass(hint, Enum):
        return st.sampled_from(hint)
    hints = typing.get_type_hints(hint)
    return st.builds(hint, **{one.name: values_of(hints[one.name]) for one in dataclasses.fields(hint) if one.init})


KEPT: list[Any] = [
    kind
    for module in (artifact, events, flow, nodedef, plan, run, tiers)
    for kind in vars(module).values()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__module__ == module.__name__
    if kind not in (run.Run, run.Decision)  # a run has tables, a decision is not kept
] + [ports.Project, ports.LogLine]


@pytest.mark.parametrize("kind", KEPT, ids=lambda kind: kind.__qualname__)
@settings(max_examples=30)
@given(data=st.data())
def test_every_value_of_the_domain_reads_back(kind: Any, data: st.DataObject) -> None:
    record: codec.Record[Any] = codec.Record(kind)
    value = data.draw(values_of(kind))
    assert record.decode(record.encode(value), "it") == value


@settings(max_examples=30)
@given(data=st.data())
def test_a_run_reads_back(data: st.DataObject) -> None:
    given_run = data.draw(values_of(run.Run))
    nodes = {name: dataclasses.replace(node, id=name) for name, node in given_run.nodes.items()}
    active = {run.NodeStatus.READY, run.NodeStatus.RUNNING, run.NodeStatus.RETRYING}
    whole = dataclasses.replace(
        given_run,
        nodes=nodes,
        active=frozenset(name for name, node in nodes.items() if node.status in active),
        unfinished=sum(not node.status.terminal for node in nodes.values()),
    )
    row = codec.RunRow(
        head=codec.encode_head(whole),
        flow=whole.plan.flow.name,
        status=whole.status.value,
        version=whole.version,
        owner=whole.owner,
        fence=whole.fence,
        created_at=codec.micros(whole.created_at),
        finished_at=codec.maybe_micros(whole.finished_at),
        error=whole.error,
    )
    rest = codec.decode_head(row.head, "it")
    parts = {name: getattr(whole, name) for name in ("plan", "nodes", "artifacts", "gone")}
    assert codec.run_of(whole.id, row, rest, **parts) == whole


EVENTS: list[Any] = list(events.KINDS.values())


@given(st.one_of([values_of(kind) for kind in EVENTS]))
def test_an_event_reads_back_by_its_name(event: events.Event) -> None:
    kind, blob = codec.encode_event(event)
    assert events.KINDS[kind] is type(event)
    assert codec.decode_event(kind, blob, "it") == event


LETTERS: list[Any] = list(get_args(ports.Letter))


@given(st.one_of([values_of(kind) for kind in LETTERS]))
def test_a_letter_reads_back(letter: ports.Letter) -> None:
    assert codec.decode_letter(codec.encode_letter(letter), "it") == letter


def test_a_letter_of_a_kind_that_is_not_known_is_damaged() -> None:
    envelope: codec.Record[tuple[str, bytes]] = codec.Record(tuple[str, bytes])
    blob = envelope.encode(("of tomorrow", b""))
    with pytest.raises(errors.Damaged, match="of tomorrow"):
        codec.decode_letter(blob, "letter 1")


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_are_kept_to_the_microsecond(when: datetime) -> None:
    assert codec.moment(codec.micros(when)) == when
    assert codec.maybe_moment(codec.maybe_micros(when)) == when


def test_no_time_stays_none() -> None:
    assert codec.maybe_micros(None) is None
    assert codec.maybe_moment(None) is None


def test_a_time_of_another_zone_is_the_same_moment_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = codec.ARTIFACT.decode(codec.ARTIFACT.encode(dataclasses.replace(an_artifact(), created_at=local)), "it")
    assert found.created_at == NOON
    assert found.created_at.tzinfo is UTC


def test_read_only_mappings_are_written_like_dicts() -> None:
    node = flow.Store(name="s", type="s3", params=types.MappingProxyType({"Endpoint": "http://here"}))
    record: codec.Record[flow.Store] = codec.Record(flow.Store)
    assert record.decode(record.encode(node), "it").params == {"Endpoint": "http://here"}


def test_a_field_added_later_reads_as_its_default() -> None:
    old = bytes((codec.SHAPE,)) + msgspec.msgpack.encode({"id": "resize", "status": "READY"})
    assert codec.NODE.decode(old, "it") == run.NodeRun(id="resize", status=run.NodeStatus.READY)


def test_an_artifact_of_before_there_were_facts_has_none() -> None:
    written = msgspec.msgpack.decode(codec.ARTIFACT.encode(an_artifact())[1:])
    del written["facts"]
    old = bytes((codec.SHAPE,)) + msgspec.msgpack.encode(written)
    assert codec.ARTIFACT.decode(old, "it") == dataclasses.replace(an_artifact(), facts=None)


def test_items_of_before_they_had_times_have_none() -> None:
    old = {"id": "n", "status": "RUNNING", "items": {"total": 3, "begun": 2, "complete": 1}}
    node = codec.NODE.decode(bytes([codec.SHAPE]) + codec.pack(old), "node")
    assert node.items == run.Items(total=3, begun=2, complete=1, begun_at=None, ended_at=None)


def test_plans_of_before_flows_were_saved_are_of_none() -> None:
    new = codec.pack(a_plan())
    old = {name: value for name, value in msgspec.msgpack.decode(new).items() if name not in ("provenance", "labels")}
    plan_of_old = plans.PLAN.decode(bytes([codec.SHAPE]) + codec.pack(old), "plan")
    assert (plan_of_old.provenance, plan_of_old.labels) == (None, {})
    assert plan_of_old == a_plan()


def test_runs_of_before_there_were_slots_wait_for_none() -> None:
    head = msgspec.msgpack.decode(codec.encode_head(a_run())[1:])
    old = {name: value for name, value in head.items() if name not in ("queued_at", "slot_at", "priority")}
    found = codec.decode_head(bytes([codec.SHAPE]) + codec.pack(old), "head")
    assert (found["queued_at"], found["slot_at"], found["priority"]) == (None, None, None)
    written = msgspec.msgpack.decode(codec.pack(a_plan()))
    del written["priority"], written["flow"]["priority"]
    plan_of_old = plans.PLAN.decode(bytes([codec.SHAPE]) + codec.pack(written), "plan")
    assert (plan_of_old.priority, plan_of_old.flow.priority) == (0, 0)


def test_nodes_and_events_of_before_there_was_memory_have_none() -> None:
    old = {"id": "n", "status": "COMPLETE", "attempts": [{"number": 1, "ready_at": NOON}], "reused": False}
    node = codec.NODE.decode(bytes([codec.SHAPE]) + codec.pack(old), "node")
    assert (node.source, node.attempts[0].missed) == (None, None)
    reused = codec.decode_event("node.reused", bytes([codec.SHAPE]) + codec.pack({"node": "n", "artifacts": []}), "it")
    assert reused == events.NodeReused(node="n")
    told = {"node": "n", "attempt": 1, "image": "sha256:1"}
    started = codec.decode_event("node.started", bytes([codec.SHAPE]) + codec.pack(told), "it")
    assert started == events.NodeStarted(node="n", attempt=1, image="sha256:1")


def test_a_field_that_a_newer_version_wrote_is_passed_over() -> None:
    newer = bytes((codec.SHAPE,)) + msgspec.msgpack.encode({"id": "resize", "colour": "blue"})
    assert codec.NODE.decode(newer, "it") == run.NodeRun(id="resize")


GOOD = codec.NODE.encode(run.NodeRun(id="resize"))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        None,
        "text",
        GOOD[:1],
        GOOD[:-1],
        GOOD + b"\x00",
        bytes((codec.SHAPE + 1,)) + GOOD[1:],
        bytes((codec.SHAPE,)) + msgspec.msgpack.encode({"id": "resize", "status": "DANCING"}),
        bytes((codec.SHAPE,)) + msgspec.msgpack.encode({"id": 7}),
        bytes((codec.SHAPE,)) + msgspec.msgpack.encode({}),
        bytes((codec.SHAPE,)) + b"\x91" * 100_000,
    ],
    ids=range(11),
)
def test_what_does_not_read_back_is_damaged_and_named(blob: object) -> None:
    with pytest.raises(errors.Damaged, match="node resize of run run_a"):
        codec.NODE.decode(blob, "node resize of run run_a")


@given(st.binary(max_size=60))
def test_noise_is_damaged_or_a_value_and_nothing_else(noise: bytes) -> None:
    try:
        found = codec.NODE.decode(bytes((codec.SHAPE,)) + noise, "it")
    except errors.Damaged:
        return
    assert isinstance(found, run.NodeRun)


def test_an_unknown_kind_of_event_is_damaged() -> None:
    with pytest.raises(errors.Damaged, match=r"event 3.*node\.danced"):
        codec.decode_event("node.danced", GOOD, "event 3")


@pytest.mark.parametrize("value", [run.NodeRun(id="\ud800"), run.NodeRun(id="a", charged=1 << 70)])
def test_what_cannot_be_written_is_told(value: run.NodeRun) -> None:
    with pytest.raises(errors.Broken, match="NodeRun cannot be written"):
        codec.NODE.encode(value)


def test_a_head_does_not_grow_with_the_flow() -> None:
    small = a_run()
    big = dataclasses.replace(
        small, nodes={str(n): run.NodeRun(id=str(n)) for n in range(1000)}, active=frozenset(map(str, range(1000)))
    )
    assert len(codec.encode_head(big)) == len(codec.encode_head(small))
