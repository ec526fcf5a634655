"""Whether a text can be the value of a flag: each function says why not, or nothing."""

import math
import re

from pupload.domain import secret
from pupload.domain.nodedef import FlagDef
from pupload.domain.validation.subject import shown, utf8_length

KINDS = {
    "": "string",
    "bool": "boolean",
    "double": "number",
    "float": "number",
    "int": "integer",
    "str": "string",
}
"""Other words for the types of flags. A type that is neither here nor known is a remark, and binds nobody."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,300}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]*)?|\.[0-9]{1,300})(?:[eE][+-]?[0-9]{1,4})?")
_WRONG = {
    "integer": "it must be a whole number",
    "number": "it must be a number",
    "boolean": "it must be true or false",
    "secret": "it must be ${secret.NAME}",
}


def unusable(value: str, limit: int) -> str:
    """Why no argument can be this text."""
    if "\x00" in value:
        return "it holds a NUL character, which no argument can"
    if utf8_length(value) > limit:
        return f"it is longer than {limit} bytes"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "it is not valid Unicode"
    return ""


def refused(value: str, flag: FlagDef) -> str:
    """Why the flag's definition does not allow this value."""
    kind = kind_of(flag)
    if not _is_of(value, kind):
        return _WRONG[kind]
    if flag.choices and value not in flag.choices:
        return f"possible are {', '.join(map(shown, flag.choices))}"
    return _out_of_bounds(value, flag)


def kind_of(flag: FlagDef) -> str:
    """The flag's type in our words."""
    word = flag.type.strip().lower()
    return KINDS.get(word, word)


def _is_of(value: str, kind: str) -> bool:
    if kind == "integer":
        return _INTEGER.fullmatch(value) is not None
    if kind == "number":
        return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))
    if kind == "boolean":
        return value in ("true", "false")
    if kind == "secret":
        return secret.named(value) is not None
    return True


def _out_of_bounds(value: str, flag: FlagDef) -> str:
    """Bounds are for numbers; a text of no numeric type that is one is held to them as well."""
    if flag.minimum is None and flag.maximum is None:
        return ""
    if not _NUMBER.fullmatch(value):
        return _WRONG["number"]
    number = float(value)
    if flag.minimum is not None and number < flag.minimum:
        return f"it must be at least {flag.minimum:g}"
    if flag.maximum is not None and number > flag.maximum:
        return f"it must be at most {flag.maximum:g}"
    return ""
