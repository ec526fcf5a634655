"""Rules about the parameters of a flow: those it declares, those it names, and those that a run is given."""

from collections.abc import Iterator
from itertools import chain

from pupload.domain import params, template
from pupload.domain.nodedef import FlagDef
from pupload.domain.validation import flags
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, is_name, shown

KINDS = ("string", "integer", "number", "boolean")
"""What a parameter may be."""


def declared(subject: Subject) -> Iterator[Finding]:
    """Each has a name of its own, a type that we know, and a default that it would take itself."""
    seen: set[str] = set()
    for position, param in enumerate(subject.flow.params):
        reason = "there is another of this name" if param.name in seen else _objection(param, subject)
        if reason:
            yield found("PARAM_001", pointer(FLOW, "Params", position), param=shown(param.name) or '""', reason=reason)
        seen.add(param.name)


def named(subject: Subject) -> Iterator[Finding]:
    """Flags and keys name parameters that there are."""
    known = {param.name for param in subject.flow.params}
    if not known:
        if subject.given is None:
            return  # whoever asks for a run may give anything
        known = set(subject.given)
    for path, where, name in chain(_in_flags(subject), _in_keys(subject)):
        if name not in known:
            yield found("PARAM_002", path, where=where, param=shown(name))


def given(subject: Subject) -> Iterator[Finding]:
    """A run is given what the flow declares: all that must be, nothing else, and values that fit."""
    if subject.given is None or not subject.flow.params:
        return
    known = {param.name: param for param in subject.flow.params}
    for name, value in subject.given.items():
        path = pointer("/Params", name)
        if name not in known:
            yield found("PARAM_003", path, param=shown(name), known=", ".join(map(shown, known)))
        elif reason := flags.unusable(value, subject.limits.max_flag_bytes) or flags.refused(value, known[name]):
            yield found("PARAM_005", path, param=shown(name), value=shown(value), reason=reason)
    for param in subject.flow.params:
        if param.required and param.default is None and param.name not in subject.given:
            yield found("PARAM_004", "/Params", param=shown(param.name))


RULES = (declared, named, given)


def _objection(param: FlagDef, subject: Subject) -> str:
    if not is_name(param.name):
        return "a name has letters, digits, '.', '_' and '-' only"
    if flags.kind_of(param) not in KINDS:
        return f"its type is {shown(param.type)}; there are {', '.join(KINDS)}"
    if param.default is None:
        return ""
    wrong = flags.unusable(param.default, subject.limits.max_flag_bytes) or flags.refused(param.default, param)
    return f"its default is {shown(param.default)}, but {wrong}" if wrong else ""


def _in_flags(subject: Subject) -> Iterator[tuple[str, str, str]]:
    """Pointer, words and name of each parameter that stands in a flag still: those with a value are filled in."""
    for path, node in subject.nodes:
        for index, flag in enumerate(node.flags):
            for name in params.named(flag.value):
                yield pointer(path, "Flags", index, "Value"), f"Flag {shown(flag.name)} of node {shown(node.id)}", name


def _in_keys(subject: Subject) -> Iterator[tuple[str, str, str]]:
    wells = [(pointer(FLOW, "DataWells", position), well) for position, well in enumerate(subject.flow.wells)]
    if subject.flow.default_well is not None:
        wells.append((pointer(FLOW, "DefaultDataWell"), subject.flow.default_well))
    for path, well in wells:
        for variable in template.variables(well.key or "") if well.source != "static" else ():
            if variable.startswith(template.PARAM):
                where = f"The key of edge {shown(well.edge) or '(default)'}"
                yield pointer(path, "Key"), where, variable.removeprefix(template.PARAM)
