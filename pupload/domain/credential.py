"""
Credentials: what opens something elsewhere, with what belongs to it, and what of it is shown.

A credential has a type, which says the keys that its detail is known to have; others are kept as they are given.
Whoever may see it sees masks in place of what opens something. A mask that comes back changes nothing: whoever reads a
credential, changes a part and writes it all again loses nothing.

A node is given values of it as it is given secrets: see `pupload.domain.secret`.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pupload.domain import secret

MASK = "****"

LEAST_SHOWN = 16
"""Characters of a value whose ends are shown: of a shorter one too much would be."""

ENDS = 4
"""Characters that are shown of each end."""

MOST_NAME = 255
"""Characters of a name."""

MOST_KEYS = 100
MOST_DEPTH = 8
MOST_BYTES = 64 * 1024
"""Of a detail, as JSON."""

LLM = "llm"
TOOL = "tool"

_MOST_DIGITS = 19
"""Of a number that a credential may have."""

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,127}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A key that credentials of a type have."""

    default: Any = ""
    shown: bool = False
    """Whether the value is no secret."""
    wholly: bool = False
    """Whether not even its ends are shown, and an empty one as what it is."""


_SHOWN = Known(shown=True)

TYPES: Mapping[str, Mapping[str, Known]] = {
    LLM: {
        "provider_type": Known(default="openai_compatible", shown=True),
        "api_key": Known(),
        "base_url": _SHOWN,
        "organization_id": _SHOWN,
        "custom_headers": Known(default={}),
    },
    "telegram": {"bot_token": Known(), "allowed_user_ids": _SHOWN},
    "gateway": {"api_key": Known(), "allowed_user_ids": _SHOWN},
    "git": {
        "provider": Known(default="github", shown=True),
        "credential_type": Known(default="token", shown=True),
        "username": _SHOWN,
        "ssh_private_key": Known(wholly=True),
        "access_token": Known(),
        "webhook_secret": Known(wholly=True),
    },
    TOOL: {"tool_type": Known(default="api", shown=True), "config": Known(default={})},
    "login": {"username": _SHOWN, "password": Known(wholly=True), "url": _SHOWN},
}
"""Types of credentials by name, and the keys of each in order."""

_OTHER = Known(default=None)
"""A key that its type does not know: it may hold anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What opens something elsewhere."""

    id: int = 0
    """Given by the store."""
    key: str
    """Made with it, and never changed: what it is sealed for, and known again by when an answer was lost."""
    name: str
    """What people call it. Those of an account may be called the same; a flow then means the oldest."""
    type: str
    """One of `TYPES`."""
    detail: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """JSON values by their keys; those that the type knows are all there."""
    account: int | None = None
    """Whose it is; None: nobody's, made when there were no accounts."""
    created_at: datetime
    updated_at: datetime
    revision: int = 0
    """Grows with every save."""


# ── What may be one ──────────────────────────────────────────────────────────────────────────────────────────────


def objections(name: str, type_: str, detail: Mapping[str, Any]) -> Iterator[str]:
    """Why there can be no such credential, a sentence each, none of which tells a value; none where there can be."""
    if not name.strip() or len(name) > MOST_NAME:
        yield f"a credential's name has 1 to {MOST_NAME} characters, not all of them blanks"
    elif not name.isprintable():
        yield "a credential's name has printable characters only"
    if type_ not in TYPES:
        yield f"a credential's type is one of {', '.join(TYPES)}"
    yield from _of_detail(TYPES.get(type_, {}), detail)


def _of_detail(known: Mapping[str, Known], detail: Mapping[str, Any]) -> Iterator[str]:
    if len(detail) > MOST_KEYS:
        yield f"a credential's detail has {MOST_KEYS} keys at most"
        return
    if any(_KEY.fullmatch(key) is None for key in detail):
        yield "a key of a credential's detail has 1 to 128 letters, digits and _ -"
    for key, value in detail.items():
        if key in known and type(value) is not type(known[key].default):
            yield f"{key} must be {'an object' if isinstance(known[key].default, dict) else 'a text'}"
    if _depth(detail) > MOST_DEPTH:
        yield f"a credential's detail is nested {MOST_DEPTH} times at most"
    elif not all(map(_is_kept, _leaves(detail))):
        yield "a number in a credential's detail is too large"
    elif not _is_unicode(written := json.dumps(detail, ensure_ascii=False)):
        yield "a credential's detail is not valid Unicode"
    elif len(written.encode()) > MOST_BYTES:
        yield f"a credential's detail is longer than {MOST_BYTES} bytes"


def complete(type_: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The detail with the defaults of what its type knows and it does not say, in plain values that nobody else has."""
    usual = {key: known.default for key, known in TYPES[type_].items()}
    whole: dict[str, Any] = json.loads(json.dumps({**usual, **detail}))
    return whole


# ── What is shown, and what comes back ───────────────────────────────────────────────────────────────────────────


def mask(value: str) -> str:
    """What is shown of a text that opens something: its ends where it is long, and never more than half."""
    return f"{value[:ENDS]}{MASK}{value[-ENDS:]}" if len(value) >= LEAST_SHOWN else MASK


def masked(this: Credential) -> dict[str, Any]:
    """The detail as it may be shown."""
    return {key: _masked(known_as(this.type, key), value) for key, value in this.detail.items()}


def known_as(type_: str, key: str) -> Known:
    """What a type says of a key."""
    return TYPES[type_].get(key, _OTHER)


def changed(this: Credential, detail: Mapping[str, Any]) -> dict[str, Any]:
    """The credential's detail with these keys instead; a value that is the mask of the one before stays that."""
    fresh = {
        key: _restored(known_as(this.type, key), this.detail[key], value) if key in this.detail else value
        for key, value in detail.items()
    }
    return {**this.detail, **fresh}


def _masked(known: Known, value: Any) -> Any:
    """Also of what lies deeper; names of headers and keys are shown."""
    match value:
        case dict():
            return {key: _masked(known, each) for key, each in value.items()}
        case list():
            return [_masked(known, each) for each in value]
        case None | bool():
            return value
        case str() if known.shown:
            return mask(value) if _lets_in(value) else value
        case "" if known.wholly:
            return ""
        case str() if not known.wholly:
            return mask(value)
        case _:
            return MASK


def _restored(known: Known, before: Any, given: Any) -> Any:
    if isinstance(before, dict) and isinstance(given, dict):
        return {key: _restored(known, before.get(key), each) for key, each in given.items()}
    if isinstance(before, list) and isinstance(given, list) and len(before) == len(given):
        return [_restored(known, *both) for both in zip(before, given, strict=True)]
    is_mask = isinstance(given, str) and before is not None and given == _masked(known, before)
    return before if is_mask else given


def _lets_in(url: str) -> bool:
    """Whether a URL holds more than an address: somebody's password, or a query."""
    _, is_url, rest = url.partition("://")
    return bool(is_url) and ("@" in rest or "?" in rest)


# ── What a node is given ─────────────────────────────────────────────────────────────────────────────────────────


def given(this: Credential, key: str) -> str | None:
    """
    What a node is given that names this key; None where there is nothing to give.

    A text is given as it is, everything else as JSON. What is too short to be masked in logs is not given.
    """
    value = this.detail.get(key)
    if value in (None, "", {}, []):
        return None
    written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return written if known_as(this.type, key).shown or not secret.objection(written) else None


def names(owned: Sequence[Credential]) -> frozenset[str]:
    """
    What flows may name of the credentials of one owner, by number: names as `pupload.domain.secret` has them.

    Of those that are called the same the oldest is meant; a name of digits alone is a number.
    """
    called: dict[str, Credential] = {}
    for this in owned:
        called.setdefault(this.name, this)
    called = {name: this for name, this in called.items() if secret.is_name(name) and number(name) is None}
    called |= {str(this.id): this for this in owned}
    return frozenset(
        secret.of_credential(name, key) for name, this in called.items() for key in this.detail if given(this, key)
    )


def number(text: str) -> int | None:
    """The number of a credential that a flow, or somebody, names by it; None where the text is a name."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < _MOST_DIGITS else None


def texts_in(written: str) -> Iterator[str]:
    """All texts in a value that was given as JSON, deep down: a node may print one of them alone."""
    if written[:1] not in "{[":
        return
    try:
        yield from (each for each in _leaves(json.loads(written)) if isinstance(each, str))
    except (ValueError, RecursionError):
        return


def _leaves(value: Any) -> Iterator[Any]:
    """All values that hold no others."""
    if not isinstance(value, dict | list):
        yield value
        return
    for each in value.values() if isinstance(value, dict) else value:
        yield from _leaves(each)


def _is_kept(value: Any) -> bool:
    """Whether a number reads back as it is: whole ones have 64 bits, the others an end."""
    if isinstance(value, float):
        return math.isfinite(value)
    return not isinstance(value, int) or -(2**63) <= value < 2**64


def renewed(this: Credential, now: datetime, *, name: str | None, detail: Mapping[str, Any] | None) -> Credential:
    """The credential with what is not None of these instead."""
    return replace(
        this,
        name=this.name if name is None else name,
        detail=this.detail if detail is None else complete(this.type, changed(this, detail)),
        updated_at=now,
    )


def _depth(value: Any) -> int:
    """Of nesting; stops where it is too deep anyway."""
    depth, level = 0, [value]
    while level and depth <= MOST_DEPTH:
        depth += 1
        nested = [each for each in level if isinstance(each, dict | list)]
        level = [deeper for each in nested for deeper in (each.values() if isinstance(each, dict) else each)]
    return depth


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
