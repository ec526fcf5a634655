"""
Where what flows read comes from and who uses what they write, told from the flows alone.

An object is known by the store it is really in, whatever flows call that, and by the template of its key: flows that
name the same one meet there, and so do one that writes and one that reads what may have been written. What only one
run can reach, for its key holds the run's id or chance, is its flow's own. Values of secrets, keys of stores and the
like are no part of it: only their names are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from pupload.domain import graph, params, secret, template
from pupload.domain.flow import DEFAULT_STORE, DataWell, Flow, Node, Store
from pupload.domain.keys import NO_NODE, safe, tells_edges_apart
from pupload.domain.nodedef import NodeDef

OBJECT, CONNECTION, VARIABLE, PROCESSING = "object", "connection", "variable", "processing"
"""The kinds of assets: what lies in a store, a store, a parameter or secret, a node."""

READS, WRITES, FEEDS, USES = "reads", "writes", "feeds", "uses"
"""
The kinds of links, all in the direction of the data: object to node, node to object, node to node (or from a template
to an object that it may have named), and what is used.
"""


@dataclass(frozen=True, slots=True)
class Asset:
    """A thing that data is in, goes through, or depends on."""

    id: str
    kind: str
    name: str
    """What people call it: an object's key template, a store's name, `param.date`, a node's id."""
    flow: str = ""
    """The id of the flow whose own it is; empty for what flows share."""
    store: str = ""
    """Where an object or store really is."""
    uses: str = ""
    """A node's `Publisher/Name`."""


@dataclass(frozen=True, slots=True)
class Link:
    """That data goes from one asset to another, or is used by it."""

    source: str
    target: str
    kind: str
    flow: str
    """The id of the flow that says so; empty where two flows' words fit each other."""
    edge: str = ""
    """Of the flow; empty where it is none."""


@dataclass(frozen=True, slots=True)
class Graph:
    """Assets, and how they hang together."""

    nodes: Sequence[Asset]
    edges: Sequence[Link]


EMPTY = Graph((), ())


# ── Stores ───────────────────────────────────────────────────────────────────────────────────────────────────────

_AWS = re.compile(r"s3[.-](?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?")
_PORTS = {"http": 80, "https": 443}


def place(store: Store, *, default: str = "") -> str:
    """
    Where a flow's store really is: `default` for the server's own, which is at the place `default`, else an endpoint
    and a bucket. Nothing of its keys is in it.
    """
    said = {name.lower(): value.strip() for name, value in store.params.items() if isinstance(value, str)}
    bucket = said.get("bucketname") or said.get("bucket") or ""
    if store.type.lower() == "local":
        return f"local/{bucket}" if bucket else DEFAULT_STORE
    secure = next((value for name, value in store.params.items() if name.lower() == "secure"), True)
    plain = secure is False or str(secure).strip().lower() in ("false", "no", "off", "0")
    there = f"{_endpoint(said.get('endpoint', ''), plain=plain)}/{bucket}"
    return DEFAULT_STORE if default and there == known_place(default) else there


def known_place(text: str) -> str:
    """The place that is written as a URL of an endpoint with a bucket behind it."""
    endpoint, _, bucket = text.rpartition("/")
    return f"{_endpoint(endpoint, plain=False)}/{bucket}"


def _endpoint(text: str, *, plain: bool) -> str:
    """Scheme, host and port in one way of writing; all of AWS is one, for no two of its buckets are called alike."""
    scheme = "http" if plain else "https"
    try:
        parts = urlsplit(text if "://" in text else f"{scheme}://{text}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "unknown"
    if not host or _AWS.fullmatch(host):
        return "https://s3.amazonaws.com"
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != _PORTS.get(parts.scheme) else "")


# ── One flow ─────────────────────────────────────────────────────────────────────────────────────────────────────


def of_flow(flow_id: str, flow: Flow, definitions: Iterable[NodeDef], *, default: str = "") -> Graph:
    """
    What one flow says; `default` is the place of the server's own store.

    Each asset and each link is told once, and an asset before any link of it.
    """
    reading = _Reading(flow_id, flow, {each.uses: each for each in definitions}, default)
    reading.read()
    return Graph(tuple(reading.assets.values()), tuple(reading.links))


class _Reading:
    """A flow being read."""

    def __init__(self, flow_id: str, flow: Flow, definitions: Mapping[str, NodeDef], default: str) -> None:
        self.id = flow_id
        self.flow = flow
        self.definitions = definitions
        self.places = {store.name: place(store, default=default) for store in flow.stores}
        self.stores = {store.name: store for store in flow.stores}
        self.wells = {well.edge: well for well in reversed(flow.wells)}
        self.assets: dict[str, Asset] = {}
        self.links: dict[Link, None] = {}

    def read(self) -> None:
        """All of it."""
        links = graph.links(self.flow)
        makers, takers = graph.producers(self.flow, links), graph.consumers(self.flow, links)
        for node in self.flow.nodes:
            self._node(node)
        for edge in dict.fromkeys((*makers, *takers)):
            made_by, taken_by = makers.get(edge, ()), takers.get(edge, ())
            for maker in made_by:
                for taker in taken_by:
                    self._link(self._proc(maker), self._proc(taker), FEEDS, edge)
            well = self._well(edge, produced=bool(made_by))
            if well is not None:
                self._object(edge, well, made_by, taken_by)

    def _node(self, node: Node) -> None:
        self._asset(Asset(self._proc(node.id), PROCESSING, node.id, flow=self.id, uses=node.uses))
        definition = self.definitions.get(node.uses)
        values = {flag.name: flag.default or "" for flag in definition.flags} if definition else {}
        values |= {flag.name: flag.value for flag in node.flags}
        for value in values.values():
            self._uses(value, self._proc(node.id))
        for name in definition.secrets if definition else ():
            self._link(self._secret(name), self._proc(node.id), USES)

    def _well(self, edge: str, *, produced: bool) -> DataWell | None:
        """What says where the edge's object is, as planning has it; None where nothing does."""
        well, default = self.wells.get(edge), self.flow.default_well
        if well is not None or default is None or not produced:
            return well
        if default.key and tells_edges_apart(default.key):
            return default
        return None if default.store == DEFAULT_STORE else replace(default, key=None)

    def _object(self, edge: str, well: DataWell, made_by: Sequence[str], taken_by: Sequence[str]) -> None:
        there = self._store(well.store)
        key, own = self._key(well, edge, made_by)
        found = f"store:{there}/{key}" + (f"@{self.id}" if own else "")
        self._asset(Asset(found, OBJECT, key, flow=self.id if own else "", store=there))
        nodes = [self._proc(node) for node in made_by or taken_by]
        for node in nodes:
            ends = (node, found) if made_by else (found, node)
            self._link(*ends, WRITES if made_by else READS, edge)
            self._link(f"connection:{there}", node, USES)
            for text in (well.key or "", well.secret or ""):
                self._uses(text, node)

    def _key(self, well: DataWell, edge: str, made_by: Sequence[str]) -> tuple[str, bool]:
        """The template with what the flow itself fills in; and whether no other flow can reach what it names."""
        if well.source == "static":
            return (well.key or "").replace("$", "$$"), False
        text = well.key or f"${{RUN_ID}}/{safe(edge)}"
        known = {
            "FLOW_NAME": safe(self.flow.name),
            "EDGE": safe(edge),
            "NODE_ID": safe(made_by[0] if made_by else NO_NODE),
        }

        def written(name: str) -> str:
            return known.get(name, f"${{{name}}}")

        key = "$$".join(template.substitute(part, written) for part in text.split("$$"))
        return key, not {"RUN_ID", "UUID"}.isdisjoint(template.variables(text))

    def _store(self, name: str) -> str:
        there = self.places.get(name, DEFAULT_STORE)
        connection = f"connection:{there}"
        if connection not in self.assets:
            self._asset(Asset(connection, CONNECTION, DEFAULT_STORE if there == DEFAULT_STORE else name, store=there))
        if (store := self.stores.get(name)) is not None:
            for used in secret.of_store(store.params):
                self._link(self._secret(used), connection, USES)
        return there

    def _uses(self, text: str, target: str) -> None:
        """Whatever the text names is used there."""
        named = [
            name.removeprefix(template.PARAM) for name in template.variables(text) if name.startswith(template.PARAM)
        ]
        for name in dict.fromkeys((*params.named(text), *named)):
            asset = Asset(f"param:{self.id}:{name}", VARIABLE, f"param.{name}", flow=self.id)
            self._link(self._asset(asset), target, USES)
        if (used := secret.named(text)) is not None:
            self._link(self._secret(used), target, USES)

    def _secret(self, name: str) -> str:
        return self._asset(Asset(f"secret:{name}", VARIABLE, secret.label(name)))

    def _proc(self, node: str) -> str:
        return f"proc:{self.id}:{node}"

    def _asset(self, asset: Asset) -> str:
        self.assets.setdefault(asset.id, asset)
        return asset.id

    def _link(self, source: str, target: str, kind: str, edge: str = "") -> None:
        self.links.setdefault(Link(source, target, kind, self.id, edge))


# ── Many flows ───────────────────────────────────────────────────────────────────────────────────────────────────


def joined(graphs: Iterable[Graph]) -> Graph:
    """
    All of them as one: what flows share is there once, as the first has it.

    A flow that takes what was there before names one object, one that writes names a template: between those that fit
    there are links, which no flow says.
    """
    assets: dict[str, Asset] = {}
    links: list[Link] = []
    for each in graphs:
        for asset in each.nodes:
            assets.setdefault(asset.id, asset)
        links += each.edges
    links += _fitting([asset for asset in assets.values() if asset.kind == OBJECT])
    return Graph(tuple(assets.values()), tuple(links))


def around(flow_id: str, whole: Graph) -> Graph:
    """What the flow says, of all that flows say, and who else reads or writes the objects that it does."""
    kinds = {asset.id: asset.kind for asset in whole.nodes}
    own = {end for link in whole.edges if link.flow == flow_id for end in (link.source, link.target)}
    objects = {end for end in own if kinds[end] == OBJECT}
    fits = [link for link in whole.edges if not link.flow and (link.source in objects or link.target in objects)]
    objects.update(end for link in fits for end in (link.source, link.target))
    links = [
        link
        for link in whole.edges
        if link.flow == flow_id or (link.flow and (link.source in objects or link.target in objects))
    ]
    links += fits
    ends = {end for link in links for end in (link.source, link.target)}
    return Graph(tuple(each for each in whole.nodes if each.id in ends or each.flow == flow_id), tuple(links))


_SHAPES = {"DATE": r"\d{4}-\d\d-\d\d", "YEAR": r"\d{4}", "MONTH": r"\d\d", "DAY": r"\d\d"}
"""What stands for these in a key; for others, whatever has no slash in it."""


def _fitting(objects: Sequence[Asset]) -> Iterator[Link]:
    """From each template to the objects without variables, in the same store, that it may have named."""
    templates: dict[tuple[str, str], list[tuple[re.Pattern[str], str]]] = {}
    lengths: dict[str, set[int]] = {}
    for each in objects:
        beginning = template.literals(each.name)[0]
        # A key that begins with chance, or with a run's id, may be any flow's.
        if template.variables(each.name) and (beginning or not each.flow):
            templates.setdefault((each.store, beginning), []).append((_shape(each.name), each.id))
            lengths.setdefault(each.store, set()).add(len(beginning))
    for each in objects:
        if not template.variables(each.name):
            key = each.name.replace("$$", "$")
            for length in sorted(lengths.get(each.store, ())):
                for shape, found in templates.get((each.store, key[:length]), ()) if length <= len(key) else ():
                    if shape.fullmatch(key):
                        yield Link(found, each.id, FEEDS, "")


def _shape(key: str) -> re.Pattern[str]:
    """What keys look like that the template names."""
    marked = template.substitute(key, lambda name: f"\0{name}\0")
    parts = marked.split("\0")
    return re.compile(
        "".join(_SHAPES.get(part, "[^/]*") if place % 2 else re.escape(part) for place, part in enumerate(parts)),
        re.DOTALL,
    )


def named_secrets(flow: Flow, definitions: Iterable[NodeDef]) -> Iterator[str]:
    """The secrets that a flow names, wherever: of stores, wells, flags, callbacks and definitions."""
    for store in flow.stores:
        yield from secret.of_store(store.params)
    texts = [well.secret for well in (*flow.wells, *filter(None, [flow.default_well]))]
    texts += [value for callback in flow.callbacks for value in callback.secrets]
    texts += [flag.value for node in flow.nodes for flag in node.flags]
    used = {node.uses for node in flow.nodes}
    for definition in definitions:
        if definition.uses in used:
            yield from definition.secrets
            texts += [flag.default for flag in definition.flags]
    yield from filter(None, map(secret.named, texts))
