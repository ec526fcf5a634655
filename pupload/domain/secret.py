"""
Secrets: how flows name them, and what may be one.

A flow says `${secret.NAME}`, as a whole value, where a key of a store, the secret of a webhook or a flag is due. The
name is all that is kept with the flow and its runs. A store is opened with the value itself; a node is given a file
that holds it (`path_of`), and never the value.

A value of a credential is named in the same places, `${credential.NAME.KEY}`, or with the credential's number in place
of its name. From there on it is one more secret, whose name is `KEY@NAME`: no other has an `@` in it.
"""

import re
from collections.abc import Mapping

FOLDER = "/run/secrets"
"""Where a container finds the files of its secrets."""

LEAST_CHARACTERS = 4
"""Of a value: a shorter one could not be masked in logs without masking half of them."""

MOST_BYTES = 64 * 1024
"""Of a value in UTF-8."""

STORE_PARAMS = frozenset({"accesskey", "secretkey", "sessiontoken"})
"""The params of a store that may be secrets, in small letters."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REFERENCE = re.compile(r"\$\{secret\.([^{}]*)\}")
_OF_CREDENTIAL = re.compile(r"\$\{credential\.([^{}]*)\.([A-Za-z0-9_][A-Za-z0-9_-]{0,127})\}")
_BEGINS = "${"
_MARKS = ("${secret.", "${credential.")
_AT = "@"


def is_name(text: str) -> bool:
    """Whether a secret may be called so."""
    return _NAME.fullmatch(text) is not None


def is_mentioned(value: object) -> bool:
    """Whether the value names a secret anywhere, rightly or not."""
    return isinstance(value, str) and _BEGINS in value and any(mark in value for mark in _MARKS)


def named(value: object) -> str | None:
    """The secret that the value names, being nothing else; None where it names none."""
    if not isinstance(value, str) or not value.startswith(_BEGINS):
        return None
    if (found := _REFERENCE.fullmatch(value)) is not None:
        return found[1] if is_name(found[1]) else None
    found = _OF_CREDENTIAL.fullmatch(value)
    return of_credential(found[1], found[2]) if found is not None and is_name(found[1]) else None


def of_credential(credential: str, key: str) -> str:
    """The name, as a secret, of a credential's value; the credential is told by its name or its number."""
    return f"{key}{_AT}{credential}"


def credential_of(name: str) -> tuple[str, str] | None:
    """Which credential it is and which key of it, where the secret of this name is of one."""
    key, at, credential = name.partition(_AT)
    return (credential, key) if at else None


def written(name: str) -> str:
    """How a flow names it."""
    return f"${{{label(name)}}}"


def label(name: str) -> str:
    """`written` without its braces: what it is called where secrets, credentials and parameters stand together."""
    of = credential_of(name)
    return f"secret.{name}" if of is None else f"credential.{of[0]}.{of[1]}"


def path_of(name: str) -> str:
    """Where a container finds the secret."""
    return f"{FOLDER}/{name}"


def of_store(params: Mapping[str, str | bool]) -> tuple[str, ...]:
    """The secrets that a store's params name, each once."""
    return tuple(dict.fromkeys(name for value in params.values() if (name := named(value)) is not None))


def objection(value: str) -> str:
    """Why no secret can have this value; empty when one can."""
    if len(value) < LEAST_CHARACTERS:
        return f"it has fewer than {LEAST_CHARACTERS} characters, so that it could not be masked in logs"
    if not value.strip():
        return "it is nothing but blanks"
    if any("\ud800" <= character <= "\udfff" for character in value):
        return "it is not valid Unicode"
    if len(value.encode()) > MOST_BYTES:
        return f"it is longer than {MOST_BYTES} bytes"
    return ""
