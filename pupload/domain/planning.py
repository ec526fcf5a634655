"""
From a valid flow to a plan: every name looked up, every default filled in, every key written out.

Chance and the time come in as arguments: the same arguments make the same plan. What makes a flow valid is not asked
here but in `pupload.domain.validation`; of two definitions or wells for the same thing the first is taken.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pupload.domain import (
    branches,
    command,
    duration,
    facts,
    graph,
    handlers,
    knowledge,
    mime,
    nodedef,
    plan,
    references,
    secret,
    tiers,
    values,
)
from pupload.domain.flow import DEFAULT_STORE, Binding, DataWell, Flow, Node
from pupload.domain.keys import Keys, tells_edges_apart
from pupload.domain.policy import capability_name
from pupload.domain.validation.limits import Limits

DAY_SECONDS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    """What all nodes of one definition have in common."""

    definition: nodedef.NodeDef
    plain: plan.NodePlan
    """A node of it that binds and sets nothing, without an id."""
    timeout_seconds: float | None
    """What the definition itself says."""
    inputs: Mapping[str, plan.PortPlan]
    outputs: Mapping[str, plan.PortPlan]
    defaults: Mapping[str, str]
    chooses: bool
    """Whether a flag chooses the image."""


def make_plan(
    flow: Flow,
    definitions: Sequence[nodedef.NodeDef],
    *,
    run_id: str,
    now: datetime,
    tokens: Callable[[], str],
    limits: Limits | None = None,
    upload_seconds: float = DAY_SECONDS,
    queue_seconds: float = DAY_SECONDS,
    default_timeout_seconds: float = nodedef.DEFAULT_TIMEOUT_SECONDS,
    mishaps: int = 10,
    params: Mapping[str, str] | None = None,
    warnings: Sequence[str] = (),
    provenance: plan.Provenance | None = None,
    labels: Mapping[str, str] | None = None,
    priority: int | None = None,
    account: int | None = None,
    parent: plan.Parent | None = None,
    followed: bool = False,
) -> plan.Plan:
    """
    What will run. `flow` has no errors (`validation.validate` found none under the same `limits`).

    `tokens` gives text that nobody can guess, new with every call; `params` are what keys may name as `param.<name>`
    (the flow's flags are filled with them already, see `pupload.domain.params`);
    `warnings` are for whoever looks at the run, such as those that validation found; `account` is whose it is,
    `parent` on whose behalf it is. It is `followed` where the flow or the parent calls for that, too.
    """
    limits = limits or Limits()
    keys = Keys(run_id=run_id, flow_name=flow.name, now=now, tokens=tokens, params=params or {})
    types = _types(flow, definitions, limits, default_timeout_seconds)
    nodes = {node.id: _node(node, types[node.uses]) for node in flow.nodes}
    collections = _collections(flow, nodes)
    return plan.Plan(
        flow=flow,
        nodes=nodes | _with_each(flow, nodes, collections, limits),
        edges=branches.with_values(_edges(flow, keys, collections), nodes),
        stores={store.name: replace(store, account=account) for store in reversed(flow.stores)},
        timeout_seconds=duration.seconds(flow.timeout) if flow.timeout else limits.policy.flow_seconds,
        upload_seconds=upload_seconds,
        queue_seconds=queue_seconds,
        mishaps=mishaps,
        warnings=tuple(warnings),
        params=params or {},
        handlers=handlers.of(flow),
        conditional=any(node.when for node in flow.nodes),
        definitions=tuple([nodedef.bare(kind.definition) for kind in types.values()]),
        provenance=provenance,
        labels=labels or {},
        priority=flow.priority if priority is None else priority,
        account=account,
        parent=parent,
        followed=followed or parent is not None or bool(flow.on_error) or _has_consequences(flow, nodes),
    )


def _has_consequences(flow: Flow, nodes: Mapping[str, plan.NodePlan]) -> bool:
    """Whether any of its wells is given what comes of something else than an upload, or a node tells facts."""
    waits = any(well.source in (plan.Origin.RUN, plan.Origin.FACTS) for well in flow.wells)
    return waits or any(port.types == (knowledge.MEDIA,) for node in nodes.values() for port in node.outputs)


# ── Nodes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _types(
    flow: Flow, definitions: Sequence[nodedef.NodeDef], limits: Limits, default_timeout_seconds: float
) -> dict[str, _Type]:
    """What is needed of the definitions in use, by `Publisher/Name`."""
    used = {node.uses for node in flow.nodes}
    found: dict[str, _Type] = {}
    for definition in definitions:
        if definition.uses in used and definition.uses not in found:
            found[definition.uses] = _type(definition, limits, default_timeout_seconds)
    return found


def _type(definition: nodedef.NodeDef, limits: Limits, default_timeout_seconds: float) -> _Type:
    wanted = limits.tier(definition.tier or nodedef.DEFAULT_TIER)
    assert wanted is not None, f"{definition.uses} has no valid tier"
    tier = tiers.clamped(wanted, limits.capacity) if limits.clamp and limits.capacity else wanted
    timeout_seconds = duration.seconds(definition.timeout) if definition.timeout else None
    defaults = {flag.name: flag.default for flag in definition.flags if flag.default is not None}
    plain = plan.NodePlan(
        id="",
        uses=definition.uses,
        image=references.image_of(definition, defaults),
        tier=tier,
        command=command.split(definition.command.exec),
        entrypoint=definition.command.entrypoint,
        max_attempts=definition.max_attempts if definition.max_attempts > 0 else nodedef.DEFAULT_MAX_ATTEMPTS,
        retry=_retry(definition.retry, tier, limits),
        timeout_seconds=default_timeout_seconds if timeout_seconds is None else timeout_seconds,
        user=definition.user,
        network=definition.network or "none",
        capabilities=tuple(dict.fromkeys(map(capability_name, definition.capabilities))),
        devices=tuple(dict.fromkeys(definition.devices)),
        transfer=definition.transfer or "files",
        progress=definition.progress,
        memoize=definition.memoize,
    )
    return _Type(
        definition=definition,
        plain=_with_flags(plain, definition, defaults),
        timeout_seconds=timeout_seconds,
        inputs={port.name: _port(port) for port in reversed(definition.inputs)},
        outputs={port.name: _port(port) for port in reversed(definition.outputs)},
        defaults=defaults,
        chooses=references.flag_of(definition.image) is not None,
    )


def _retry(retry: nodedef.Retry, tier: tiers.Tier, limits: Limits) -> plan.RetryPlan:
    plain = plan.RetryPlan()
    return plan.RetryPlan(
        delay_seconds=duration.seconds(retry.delay) if retry.delay else plain.delay_seconds,
        max_seconds=duration.seconds(retry.max) if retry.max else plain.max_seconds,
        on_exit_codes=retry.on_exit_codes,
        never_on_exit_codes=retry.never_on_exit_codes,
        more_memory=_ladder(tier, limits) if retry.more_memory else (),
    )


def _ladder(tier: tiers.Tier, limits: Limits) -> tuple[tiers.Tier, ...]:
    """The tiers to climb that this deployment can hold; where it clamps, the last is all that the machine has."""
    steps: list[tiers.Tier] = []
    for step in tiers.larger(tier, limits.tiers):
        if limits.capacity and limits.clamp:
            step = tiers.clamped(step, limits.capacity)  # noqa: PLW2901 (the same step, as it is here)
        if limits.policy.tier_objection(step):
            break
        if limits.capacity and not tiers.fits(step, limits.capacity, overcommit_cpu=limits.overcommit_cpu):
            break
        if step.memory_bytes > (steps[-1] if steps else tier).memory_bytes:
            steps.append(step)
    return tuple(steps)


def _port(port: nodedef.Port) -> plan.PortPlan:
    """The port, not bound yet. One that does not say is needed once it is bound."""
    return plan.PortPlan(
        port=port.name,
        edge="",
        types=port.types,
        required=port.required is not False,
        many=port.many,
        extension=_extension(port),
        limits=_limits(port),
    )


def _limits(port: nodedef.Port) -> facts.Limits | None:
    """None where the port sets none: most do not, and a plan has many ports."""
    limits = facts.Limits(
        max_bytes=port.max_bytes,
        max_pixels=port.max_pixels,
        max_media_seconds=None if port.max_duration is None else duration.seconds(port.max_duration),
        max_ratio=port.max_ratio,
        max_pages=port.max_pages,
    )
    return None if limits == facts.UNLIMITED else limits


def _extension(port: nodedef.Port) -> str:
    return mime.extension(port.types[0]) if len(port.types) == 1 and not port.many else ""


_UNDECLARED = plan.PortPlan(port="", edge="")
"""A port that takes or gives anything."""


def _bound(bindings: Sequence[Binding], ports: Mapping[str, plan.PortPlan]) -> tuple[plan.PortPlan, ...]:
    """The ports of a node with their edges."""
    return tuple([_bind(ports.get(each.name, _UNDECLARED), each.name, each.edge) for each in bindings])


_bind = values.changer(plan.PortPlan, "port", "edge")
_at = values.changer(plan.NodePlan, "id", "inputs", "outputs")
"""What is done for every node of a flow."""


def _node(node: Node, kind: _Type) -> plan.NodePlan:
    planned = _at(kind.plain, node.id, _bound(node.inputs, kind.inputs), _bound(node.outputs, kind.outputs))
    if node.flags:
        flags = {**kind.defaults, **{flag.name: flag.value for flag in reversed(node.flags)}}
        planned = _with_flags(planned, kind.definition, flags)
        if kind.chooses:
            planned = values.replace(planned, image=references.image_of(kind.definition, flags))
    if node.max_attempts > 0:
        planned = values.replace(planned, max_attempts=node.max_attempts)
    if not node.memoize:
        planned = values.replace(planned, memoize=False)
    if node.when or node.runs:
        planned = values.replace(planned, when=node.when or "", runs=node.runs)
    if node.timeout:
        seconds = duration.seconds(node.timeout)
        seconds = seconds if kind.timeout_seconds is None else min(seconds, kind.timeout_seconds)
        planned = values.replace(planned, timeout_seconds=seconds)
    return planned


def _with_flags(node: plan.NodePlan, definition: nodedef.NodeDef, flags: Mapping[str, str]) -> plan.NodePlan:
    """The node with these flags, and the secrets that they and the definition name."""
    named = (name for value in flags.values() if (name := secret.named(value)) is not None)
    return values.replace(
        node,
        flags={flag: _path_of_secret(value) for flag, value in flags.items()},
        secrets=tuple(dict.fromkeys((*definition.secrets, *named))),
    )


def _path_of_secret(value: str) -> str:
    """What a flag becomes that names a secret; others stay as they are."""
    name = secret.named(value)
    return value if name is None else secret.path_of(name)


def _collections(flow: Flow, nodes: Mapping[str, plan.NodePlan]) -> set[str]:
    """The edges on which a collection lies."""
    found = {port.edge for node in nodes.values() for port in node.outputs if port.many}
    return found.union(binding.edge for node in flow.nodes if node.for_each for binding in node.outputs)


def _with_each(
    flow: Flow, nodes: Mapping[str, plan.NodePlan], collections: set[str], limits: Limits
) -> dict[str, plan.NodePlan]:
    """The nodes that run for each item, which say so."""
    found = {}
    for node in flow.nodes:
        if (asked := node.for_each) is not None:
            edge = next(binding.edge for binding in node.inputs if binding.name == asked.input)
            each = plan.Each(
                port=asked.input,
                edge=edge,
                collection=edge in collections,
                concurrency=asked.concurrency,
                max_items=limits.max_items if asked.max_items is None else min(asked.max_items, limits.max_items),
                keep=asked.partial_failure == "Keep",
            )
            found[node.id] = values.replace(nodes[node.id], each=each)
    return found


# ── Edges ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _edges(flow: Flow, keys: Keys, collections: set[str]) -> dict[str, plan.EdgePlan]:
    """All edges that a node is bound to, in the order in which the flow names them."""
    links = graph.links(flow)
    producers = graph.producers(flow, links)
    consumers = handlers.left_out(graph.consumers(flow, links), handlers.of(flow))
    wells = {well.edge: well for well in reversed(flow.wells)}
    edges = {
        name: _edge(
            name,
            keys,
            producer=producers[name][0] if name in producers else None,
            consumers=consumers.get(name, ()),
            well=wells.get(name),
            default=flow.default_well,
        )
        for name in [*_edge_names(flow.nodes), *_edges_between_runs(flow)]
    }
    for name in collections:
        edges[name] = values.replace(edges[name], collection=True)
    for well in wells.values():
        if well.source == plan.Origin.RUN and well.edge in edges:
            edges[well.edge] = values.replace(edges[well.edge], flow=well.flow, given=well.given)
    return edges


def _edge_names(nodes: Iterable[Node]) -> dict[str, None]:
    return {binding.edge: None for node in nodes for those in (node.inputs, node.outputs) for binding in those}


def _edges_between_runs(flow: Flow) -> dict[str, None]:
    """Those that runs of other flows are given, and no node is bound to."""
    runs = graph.given(flow)
    bound = _edge_names(flow.nodes) if runs else {}
    there = {name: None for edge in runs if edge in bound for name in graph.behind(edge, runs)}
    return {name: None for name in there if name not in bound}


_BETWEEN = plan.EdgePlan(name="", origin=plan.Origin.NODE, store=DEFAULT_STORE, key="")
"""What most edges of a large flow are: from node to node, and no well says more."""

_from = values.changer(plan.EdgePlan, "name", "key", "producer", "consumers", "intermediate")


def _edge(
    name: str,
    keys: Keys,
    *,
    producer: str | None,
    consumers: tuple[str, ...],
    well: DataWell | None,
    default: DataWell | None,
) -> plan.EdgePlan:
    if producer is not None and well is None and default is None:
        return _from(_BETWEEN, name, keys.default(name), producer, consumers, bool(consumers))
    origin = plan.Origin.NODE if producer is not None else plan.Origin((well and well.source) or plan.Origin.UPLOAD)
    intermediate = producer is not None and bool(consumers) and well is None
    if well is None and producer is not None and default is not None:
        well = default
    lifetime = well.lifetime if well and not (intermediate and well is default) else None
    return plan.EdgePlan(
        name=name,
        origin=origin,
        store=well.store if well else DEFAULT_STORE,
        key=_key(keys, origin, well, edge=name, producer=producer, default=default),
        upload_key="" if origin in (plan.Origin.NODE, plan.Origin.STATIC) else keys.upload(name),
        producer=producer,
        consumers=consumers,
        lifetime_seconds=duration.seconds(lifetime) if lifetime else None,
        intermediate=intermediate,
        secret=(well.secret or "") if well else "",
    )


def _key(
    keys: Keys,
    origin: plan.Origin,
    well: DataWell | None,
    *,
    edge: str,
    producer: str | None,
    default: DataWell | None,
) -> str:
    if well is None or not well.key or (well is default and not tells_edges_apart(well.key)):
        return keys.default(edge)
    if origin is plan.Origin.STATIC:
        return well.key
    return keys.expanded(well.key, edge=edge, node=producer)
