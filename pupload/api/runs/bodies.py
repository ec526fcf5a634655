"""What requests hold, read with the contract's patience: a run is triggered whatever its body looks like."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pupload import errors
from pupload.api import documents
from pupload.api import web as shared
from pupload.domain import tables

PURGE_DAYS = 30
"""Where the body names none."""


async def read(request: web.Request) -> Mapping[str, Any]:
    """The object in the body; an empty one where there is none. Raises `errors.Malformed`."""
    return await shared.read_document(request, _object, optional=True)


async def read_patiently(request: web.Request) -> Mapping[str, Any]:
    """The same, and an empty one for a body that holds none."""
    try:
        return await read(request)
    except errors.Malformed:
        return {}


def params(body: Mapping[str, Any]) -> dict[str, str]:
    """
    What the run is given: texts, and the JSON of what is none; null is as if it were not there.

    Raises `errors.Malformed` where `params` is no object: what somebody gave is not to be lost in silence.
    """
    given = body.get("params")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise errors.Malformed(reason="params must be an object of texts by name")
    return {name: _text(value) for name, value in given.items() if value is not None}


def text(body: Mapping[str, Any], name: str) -> str:
    """A text of the body, empty where it is not given. Raises `errors.Malformed`."""
    given = body.get(name)
    if given is None:
        return ""
    if not isinstance(given, str):
        raise errors.Malformed(reason=f"{name} must be a text")
    return given.strip()


def dates(body: Mapping[str, Any]) -> tuple[str, str]:
    """The first and the last. Raises `errors.Malformed` where one is missing."""
    first, last = (body.get(name) for name in ("start_date", "end_date"))
    if not (isinstance(first, str) and isinstance(last, str) and first and last):
        raise errors.Malformed(reason="start_date and end_date required (YYYY-MM-DD)")
    return first, last


def days(body: Mapping[str, Any]) -> int:
    """Of a purge: what cannot be meant is the usual number."""
    given = body.get("days")
    return given if isinstance(given, int) and not isinstance(given, bool) and given > 0 else PURGE_DAYS


def _object(document: Any) -> Mapping[str, Any]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise errors.Malformed(reason="the body must be a JSON object")
    return document


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    spelled = documents.spelling(value)
    return tables.compact(value) if spelled is None else spelled
