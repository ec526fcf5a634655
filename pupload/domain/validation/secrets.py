"""Rules about secrets and credentials: that those which a flow names are there, and named where they can be."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from pupload.domain import secret
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef
from pupload.domain.validation.findings import Finding, found, pointer
from pupload.domain.validation.subject import FLOW, Subject, shown

_WHOLE = "it must be the whole value, and its name (and its key) of letters, digits and . _ -"


def in_stores(subject: Subject) -> Iterator[Finding]:
    """Keys of a store may be secrets; its other params may not, for they are shown."""
    for position, store in enumerate(subject.flow.stores):
        for param, value in store.params.items():
            path, where = pointer(FLOW, "Stores", position, "Params", param), f"{shown(param)} of store"
            if secret.is_mentioned(value) and param.lower() not in secret.STORE_PARAMS:
                yield found("SECRET_002", path, where=f"{where} {shown(store.name)}", reason="it is no key")
            else:
                yield from _judged(subject, path, value, f"{where} {shown(store.name)}")


def in_wells(subject: Subject) -> Iterator[Finding]:
    """What a webhook's bodies are signed with may be a secret."""
    for position, well in enumerate(subject.flow.wells):
        yield from _judged(subject, pointer(FLOW, "DataWells", position, "Secret"), well.secret, "Secret of a well")


def in_callbacks(subject: Subject) -> Iterator[Finding]:
    """So may what messages are signed with."""
    for position, callback in enumerate(subject.flow.callbacks):
        for index, value in enumerate(callback.secrets):
            yield from _judged(subject, pointer(FLOW, "Callbacks", position, "Secrets", index), value, "a callback")


def in_flags(subject: Subject) -> Iterator[Finding]:
    """A flag's value may be a secret: the node gets a file of it."""
    for path, node in subject.nodes:
        for index, flag in enumerate(node.flags):
            where = f"flag {shown(flag.name)} of node {shown(node.id)}"
            yield from _judged(subject, pointer(path, "Flags", index, "Value"), flag.value, where)


def in_definitions(subject: Subject) -> Iterator[Finding]:
    """What a definition names for all of its nodes."""
    for use in subject.uses.values():
        for index, name in enumerate(use.definition.secrets):
            where = f"definition {shown(use.definition.uses)}"
            yield from _judged(subject, use.at("Secrets", index), f"${{secret.{name}}}", where)
        for index, flag in enumerate(use.definition.flags):
            where = f"flag {shown(flag.name)} of definition {shown(use.definition.uses)}"
            yield from _judged(subject, use.at("Flags", index, "Default"), flag.default, where)


def names_secrets(flow: Flow, definitions: Sequence[NodeDef]) -> bool:
    """Whether the flow or a definition names any, rightly or not."""
    values = chain(
        chain.from_iterable(store.params.values() for store in flow.stores),
        (well.secret for well in flow.wells),
        chain.from_iterable(callback.secrets for callback in flow.callbacks),
        (flag.value for node in flow.nodes for flag in node.flags),
        (flag.default for definition in definitions for flag in definition.flags),
    )
    return any(definition.secrets for definition in definitions) or any(map(secret.is_mentioned, values))


RULES = (in_stores, in_wells, in_callbacks, in_flags, in_definitions)


def _judged(subject: Subject, path: str, value: object, where: str) -> Iterable[Finding]:
    if not secret.is_mentioned(value):
        return
    name, known = secret.named(value), subject.limits.secrets
    if name is None:
        yield found("SECRET_002", path, where=where, reason=_WHOLE)
    elif known is not None and name not in known:
        of = secret.credential_of(name)
        if of is None:
            yield found("SECRET_001", path, secret=name, where=where)
        else:
            yield found("SECRET_003", path, credential=of[0], key=of[1], where=where)
