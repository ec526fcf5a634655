"""
The parameters of a flow: `${param.NAME}` in the value of a flag, or in the key of a well.

A flow says what parameters it has, as a definition says its flags; one that declares none takes whatever is given. Only
`${param.NAME}` is replaced in a flag's value, all other text in it stays as it is, and what is put in is not looked at
again. A flag that is nothing but a parameter without a value is not set.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from pupload.domain.flow import FlagValue, Flow, Node

_BEGINS = "${param."
_NAMED = re.compile(r"\$\{param\.([^}]*)\}")


def values(flow: Flow, given: Mapping[str, str]) -> dict[str, str]:
    """What is given, by name, and the defaults of what is not; what the flow does not declare is among it."""
    defaults = {param.name: param.default for param in flow.params if param.default is not None}
    return {**defaults, **given}


def filled(flow: Flow, known: Mapping[str, str]) -> Flow:
    """The flow with these values in its flags; parameters without a value stay named, unless they may be left out."""
    optional = {param.name for param in flow.params if not param.required} - set(known)
    nodes = tuple(_node(node, known, optional) if _names_any(node) else node for node in flow.nodes)
    return flow if nodes == flow.nodes else replace(flow, nodes=nodes)


def named(text: str) -> tuple[str, ...]:
    """The parameters that a flag's value names, each once."""
    return tuple(dict.fromkeys(_NAMED.findall(text))) if _BEGINS in text else ()


def _names_any(node: Node) -> bool:
    return any(_BEGINS in flag.value for flag in node.flags)


def _node(node: Node, known: Mapping[str, str], optional: set[str]) -> Node:
    flags = (_flag(flag, known, optional) for flag in node.flags)
    return replace(node, flags=tuple(flag for flag in flags if flag is not None))


def _flag(flag: FlagValue, known: Mapping[str, str], optional: set[str]) -> FlagValue | None:
    """None: the flag is not set."""
    whole = _NAMED.fullmatch(flag.value)
    if whole is not None and whole[1] in optional:
        return None
    filling = {**dict.fromkeys(optional, ""), **known}
    return replace(flag, value=_NAMED.sub(lambda match: filling.get(match[1], match[0]), flag.value))
