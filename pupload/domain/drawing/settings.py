"""
What a node of a drawing is set to, as flags of its node type.

A node's own settings come first, those that are lent to it by edges next. A flag that is to be a secret, and is set to
nothing, is taken out of the node's credential, where it has one. What the node type has no flag for is left out.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pupload.domain.drawing.model import DrawnNode
from pupload.domain.flow import FlagValue
from pupload.domain.nodedef import NodeDef
from pupload.domain.validation.subject import is_name

MODEL_FIELDS = (
    *("system_prompt", "model_name", "temperature", "max_tokens", "frequency_penalty", "presence_penalty", "top_p"),
    "response_format",
)
"""What `config` says of a model, beside `extra_config`."""

_RUNNING = frozenset({"timeout", "timeout_seconds", "max_retries"})
"""Settings that say how a node runs, where its type has no flags of these names."""


def flags(definition: NodeDef, node: DrawnNode, lenders: Iterable[DrawnNode]) -> tuple[FlagValue, ...]:
    """The flags that the node sets."""
    declared = {flag.name: flag for flag in definition.flags}
    own, lent = of(node), dict[str, Any]()
    for lender in lenders:
        lent = {**of(lender), **lent}
    said = own if not declared else {name: value for name, value in {**lent, **own}.items() if name in declared}
    found = {name: text for name, value in said.items() if (text := _text(value)) is not None and is_name(name)}
    for name, flag in declared.items():
        if flag.type.strip().lower() == "secret" and not found.get(name):
            credential = next(filter(None, map(_credential, (node, *lenders))), None)
            if credential is not None:
                found[name] = f"${{credential.{credential}.{name}}}"
    return tuple(FlagValue(name=name, value=value) for name, value in found.items())


def left_out(definition: NodeDef, node: DrawnNode) -> tuple[str, ...]:
    """The names in the node's `extra_config` that its type has no flag for."""
    declared = {flag.name for flag in definition.flags}
    extra = node.config.get("extra_config") or {}
    return tuple(str(name) for name in extra if declared and name not in declared and name not in _RUNNING)


def of(node: DrawnNode) -> dict[str, Any]:
    """What the node is set to, by name: `extra_config`, and what it says of a model."""
    fields = {name: value for name in MODEL_FIELDS if (value := node.config.get(name)) not in (None, "")}
    return {**fields, **{str(name): value for name, value in _extra(node)}}


def seconds(node: DrawnNode, definition: NodeDef | None) -> float | None:
    """How long the node may take, where it says so and its type has no flag of that name."""
    return next(_numbers(node, definition, "timeout_seconds", "timeout"), None)


def retries(node: DrawnNode, definition: NodeDef | None) -> int | None:
    """How often the node is tried again, where it says so and its type has no flag of that name."""
    found = next(_numbers(node, definition, "max_retries"), None)
    return None if found is None else int(found)


def _numbers(node: DrawnNode, definition: NodeDef | None, *names: str) -> Iterator[float]:
    declared = {flag.name for flag in definition.flags} if definition is not None else set()
    said: dict[str, Any] = {**dict(_extra(node)), **{name: node.config[name] for name in names if name in node.config}}
    for name in names:
        value = said.get(name)
        if name not in declared and isinstance(value, int | float) and not isinstance(value, bool):
            yield value


def _extra(node: DrawnNode) -> Iterator[tuple[str, Any]]:
    extra = node.config.get("extra_config")
    if isinstance(extra, Mapping):
        yield from extra.items()


def _credential(node: DrawnNode) -> int | None:
    found = node.config.get("credential_id") or node.config.get("llm_credential_id")
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _text(value: object) -> str | None:
    """The value as a flag has it; None: it is not set."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
