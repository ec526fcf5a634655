"""
What all sections say alike. Each section has models of its own beside its routes.

Times are ISO 8601 in UTC without a zone; what has not happened is null.
"""

from typing import Annotated

import msgspec

Moment = Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer is."""


class ValidationErrors(Answer, frozen=True, kw_only=True):
    """Everything that is wrong with a request."""

    validation_errors: list[str]


class Problem(Answer, frozen=True, kw_only=True):
    """Why not: a sentence, or all that was found. `request_id` is what the server's log has more under."""

    detail: str | ValidationErrors
    request_id: str | msgspec.UnsetType = msgspec.UNSET
