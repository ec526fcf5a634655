"""
Rules about node definitions.

Only those that the flow uses are judged: a project or catalogue may hold others that are not ready.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from pupload.domain import command, duration, mime, nodedef, tiers
from pupload.domain.masking import MASK
from pupload.domain.nodedef import FlagDef, Port
from pupload.domain.policyfile import FORBIDDEN_NETWORKS, NETWORK
from pupload.domain.validation import flags
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.limits import PROGRESS, TRANSFERS
from pupload.domain.validation.subject import Subject, Use, is_name, shown

_USER = re.compile(r"[0-9]{1,10}(?::[0-9]{1,10})?")
_LARGEST_ID = 2**32 - 2

MOST_ATTEMPTS = 100
"""A node that failed so often of itself does not succeed; every attempt is kept in its run."""

_PREFIXES = {"input": "INPUT_", "output": "OUTPUT_", "flag": "FLAG_"}


def duplicates(subject: Subject) -> Iterator[Finding]:
    """A Publisher/Name is defined once."""
    seen: set[str] = set()
    for definition, path in zip(subject.definitions, subject.paths, strict=True):
        if definition.uses in seen:
            yield found("NODE_012", pointer(path, "Name"), uses=shown(definition.uses))
        seen.add(definition.uses)


def tier(subject: Subject) -> Iterator[Finding]:
    """A tier is one we know, and some machine can hold it."""
    limits = subject.limits
    for use in subject.uses.values():
        name, node = use.definition.tier or nodedef.DEFAULT_TIER, shown(use.nodes[0].id)
        wanted = limits.tier(name)
        if wanted is None:
            yield found("NODE_004", use.at("Tier"), node=node, tier=shown(name))
        elif limits.capacity is not None:
            given = tiers.clamped(wanted, limits.capacity) if limits.clamp else wanted
            lacking = tiers.lacking(given, limits.capacity, overcommit_cpu=limits.overcommit_cpu)
            facts = {"node": node, "tier": shown(name)}
            if lacking:
                yield found("NODE_014", use.at("Tier"), lacking=" and ".join(lacking), **facts)
            elif given != wanted:
                lacking = tiers.lacking(wanted, limits.capacity)
                yield found("WARN_003", use.at("Tier"), lacking=" and ".join(lacking), **facts)


def exec_(subject: Subject) -> Iterator[Finding]:
    """A command can be split, and names what there is."""
    for use in subject.uses.values():
        definition, at = use.definition, use.at("Command", "Exec")
        try:
            arguments = command.split(definition.command.exec)
        except ValueError as error:
            yield found("NODE_020", at, uses=shown(definition.uses), reason=error)
            continue
        reasons = (flags.unusable(argument, subject.limits.max_flag_bytes) for argument in arguments)
        if reason := next(filter(None, reasons), ""):
            yield found("NODE_020", at, uses=shown(definition.uses), reason=reason)
        if not definition.command.entrypoint and not arguments:
            reason = "Entrypoint is false, and Exec names no program"
            yield found("NODE_020", at, uses=shown(definition.uses), reason=reason)
        known = {*use.inputs, *use.outputs, *use.flags}
        if use.inputs and use.outputs and use.flags:
            for variable in command.variables(arguments):
                if variable not in known:
                    yield found("NODE_021", at, uses=shown(definition.uses), variable=shown(variable))


def retry(subject: Subject) -> Iterator[Finding]:
    """There is an end to trying; pauses are durations, exit codes are possible ones."""
    for use in subject.uses.values():
        attempts = use.definition.max_attempts
        if not 0 <= attempts <= MOST_ATTEMPTS:
            reason = f"MaxAttempts is {attempts}; 1 to {MOST_ATTEMPTS} are possible"
            yield found("NODE_017", use.at("MaxAttempts"), uses=shown(use.definition.uses), reason=reason)
        for field, reason in _retry_faults(use.definition.retry):
            yield found("NODE_017", use.at("Retry", field), uses=shown(use.definition.uses), reason=reason)


def timeout(subject: Subject) -> Iterator[Finding]:
    """A definition's timeout is a duration above zero."""
    for use in subject.uses.values():
        text = use.definition.timeout
        if text is not None and (reason := _bad_duration(text, duration.positive)):
            who = f"Definition {shown(use.definition.uses)}"
            yield found("NODE_016", use.at("Timeout"), subject=who, timeout=shown(text), reason=reason)


def network(subject: Subject) -> Iterator[Finding]:
    """A network is a name that an engine's network can have, and not the machine's own or another container's."""
    for use in subject.uses.values():
        name = use.definition.network
        if name and (name.lower() in FORBIDDEN_NETWORKS or not NETWORK.fullmatch(name)):
            facts = {"uses": shown(use.definition.uses), "network": shown(name)}
            reason = "possible are none, bridge, and networks that the operator made"
            yield found("NODE_018", use.at("Network"), reason=reason, **facts)


def transfer(subject: Subject) -> Iterator[Finding]:
    """A way of transfer is one we know and the container can use."""
    for use in subject.uses.values():
        name = use.definition.transfer
        facts = {"uses": shown(use.definition.uses), "transfer": shown(name)}
        if name and name not in TRANSFERS:
            yield found("NODE_019", use.at("Transfer"), reason=f"possible are {' and '.join(TRANSFERS)}", **facts)
        elif name == "urls" and use.definition.network in ("", "none"):
            reason = "URLs are of no use without a Network such as bridge"
            yield found("NODE_019", use.at("Transfer"), reason=reason, **facts)


def many(subject: Subject) -> Iterator[Finding]:
    """Collections are directories of files: no URL is for one."""
    for use in subject.uses.values():
        if use.definition.transfer != "urls":
            continue
        for field, ports in (("Inputs", use.definition.inputs), ("Outputs", use.definition.outputs)):
            for position, port in enumerate(ports):
                if port.many:
                    facts = {"uses": shown(use.definition.uses), "port": shown(port.name)}
                    yield found("NODE_028", use.at(field, position, "Many"), **facts)


def user(subject: Subject) -> Iterator[Finding]:
    """A user is told in numbers."""
    for use in subject.uses.values():
        text = use.definition.user
        if text and not (_USER.fullmatch(text) and all(int(part) <= _LARGEST_ID for part in text.split(":"))):
            yield found("NODE_026", use.at("User"), uses=shown(use.definition.uses), user=shown(text))


def progress(subject: Subject) -> Iterator[Finding]:
    """A parser of progress is one we have."""
    for use in subject.uses.values():
        name = use.definition.progress
        if name and name not in PROGRESS:
            yield found("NODE_027", use.at("Progress"), uses=shown(use.definition.uses), progress=shown(name))


def names(subject: Subject) -> Iterator[Finding]:
    """Ports and flags have names for files and variables, each its own."""
    for use in subject.uses.values():
        for field, kind, items in _declared(use):
            earlier: dict[tuple[str, str], str] = {}
            for index, item in enumerate(items):
                facts = {"kind": kind, "name": shown(item.name) or '""'}
                at = use.at(field, index, "Name")
                if not is_name(item.name):
                    facts["kind"] = f"an {kind}" if kind != "flag" else "a flag"
                    yield found("NODE_023", at, subject=f"Definition {shown(use.definition.uses)}", **facts)
                    continue
                handles = _handles(kind, item)
                if clash := next((handle for handle in handles if handle in earlier), None):
                    facts["other"] = shown(earlier[clash])
                    yield found("NODE_025", at, uses=shown(use.definition.uses), **facts)
                earlier.update(dict.fromkeys(handles, item.name))


def flag_definitions(subject: Subject) -> Iterator[Finding]:
    """A flag's definition does not contradict itself."""
    for use in subject.uses.values():
        for index, flag in enumerate(use.definition.flags):
            facts = {"flag": shown(flag.name), "uses": shown(use.definition.uses)}
            if flag.minimum is not None and flag.maximum is not None and flag.minimum > flag.maximum:
                reason = f"its minimum {flag.minimum:g} is above its maximum {flag.maximum:g}"
                yield found("NODE_024", use.at("Flags", index), reason=reason, **facts)
            elif flag.default is not None and (
                reason := flags.unusable(flag.default, subject.limits.max_flag_bytes)
                or flags.refused(flag.default, flag)
            ):
                hidden = flags.kind_of(flag) == "secret"
                reason = f"its default {MASK if hidden else shown(flag.default)} cannot be used: {reason}"
                yield found("NODE_024", use.at("Flags", index, "Default"), reason=reason, **facts)


RULES = (
    duplicates,
    tier,
    exec_,
    retry,
    timeout,
    network,
    transfer,
    many,
    user,
    progress,
    names,
    flag_definitions,
)


def _bad_duration(text: str, read: Callable[[str], float]) -> str:
    """Why a text is not a duration as `read` wants it; empty when it is."""
    try:
        read(text)
    except ValueError as error:
        return str(error)
    return ""


def _retry_faults(retry: nodedef.Retry) -> Iterator[tuple[str, str]]:
    """Fields of Retry that cannot be, and why."""
    for field, text in (("Delay", retry.delay), ("Max", retry.max)):
        if text is not None and (reason := _bad_duration(text, duration.positive)):
            yield field, f'{field} "{shown(text)}" is not a valid duration: {reason}'
    for field, codes in (("OnExitCodes", retry.on_exit_codes), ("NeverOnExitCodes", retry.never_on_exit_codes)):
        if wrong := [code for code in codes if not 0 <= code <= 255]:
            yield field, f"{field} holds {wrong[0]}; exit codes are 0 to 255"
    if both := set(retry.on_exit_codes).intersection(retry.never_on_exit_codes):
        yield "NeverOnExitCodes", f"exit code {min(both)} is in OnExitCodes as well"


def _declared(use: Use) -> Iterator[tuple[str, str, Sequence[Port | FlagDef]]]:
    yield "Inputs", "input", use.definition.inputs
    yield "Outputs", "output", use.definition.outputs
    yield "Flags", "flag", use.definition.flags


def _handles(kind: str, item: Port | FlagDef) -> tuple[tuple[str, str], ...]:
    """By what a port or flag is told from others: its environment variable and its file."""
    variable = ("variable", command.environment_name(_PREFIXES[kind], item.name))
    if isinstance(item, FlagDef):
        return (variable,)
    extension = mime.extension(item.types[0]) if len(item.types) == 1 and not item.many else ""
    return (variable, ("file", item.name + extension))
