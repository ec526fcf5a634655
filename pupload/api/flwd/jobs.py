"""Jobs: saved flows that are where they were found."""

from collections.abc import AsyncIterator, Mapping, Sequence

from aiohttp import web

from pupload import errors
from pupload.api.web import SERVICES
from pupload.domain import saved
from pupload.service import flows


async def find(request: web.Request, job_id: str) -> flows.FlowView:
    """The job of this id. Raises `errors.UnknownSavedFlow`, also for one that its source has no more."""
    try:
        found = await request.app[SERVICES].flows.get(job_id)
    except errors.UnknownSavedFlow:
        raise errors.UnknownSavedFlow(flow=job_id[: saved.MOST_NAME]) from None
    if found.flow.gone:
        raise errors.UnknownSavedFlow(flow=job_id[: saved.MOST_NAME])
    return found


async def every(
    request: web.Request, *, source: str | None, namespace: str | None
) -> AsyncIterator[Sequence[saved.SavedFlow]]:
    """All of them, those of the source and of the namespace where one is given; no group is empty."""
    seen = 0
    while True:
        page = await request.app[SERVICES].flows.list(
            source=source, namespace=namespace, limit=flows.MAX_PAGE, offset=seen
        )
        if there := [one for one in page.flows if not one.gone]:
            yield there
        seen += len(page.flows)
        if len(page.flows) < flows.MAX_PAGE:
            return


def id_of(names: Mapping[str, str], flow_id: str, run_id: str) -> str:
    """
    The id of the job that a run is of, where these are the names of saved flows.

    Where the flow was removed it is the flow's own id; a run of no saved flow has one with the bits of the run's.
    """
    return names.get(flow_id) or flow_id or saved.new_id(run_id)
