"""Approvals over the wire: somebody says yes or no to a run that asks."""

from typing import Any

from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import answering, models, reading
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission


class Approval(models.Request):
    """Yes or no, and why."""

    Approve: bool
    Comment: str = ""


async def approve(request: web.Request) -> web.Response:
    said = await shared.read_document(request, _read)
    run, edge = request.match_info["flowRunID"], request.match_info["edge"]
    view = await request.app[SERVICES].approvals.answer(run, edge, approve=said.Approve, comment=said.Comment)
    return await answering.run(request, view)


def _read(document: Any) -> Approval:
    return reading.read(Approval, document, warnings=[])


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/flow/approve/{flowRunID}/{edge}",
        handler=approve,
        needs=Permission.RUNS_UPLOAD,
        summary="Say yes or no to a run that asks on this edge",
        reads=Approval,
        answers=models.FlowRun,
        optional_body=False,
    ),
)
