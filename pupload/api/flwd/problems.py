"""How this surface says no: RFC 7807 problem details, each of a type that a program can tell from others."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import msgspec
from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.flwd import models

MEDIA = "application/problem+json"
TYPES = "https://flowd.org/problems/"

MOST_ERRORS = 100

_OF_ERRORS: Sequence[tuple[type[errors.PuploadError], str, str]] = (
    (errors.UnknownSavedFlow, "job-not-found", "The job '{name}' does not exist"),
    (errors.UnknownRun, "run-not-found", "The run '{name}' does not exist"),
    (errors.UnknownArtifact, "artifact-not-found", ""),
)
"""The slug, and the contract's own words where it has some."""

SLUGS: Mapping[int, str] = {
    400: "validation-error",
    401: "unauthorized",
    403: "permission-denied",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    409: "conflict",
    410: "cursor-expired",
    413: "payload-too-large",
    415: "unsupported-media-type",
    429: "rate-limited",
    500: "internal-error",
    502: "storage-error",
    503: "unavailable",
}
"""By status, where the error says no more."""


def write(trouble: shared.Trouble) -> web.Response:
    """The answer for a request that did not go well."""
    status = 400 if trouble.status == 422 else trouble.status
    slug, detail = SLUGS.get(status, ""), trouble.sentence
    for kind, its_slug, words in _OF_ERRORS:
        if isinstance(trouble.error, kind):
            facts = trouble.error.facts
            named = next((str(facts[name]) for name in ("run", "flow", "name") if facts.get(name)), "")
            slug, detail = its_slug, words.format(name=named) if words else detail
    return answer(
        status,
        slug,
        detail,
        instance=trouble.path,
        wrong=_wrong(trouble.error),
        request_id=trouble.request_id if status >= 500 else "",
        headers=trouble.headers,
    )


def answer(
    status: int,
    slug: str,
    detail: str,
    *,
    instance: str,
    wrong: Sequence[models.WrongArg] = (),
    run_id: str = "",
    request_id: str = "",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """A problem of this type."""
    problem = models.ProblemDetails(
        type=TYPES + slug if slug else "about:blank",
        title=title(slug) if slug else HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        instance=instance,
        errors=list(wrong[:MOST_ERRORS]) or msgspec.UNSET,
        run_id=run_id or msgspec.UNSET,
        request_id=request_id or msgspec.UNSET,
    )
    head = {"WWW-Authenticate": 'Bearer realm="flowd"'} if status == 401 else {}
    return web.Response(
        body=msgspec.json.encode(problem),
        status=status,
        content_type=MEDIA,
        headers={**(headers or {}), **head},
    )


def title(slug: str) -> str:
    """`Job Not Found` of `job-not-found`."""
    return slug.replace("-", " ").title()


def _wrong(error: errors.PuploadError | None) -> list[models.WrongArg]:
    """What is wrong with each argument, or with the flow itself, whose argument is empty."""
    if isinstance(error, errors.Malformed):
        told: Sequence[tuple[str, str]] = error.facts.get("wrong_args", ())
        return [models.WrongArg(arg=arg, message=message) for arg, message in told]
    if not isinstance(error, errors.Invalid):
        return []
    return [
        models.WrongArg(arg=_arg(each.path), message=f"{each.code} {each.description}")
        for each in error.findings
        if each.is_error
    ]


def _arg(pointer: str) -> str:
    """The argument that a JSON pointer of the request names."""
    _, params, name = pointer.partition("/Params/")
    return name.replace("~1", "/").replace("~0", "~") if params else ""
