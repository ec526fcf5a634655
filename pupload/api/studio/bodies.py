"""What requests hold: read by their models, and refused with all that is wrong with them."""

from collections.abc import Callable
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pupload import errors
from pupload.api import web as shared
from pupload.api.studio import models, problems

M = TypeVar("M", bound=BaseModel)

SMALL = 32 * 1024
"""Letters of a text that is read in a few milliseconds."""

_NO_OBJECT = "Input should be a valid dictionary"

_MOST_SHOWN = 256
"""Letters of a value that is told again."""


async def read(request: web.Request, model: type[M]) -> M:
    """The body. Raises `errors.Malformed` with all that is wrong with it."""
    return await read_as(request, lambda value: understood(value, model))


async def read_as(request: web.Request, meaning: Callable[[Any], M]) -> M:
    """What `meaning` makes of the body. Raises as `read` does."""
    try:
        return await shared.read_document(request, meaning)
    except errors.Malformed as error:
        if problems.WRONG in error.facts:
            raise
        if not request.body_exists:
            raise problems.missing() from error
        raise problems.malformed(models.Wrong(type="json_invalid", loc=["body"], msg=error.message)) from error


def understood(value: Any, model: type[M]) -> M:
    """The value as its model has it. Raises `errors.Malformed` as `read` does."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise problems.malformed(*map(_wrong, found[: problems.MOST_WRONG])) from error


def _wrong(told: ErrorDetails) -> models.Wrong:
    said = _NO_OBJECT if told["type"] == "model_type" else told["msg"]
    return models.Wrong(type=told["type"], loc=["body", *told["loc"]], msg=said, input=_shown(told["input"]))


def _shown(value: Any) -> Any:
    """The value where it is small: what is large, or has parts, need not come back."""
    if isinstance(value, bool | int | float | None):
        return value
    return value if isinstance(value, str) and len(value) <= _MOST_SHOWN else None
