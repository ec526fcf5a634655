"""Projects: flows and definitions that were pushed, and runs of them."""

from collections.abc import Mapping

from pupload import errors
from pupload.domain.flow import with_stores
from pupload.ports import FlowStore, Project
from pupload.service import owned
from pupload.service.runs import Runs
from pupload.service.views import Order, RunView


class Projects:
    """What can be asked about projects."""

    def __init__(self, *, flows: FlowStore, runs: Runs) -> None:
        self._projects = owned.Projects(flows)
        self._runs = runs

    async def get(self, project_id: str) -> Project:
        """Raises `errors.UnknownProject`."""
        return await self._projects.get(project_id.lower())

    async def put(self, project: Project) -> None:
        """Saves it, in place of an earlier one of the same id."""
        await self._projects.put(project)

    async def start(
        self,
        project_id: str,
        flow_name: str,
        *,
        params: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> RunView:
        """
        A new run of the project's flow, with these parameters.

        Raises `errors.UnknownProject`, `errors.UnknownFlow`, `errors.Invalid`.
        """
        project = await self.get(project_id)
        for flow in project.flows:
            if flow.name == flow_name:
                order = Order(
                    flow=with_stores(flow, project.stores), definitions=project.definitions, params=params or {}
                )
                return await self._runs.start(order, idempotency_key=idempotency_key)
        raise errors.UnknownFlow(flow=flow_name[:128], project=project.id)
