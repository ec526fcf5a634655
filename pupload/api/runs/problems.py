"""How this surface says no: a sentence under `error`, in the contract's own words where it has some."""

from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.runs import models

MOST_DETAILS = 100
_NAMED = 3
"""Findings in the sentence itself."""

_WORDS: Mapping[type[errors.PuploadError], str] = {
    errors.UnknownRun: "run not found",
    errors.UnknownSavedFlow: "pipeline not found",
    errors.NoPreview: "no preview available",
    errors.TokenMissing: "authentication required",
    errors.Unauthenticated: "invalid API key",
    errors.NotAllowed: "insufficient permissions",
}


def write(trouble: shared.Trouble) -> web.Response:
    """The answer for a request that did not go well."""
    error = trouble.error
    status = 400 if trouble.status == 422 else trouble.status
    if isinstance(error, errors.Invalid) and error.findings:
        sentence, details = _invalid(error)
        return answer(status, sentence, details=details, headers=trouble.headers)
    words = _WORDS.get(type(error)) if error is not None else None
    return answer(
        status,
        words or trouble.sentence,
        reason=error.reason if isinstance(error, errors.NoPreview) else "",
        request_id=trouble.request_id if status >= 500 else "",
        headers=trouble.headers,
    )


def answer(
    status: int,
    sentence: str,
    *,
    reason: str = "",
    details: Sequence[str] = (),
    request_id: str = "",
    headers: dict[str, str] | None = None,
) -> web.Response:
    """No, and why."""
    problem = models.Problem(
        error=sentence,
        reason=reason or msgspec.UNSET,
        details=list(details[:MOST_DETAILS]) or msgspec.UNSET,
        request_id=request_id or msgspec.UNSET,
    )
    return shared.json_bytes(msgspec.json.encode(problem), status=status, headers=headers)


def _invalid(error: errors.Invalid) -> tuple[str, list[str]]:
    """What is wrong with what the run was given, or with the pipeline itself."""
    found = [each for each in error.findings if each.is_error]
    what = "params" if all(each.path.startswith("/Params") for each in found) else "pipeline"
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    sentence = f"invalid {what}: {'; '.join(each.description for each in found[:_NAMED])}{more}"
    return sentence, [f"{each.code} {each.path}: {each.description}" for each in found]
