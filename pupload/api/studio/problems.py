"""How this surface says no: under `detail`, a sentence, or of a body that does not fit all that is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.studio import models

MOST_WRONG = 100

GRAPH = "graph"
"""The type of what is wrong with a graph as a whole."""

WRONG = "wrong"
"""The fact of a `Malformed` that has all that is wrong with a body."""

_WORDS: Mapping[type[errors.PuploadError], str] = {
    errors.UnknownNamespace: "Project '{name}' not found",
    errors.NamespaceTaken: "Project '{name}' already exists",
    errors.UnknownSavedFlow: "Pipeline '{flow}' not found in project '{namespace}'",
    errors.UnknownRun: "Execution '{run}' not found for project '{namespace}'",
}
"""The contract's, where it has some and the error has what they tell."""


def write(trouble: shared.Trouble) -> web.Response:
    """The answer for a request that did not go well."""
    error, status = trouble.error, trouble.status
    if isinstance(error, errors.Malformed):
        return answer(422, error.facts.get(WRONG) or [_whole(error.message)], headers=trouble.headers)
    if isinstance(error, errors.Invalid):
        found = [_whole(f"{each.code} {each.description}") for each in error.findings if each.is_error]
        return answer(422, found or error.message, headers=trouble.headers)
    said = "Not Found" if error is None and status == 404 else sentence(error) or trouble.sentence
    return answer(status, said, headers=trouble.headers)


def sentence(error: errors.PuploadError | None) -> str:
    """The contract's words for the error; empty where it has none."""
    try:
        return _WORDS[type(error)].format_map(error.facts) if type(error) in _WORDS and error is not None else ""
    except KeyError:
        return ""


def answer(
    status: int, detail: str | Sequence[models.Wrong], *, headers: Mapping[str, str] | None = None
) -> web.Response:
    """No, and why."""
    problem = models.Problem(detail=detail if isinstance(detail, str) else list(detail[:MOST_WRONG]))
    head = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    return shared.json_bytes(msgspec.json.encode(problem), status=status, headers={**head, **(headers or {})})


def malformed(*found: models.Wrong) -> errors.Malformed:
    """What is raised where a body does not fit: it is answered with 422 and all of these."""
    return errors.Malformed(reason="; ".join(map(_sentence, found)), **{WRONG: list(found)})


def missing(*place: str | int) -> errors.Malformed:
    """The same, of something that is not there."""
    return malformed(models.Wrong(type="missing", loc=["body", *place], msg="Field required"))


def _sentence(wrong: models.Wrong) -> str:
    place = ".".join(map(str, wrong.loc[1:]))
    return f"{place}: {wrong.msg}" if place and wrong.type != GRAPH else wrong.msg


def _whole(sentence: str, value: Any = None) -> models.Wrong:
    return models.Wrong(type="value_error", loc=["body"], msg=sentence, input=value)
