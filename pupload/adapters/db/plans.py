"""
Plans as bytes and back, those of large flows a piece at a time.

msgspec writes or reads a value in one go, and Python lets nobody else go on meanwhile: not the event loop either, in
whatever thread it is done. A plan of a hundred thousand nodes takes a good part of a second. So its nodes and edges
are written and read some hundred at a time. The bytes are the same either way.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from functools import partial
from itertools import islice
from typing import Any, get_type_hints

import msgspec

from pupload.adapters.db import codec
from pupload.domain import flow, plan

LARGE_NODES, LARGE_BYTES = 1000, 1_000_000
"""From here on in pieces; a little below it takes some milliseconds."""

AT_ONCE = 200
"""Nodes or edges in a piece; more than what fits a short header, and fewer than what needs a long one."""

Put = Callable[[Any, bytearray], None]


class Plans(codec.Record[plan.Plan]):
    """As any record, for plans."""

    def _put(self, value: plan.Plan, blob: bytearray) -> None:
        if len(value.nodes) < LARGE_NODES:
            super()._put(value, blob)
            return
        _put_fields(value, blob, flow=partial(_put_fields, nodes=_put_sequence), nodes=_put_mapping, edges=_put_mapping)

    def _read(self, message: memoryview) -> plan.Plan:
        if len(message) < LARGE_BYTES:
            return super()._read(message)
        rough: Any = _PLAN.decode(message)
        facts = msgspec.structs.asdict(rough)
        about = msgspec.structs.asdict(_FLOW.decode(rough.flow))
        about["nodes"] = tuple(_read_all(_STEP, about["nodes"]))
        facts["flow"] = flow.Flow(**about)
        facts["nodes"] = dict(zip(rough.nodes, _read_all(_NODE, rough.nodes.values()), strict=True))
        facts["edges"] = dict(zip(rough.edges, _read_all(_EDGE, rough.edges.values()), strict=True))
        return plan.Plan(**facts)


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _put_fields(value: Any, blob: bytearray, **otherwise: Put) -> None:
    """The value of a dataclass; of the fields that are named, as they say."""
    every = [each.name for each in fields(value)]
    blob += _header(0x80, len(every))
    for name in every:
        blob += codec.pack(name)
        put = otherwise.get(name)
        if put is None:
            blob += codec.pack(getattr(value, name))
        else:
            put(getattr(value, name), blob)


def _put_mapping(value: Mapping[str, Any], blob: bytearray) -> None:
    blob += _header(0x80, len(value))
    for some in _pieces(value.items()):
        blob += memoryview(codec.pack(dict(some)))[len(_header(0x80, len(some))) :]


def _put_sequence(value: Collection[Any], blob: bytearray) -> None:
    blob += _header(0x90, len(value))
    for some in _pieces(value):
        blob += memoryview(codec.pack(some))[len(_header(0x90, len(some))) :]


def _header(kind: int, size: int) -> bytes:
    """How MessagePack begins a mapping (0x80) or a sequence (0x90) of so many."""
    if size < 16:
        return bytes((kind | size,))
    long = {0x80: 0xDE, 0x90: 0xDC}[kind]
    return bytes((long,)) + size.to_bytes(2) if size < 1 << 16 else bytes((long + 1,)) + size.to_bytes(4)


def _pieces(values: Iterable[Any]) -> Iterator[list[Any]]:
    left = iter(values)
    while some := [*islice(left, AT_ONCE)]:
        yield some


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _rough(kind: type, **otherwise: Any) -> "msgspec.msgpack.Decoder[Any]":
    """Reads values of the dataclass as structs, the fields that are named as that, and all else as it does."""
    hints = get_type_hints(kind)
    shapes: list[Any] = []
    for each in fields(kind):
        made = each.default_factory is not MISSING
        default: Any = msgspec.field(default_factory=each.default_factory) if made else each.default  # type: ignore[arg-type]
        shape = (each.name, otherwise.get(each.name, hints[each.name]))
        shapes.append(shape if default is MISSING else (*shape, default))
    return msgspec.msgpack.Decoder(msgspec.defstruct(f"Rough{kind.__name__}", shapes, kw_only=True))


_PLAN = _rough(plan.Plan, flow=msgspec.Raw, nodes=dict[str, msgspec.Raw], edges=dict[str, msgspec.Raw])
_FLOW = _rough(flow.Flow, nodes=tuple[msgspec.Raw, ...])
_STEP = msgspec.msgpack.Decoder(flow.Node)
_NODE = msgspec.msgpack.Decoder(plan.NodePlan)
_EDGE = msgspec.msgpack.Decoder(plan.EdgePlan)


def _read_all(decoder: "msgspec.msgpack.Decoder[Any]", raw: Iterable[msgspec.Raw]) -> Iterator[Any]:
    for one in raw:  # a loop of Python's: between its rounds others may go on, in `map` they could not
        yield decoder.decode(one)


PLAN = Plans(plan.Plan)
