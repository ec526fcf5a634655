"""How the native surface says no: a sentence under `error`, and all that was found."""

from aiohttp import web

from pupload import errors
from pupload.api import web as shared
from pupload.api.flow import models, wire


def write(trouble: shared.Trouble) -> web.Response:
    """The answer for a request that did not go well."""
    if isinstance(trouble.error, errors.UnknownRun):
        # The contract's own words, and its status.
        return web.Response(status=400, text=trouble.sentence, headers=trouble.headers)
    found = trouble.error.findings if isinstance(trouble.error, errors.Invalid) else ()
    problem = models.Problem(
        error=trouble.sentence,
        Findings=wire.write_findings(found),
        MoreFindings=wire.more_findings(found),
        Problems=_wrong_places(trouble.error),
        RequestID=trouble.request_id if trouble.status >= 500 else "",
    )
    return shared.json_bytes(wire.encode(problem), status=trouble.status, headers=trouble.headers)


def _wrong_places(error: errors.PuploadError | None) -> list[models.WrongPlace]:
    if not isinstance(error, errors.Malformed):
        return []
    return [
        models.WrongPlace(Path=each.path, Description=each.sentence) for each in error.facts.get("problems", ())[:100]
    ]
