"""What requests hold, read as the contract has it: what does not fit is 422, and all of it is told."""

from collections.abc import Sequence
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from pupload import errors
from pupload.api import documents
from pupload.api import web as shared
from pupload.api.pipelit import problems

MOST = 1000
"""On one page of a list: who asks for more gets so many."""

_DEFAULT = 50

PAGE = (
    shared.Parameter(name="limit", type="integer", about="So many at most: 50 when not given, never more than 1000."),
    shared.Parameter(name="offset", type="integer", about="How many to pass over."),
)
"""What every list takes."""


class Body(BaseModel):
    """What every body is: keys that are not known are passed over."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    @property
    def said(self) -> dict[str, Any]:
        """The values of the keys that were given, null among them: all that a PATCH changes."""
        return {name: getattr(self, name) for name in self.model_fields_set}


B = TypeVar("B", bound=Body)


async def read(request: web.Request, model: type[B], *, optional: bool = False) -> B:
    """The body; where it is `optional`, none is an empty one. Raises what is answered with 422."""

    def meaning(document: Any) -> B:
        if not isinstance(document, dict):
            raise problems.unfit("body: an object is expected")
        return fit(model, documents.plain(document))

    try:
        return await shared.read_document(request, meaning, optional=optional)
    except errors.Malformed as error:
        if problems.UNFIT in error.facts:
            raise
        raise problems.unfit(f"body: {error.message}") from None


def fit(model: type[B], document: dict[str, Any], *, where: str = "body") -> B:
    """The document as the model has it. Raises what is answered with 422; nothing of what was given is told again."""
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise problems.unfit(*_sentences(error, where)) from None


def _sentences(error: ValidationError, where: str) -> Sequence[str]:
    """`body.slug: field required`, for each."""
    found = []
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join([where, *(str(step)[:64] for step in each["loc"])])
        said = each["msg"]
        found.append(f"{place}: {said[:1].lower()}{said[1:]}")
    return found


def page(request: web.Request) -> tuple[int, int]:
    """Limit and offset. Raises what is answered with 422 for what is no number, or a negative one."""
    return min(whole_number(request, "limit", default=_DEFAULT), MOST), whole_number(request, "offset", default=0)


def whole_number(request: web.Request, name: str, *, default: int) -> int:
    """A number of the query, 0 or more. Raises what is answered with 422."""
    try:
        return shared.whole_number(request, name, default=default)
    except errors.Malformed as error:
        raise problems.unfit(f"query.{name}: {error.message}") from None
