"""How this surface says no: under `detail`, a sentence or, of what does not fit, all of it."""

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.pipelit import models

MOST_ERRORS = 100

_WORDS: Mapping[type[errors.PuploadError], str] = {
    errors.UnknownRun: "Execution not found.",
    errors.UnknownSavedFlow: "Workflow not found.",
    errors.UnknownDrawing: "Workflow not found.",
    errors.UnknownDrawnNode: "Node not found.",
    errors.UnknownDrawnEdge: "Edge not found.",
    errors.NoChatTrigger: "No chat trigger found.",
    errors.UnknownCredential: "Credential not found.",
    errors.UnknownLLM: "LLM credential not found.",
    errors.UnknownSchedule: "Scheduled job not found.",
    errors.NoSchedule: "No scheduled job found for this node.",
    errors.UnknownBatch: "Epic not found.",
    errors.UnknownTask: "Task not found.",
    errors.UnknownAccount: "User not found",
    errors.UnknownKey: "API key not found",
    errors.AlreadySetUp: "Setup already completed.",
}
"""The contract's, where it has some."""

UNFIT = "unfit"
"""The fact of a `Malformed` that has what does not fit, sentence by sentence: that is 422, all else of its kind 400."""


def write(trouble: shared.Trouble) -> web.Response:
    """The answer for a request that did not go well."""
    error, status = trouble.error, trouble.status
    found = _unfit(error)
    if found:
        return answer(422, found, headers=trouble.headers)
    words = _WORDS.get(type(error)) if error is not None else None
    if error is None and status == 404:
        words = "Not Found"
    return answer(
        status,
        words or trouble.sentence,
        request_id=trouble.request_id if status >= 500 else "",
        headers=trouble.headers,
    )


def answer(
    status: int, detail: str | Sequence[str], *, request_id: str = "", headers: Mapping[str, str] | None = None
) -> web.Response:
    """No, and why."""
    problem = models.Problem(
        detail=detail
        if isinstance(detail, str)
        else models.ValidationErrors(validation_errors=list(detail[:MOST_ERRORS])),
        request_id=request_id or msgspec.UNSET,
    )
    head = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return shared.json_bytes(msgspec.json.encode(problem), status=status, headers={**head, **(headers or {})})


def unfit(*found: str) -> errors.Malformed:
    """What is raised where a request does not fit: it is answered with 422 and these sentences."""
    return errors.Malformed(reason="; ".join(found), unfit=found)


def _unfit(error: errors.PuploadError | None) -> Sequence[str]:
    if isinstance(error, errors.Invalid):
        return [each.description for each in error.findings if each.is_error]
    if isinstance(error, errors.UnfitEdge):
        return [error.message]
    if isinstance(error, errors.UnfitDrawing | errors.UnfitInput):
        return error.facts.get("sentences") or [error.message]
    if isinstance(error, errors.Malformed):
        found: Sequence[str] = error.facts.get(UNFIT, ())
        return found
    return ()
