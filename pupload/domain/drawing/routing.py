"""
Which way a switch lets things go: its rules and the values of its edges, as conditions (`pupload.domain.condition`).

Without rules an edge is open where the text that the switch is given is the edge's value. With rules the first that
holds opens the edges of its id, and where none does those of `FALLBACK` are open, if the switch has a fallback.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pupload.domain.drawing.model import DrawnNode

FALLBACK = "__other__"
"""The value of the edges that are open when no rule holds."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class Unusable(ValueError):
    """The switch cannot be told this way; the text is the sentence."""


def ask(switch: DrawnNode, value: str, name: str) -> str:
    """
    The condition on which the switch lets through along edges of this value; `name` is the input it asks about.

    Raises `Unusable`.
    """
    extra = switch.config.get("extra_config") or {}
    rules = extra.get("rules") or ()
    if not rules:
        return f"text(input.{name}) == {_text(value)}"
    if not isinstance(rules, Sequence) or not all(isinstance(each, Mapping) for each in rules):
        raise Unusable(f"Node '{switch.node_id}': rules is a list of objects")
    if value == FALLBACK and not extra.get("enable_fallback"):
        raise Unusable(
            f"Node '{switch.node_id}' has no fallback, which its edge '{FALLBACK}' needs: set enable_fallback"
        )
    before = list[str]()
    for rule in rules:
        this = _rule(switch, rule, name)
        if value in (rule.get("id"), rule.get("label"), rule.get("route")):
            return " and ".join([*(f"not ({each})" for each in before), this])
        before.append(this)
    if value == FALLBACK:
        return " and ".join(f"not ({each})" for each in before)
    raise Unusable(f"Node '{switch.node_id}' has no rule of the id '{value}', which its edge names")


def asks_for_fields(switch: DrawnNode) -> bool:
    """Whether any rule of the switch looks into JSON."""
    rules = (switch.config.get("extra_config") or {}).get("rules") or ()
    return isinstance(rules, Sequence) and any(isinstance(each, Mapping) and bool(each.get("field")) for each in rules)


def _rule(switch: DrawnNode, rule: Mapping[str, Any], name: str) -> str:
    operator = str(rule.get("operator") or "equals")
    write = OPERATORS.get(operator)
    if write is None:
        raise Unusable(f"Node '{switch.node_id}': operator '{operator}' is none of {', '.join(OPERATORS)}")
    field = rule.get("field") or ""
    if not isinstance(field, str):
        raise Unusable(f"Node '{switch.node_id}': the field of a rule is a text")
    value = rule.get("value")
    if isinstance(value, list | dict):
        raise Unusable(f"Node '{switch.node_id}': the value of a rule is a text, a number, true, false or null")
    return write(_subject(name, field), value)


def _subject(name: str, field: str) -> str:
    """What a rule's field stands for."""
    path = field.strip().removeprefix("$").strip(".")
    if not path:
        return f"text(input.{name})"
    return f"json(input.{name})" + "".join(_step(each) for each in re.split(r"\.|\[(?=[0-9])|\]", path) if each)


def _step(step: str) -> str:
    if re.fullmatch(r"[0-9]{1,6}", step):
        return f"[{step}]"
    return f".{step}" if _PLAIN.fullmatch(step) else f"[{_text(step)}]"


# ── Operators ────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(value: object) -> str:
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _literal(value: object) -> str:
    """The value as a condition says it; a text that could be a number or boolean is compared as either."""
    return json.dumps(value) if value is None or isinstance(value, bool | int | float) else _text(value)


def _equals(subject: str, value: object) -> str:
    if isinstance(value, str) and not subject.startswith("text("):
        # People write the rule's value as a text, whatever the file holds there.
        if _NUMBER.fullmatch(value):
            return f"{subject} in [{_text(value)}, {value}]"
        if value in ("true", "false", "null"):
            return f"{subject} in [{_text(value)}, {value}]"
    return f"{subject} == {_literal(value)}"


def _ordered(op: str) -> Callable[[str, object], str]:
    def write(subject: str, value: object) -> str:
        if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
            raise Unusable(f"a rule compares with a number, not with {str(value)[:80]!r}")
        return f"{subject} {op} {value}"

    return write


def _between_texts(op: str) -> Callable[[str, object], str]:
    return lambda subject, value: f"{subject} {op} {_text(value)}"


def _not(write: Callable[[str, object], str]) -> Callable[[str, object], str]:
    return lambda subject, value: f"not ({write(subject, value)})"


def _is_empty(subject: str, _: object) -> str:
    return f"({subject} == null or {subject} == '')"


def _is(word: str) -> Callable[[str, object], str]:
    return lambda subject, _: f"{subject} == {word}"


_CONTAINS, _STARTS, _ENDS = map(_between_texts, ("contains", "startswith", "endswith"))

OPERATORS: Mapping[str, Callable[[str, object], str]] = {
    "equals": _equals,
    "not_equals": _not(_equals),
    "contains": _CONTAINS,
    "not_contains": _not(_CONTAINS),
    "starts_with": _STARTS,
    "not_starts_with": _not(_STARTS),
    "ends_with": _ENDS,
    "not_ends_with": _not(_ENDS),
    "gt": _ordered(">"),
    "gte": _ordered(">="),
    "lt": _ordered("<"),
    "lte": _ordered("<="),
    "exists": _not(_is("null")),
    "not_exists": _is("null"),
    "does_not_exist": _is("null"),
    "is_empty": _is_empty,
    "is_not_empty": _not(_is_empty),
    "is_true": _is("true"),
    "is_false": _is("false"),
}
"""By name, how a rule's comparison is written as a condition."""
