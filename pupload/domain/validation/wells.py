"""Rules about data wells: where objects come from, and where they are kept."""

from collections.abc import Iterator

from pupload.domain import duration, graph, keys, saved, template
from pupload.domain.flow import SOURCES, DataWell
from pupload.domain.validation import edges
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown, utf8_length

CONSTANT = frozenset({"FLOW_NAME", "EDGE", "NODE_ID"})
"""Variables that have the same value in every run of a flow."""

_LONGEST_KEY = 1024
_SAMPLE = {"RUN_ID": "r" * 30, "UUID": "u" * 36, "TIMESTAMP": "t" * 20, "DATE": "d" * 10, "YEAR": "2026"}


def source(subject: Subject) -> Iterator[Finding]:
    """A well's source is one we know."""
    for path, well in _wells(subject):
        if well.source is not None and well.source not in SOURCES:
            yield found("WELL_001", pointer(path, "Source"), source=shown(well.source), edge=shown(well.edge))


def edge(subject: Subject) -> Iterator[Finding]:
    """A well describes an edge that some node is bound to."""
    for path, well in _wells(subject):
        if well.edge not in subject.producers and well.edge not in subject.consumers:
            yield found("WELL_002", pointer(path, "Edge"), edge=shown(well.edge))


def one_each(subject: Subject) -> Iterator[Finding]:
    """At most one well describes an edge."""
    seen: set[str] = set()
    for path, well in _wells(subject):
        if well.edge in seen:
            yield found("WELL_003", pointer(path, "Edge"), edge=shown(well.edge))
        seen.add(well.edge)


def store(subject: Subject) -> Iterator[Finding]:
    """A well names a store that exists."""
    for path, well in _wells(subject):
        if well.store not in subject.stores:
            yield found("WELL_004", pointer(path, "Store"), store=shown(well.store))


def key_variables(subject: Subject) -> Iterator[Finding]:
    """A key names variables that exist; that of a static well none at all."""
    for path, well in _all_wells(subject):
        for variable in template.variables(well.key or ""):
            at = pointer(path, "Key")
            if well.source == "static" and path != _DEFAULT:
                yield found("WELL_007", at, edge=shown(well.edge), variable=shown(variable))
            elif not template.known_in_key(variable):
                yield found("WELL_005", at, edge=_edge(path, well), variable=shown(variable))


def other_flow(subject: Subject) -> Iterator[Finding]:
    """A well that waits for a run names a flow, and no other well does."""
    for path, well in _wells(subject):
        edge = shown(well.edge)
        if well.source != "run":
            for field, value in (("Flow", well.flow), ("Input", well.given)):
                if value:
                    yield found("WELL_015", pointer(path, field), field=field, edge=edge)
        elif not well.flow:
            yield found("WELL_014", path, edge=edge, reason="it names no Flow")
        elif saved.canonical_id(well.flow) is None and (objection := saved.objection(*saved.split(well.flow))):
            yield found("WELL_014", pointer(path, "Flow"), edge=edge, reason=objection)


def other_flows_input(subject: Subject) -> Iterator[Finding]:
    """What a run of another flow is given is one file, and not made of its own result."""
    runs = graph.given(subject.flow)
    for path, well in _wells(subject) if runs else ():
        if (given := runs.get(well.edge)) is None:
            continue
        reason = edges.bad_name(given)
        if well.edge == given or any(runs.get(one) == well.edge for one in graph.behind(well.edge, runs)):
            reason = "it is made of the result"
        elif _is_collection(subject, given):
            reason = "a collection lies there"
        elif given not in subject.producers and _is_kept_only(subject, given):
            reason = "nothing comes there"
        if reason:
            yield found("WELL_016", pointer(path, "Input"), input=shown(given), edge=shown(well.edge), reason=reason)


def static_key(subject: Subject) -> Iterator[Finding]:
    """A static well names its object."""
    for path, well in _wells(subject):
        if well.source == "static" and not well.key:
            yield found("WELL_006", path, edge=shown(well.edge))


def fixed_key(subject: Subject) -> Iterator[Finding]:
    """A key differs from run to run, unless the object is there beforehand."""
    for path, well in _wells(subject):
        if well.source == "static" or not well.key or not CONSTANT.issuperset(template.variables(well.key)):
            continue
        at, facts = pointer(path, "Key"), {"edge": shown(well.edge), "key": shown(well.key)}
        if well.source is None:
            yield found("WELL_009", at, **facts)
        elif well.source in SOURCES:
            yield found("WELL_008", at, source=well.source, **facts)


def lifetime(subject: Subject) -> Iterator[Finding]:
    """A lifetime is a duration above zero."""
    for path, well in _all_wells(subject):
        if well.lifetime is None:
            continue
        try:
            duration.positive(well.lifetime)
        except ValueError as error:
            yield found(
                "WELL_010",
                pointer(path, "Lifetime"),
                lifetime=shown(well.lifetime),
                edge=_edge(path, well),
                reason=error,
            )


def key_shape(subject: Subject) -> Iterator[Finding]:
    """A key stays in its place and fits a store."""
    for path, well in _all_wells(subject):
        if well.key and (reason := _bad_key(subject, well)):
            yield found("WELL_011", pointer(path, "Key"), edge=_edge(path, well), reason=reason)


def default_well(subject: Subject) -> Iterator[Finding]:
    """DefaultDataWell says nothing that could be meant for one edge only."""
    well = subject.flow.default_well
    if well is None:
        return
    for field, value in (("Edge", well.edge), ("Source", well.source)):
        if value:
            yield found("WELL_012", pointer(_DEFAULT, field), field=field, reason="it is for whatever nodes produce")
    if well.key and not keys.tells_edges_apart(well.key):
        yield found("WELL_012", pointer(_DEFAULT, "Key"), field="Key", reason="it is the same for all edges")
    elif well.key and CONSTANT.issuperset(template.variables(well.key)):
        yield found("WELL_009", pointer(_DEFAULT, "Key"), edge=_edge(_DEFAULT, well), key=shown(well.key))


def same_key(subject: Subject) -> Iterator[Finding]:
    """Two wells of a flow do not write to one object."""
    first: dict[tuple[str, str], DataWell] = {}
    for path, well in _wells(subject):
        if not well.key or well.source == "static" or "UUID" in template.variables(well.key):
            continue
        key = _within_run(subject, well.key, well.edge)
        other = first.setdefault((well.store, key), well)
        if other is not well and other.edge != well.edge:
            yield found(
                "WELL_013",
                pointer(path, "Key"),
                first=shown(other.edge),
                second=shown(well.edge),
                key=shown(well.key),
                store=shown(well.store),
            )


RULES = (
    source,
    edge,
    one_each,
    store,
    key_variables,
    other_flow,
    other_flows_input,
    static_key,
    fixed_key,
    lifetime,
    key_shape,
    default_well,
    same_key,
)

_DEFAULT = pointer(FLOW, "DefaultDataWell")


def _wells(subject: Subject) -> Iterator[tuple[str, DataWell]]:
    return ((pointer(FLOW, "DataWells", position), well) for position, well in enumerate(subject.flow.wells))


def _all_wells(subject: Subject) -> Iterator[tuple[str, DataWell]]:
    """The wells, and DefaultDataWell where there is one."""
    yield from _wells(subject)
    if subject.flow.default_well is not None:
        yield _DEFAULT, subject.flow.default_well


def _is_collection(subject: Subject, edge: str) -> bool:
    """Whether many files lie on the edge, as far as its producer tells."""
    for _, node, binding in subject.outputs:
        if binding.edge == edge:
            use = subject.uses.get(node.uses)
            port = use.outputs.get(binding.name) if use else None
            return node.for_each is not None or (port is not None and port.many)
    return False


def _is_kept_only(subject: Subject, edge: str) -> bool:
    """Whether its well says where it is kept, and not where it comes from."""
    well = subject.wells.get(edge)
    return well is not None and well.source is None


def _edge(path: str, well: DataWell) -> str:
    """What a sentence calls the well's edge."""
    return "(default)" if path == _DEFAULT else shown(well.edge)


def _within_run(subject: Subject, key: str, edge: str) -> str:
    """The key with what differs between the edges of a run put in, and all else left as it is."""
    known = {"EDGE": edge, "NODE_ID": next(iter(subject.producers.get(edge, ())), "")}
    return template.substitute(key, lambda name: known.get(name, f"${{{name}}}"))


def _bad_key(subject: Subject, well: DataWell) -> str:
    """Why a key cannot be used; empty when it can."""
    key = well.key or ""
    parts = (key,) if well.source == "static" else template.literals(key)
    if not all(part.isprintable() for part in parts):
        return "it holds characters that cannot be printed"
    values = {**_SAMPLE, "FLOW_NAME": keys.safe(subject.flow.name), "EDGE": keys.safe(well.edge)}
    sample = key if well.source == "static" else template.substitute(key, lambda name: values.get(name, "variable"))
    if sample.startswith("/"):
        return "it begins with a slash"
    if not {".", ".."}.isdisjoint(sample.split("/")):
        return "it has a segment '.' or '..'"
    if utf8_length(sample) > _LONGEST_KEY:
        return f"it is longer than {_LONGEST_KEY} bytes"
    return ""
