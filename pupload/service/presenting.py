"""A run made ready to be shown: with URLs signed for this moment and the last lines of its logs."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote

from pupload import errors
from pupload.domain import awaiting, collection, deadlines, mime
from pupload.domain.access import Permission
from pupload.domain.artifact import Artifact
from pupload.domain.plan import EdgePlan, Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service import asking
from pupload.service.views import ArtifactView, AwaitedApproval, AwaitedRun, Items, Page, RunView, WaitingUpload

URL_SECONDS = 3600
"""How long a presigned URL works; a new one is had by asking again."""

SIGNED_AT_ONCE = 100
"""URLs signed before others have their turn."""

TAIL = 100
"""Log lines of each node in a run's status."""


MOST_ITEMS = 1000
"""On a page."""


class Presenter:
    """Makes views of runs."""

    def __init__(self, engine: Engine) -> None:
        self._staging = engine.staging
        self._journal = engine.world.journal
        self._clock = engine.world.clock
        self._slots = engine.admission.slots
        self._consequences = engine.consequences

    async def view(self, run: Run, items: Items | None = None, *, new: bool = False) -> RunView:
        """
        The run as it stands; of its items none, or those that are asked for. Raises `errors.Malformed`.

        A `new` run is shown as it was begun, when nothing had written a line yet.
        """
        await self._staging.prepare(run)
        page = None if items is None else _page(run, items)
        nodes = [*run.plan.nodes] if items is None else _names(items.node, page)
        edges = run.plan.edges if items is None else _names(items.edge, page)
        # Of many nodes without items those that wrote something are found faster than looked for one by one.
        of_nodes = None if items is None and len(run.nodes) == len(run.plan.nodes) else frozenset(nodes)
        awaited = deadlines.awaited(run)
        origins = {run.plan.edges[edge].origin for edge in awaited}
        return RunView(
            run=run,
            nodes=nodes,
            logs={} if new else await self._journal.log_tails(run.id, lines=TAIL, nodes=of_nodes),
            waiting=[self.waiting(run, edge) for edge in awaited if _is_given(run.plan.edges[edge])],
            artifacts=await self._artifacts(run, edges),
            warnings=run.plan.warnings,
            position=self._slots.position(run.id),
            page=page,
            approvals=[_approval(run, edge) for edge in awaiting.approvals(run)] if Origin.APPROVAL in origins else (),
            children=await self._children(run) if Origin.RUN in origins else (),
        )

    async def _children(self, run: Run) -> list[AwaitedRun]:
        edges = awaiting.runs(run)
        started = await self._consequences.children(run.id)
        deadline = deadlines.of_uploads(run)
        return [
            AwaitedRun(edge=edge.name, flow=edge.flow, run=started.get(edge.name, ""), deadline=deadline)
            for edge in edges
        ]

    def waiting(self, run: Run, edge: str) -> WaitingUpload:
        """The edge, with a URL that takes its object, for who may bring it."""
        plan = run.plan.edges[edge]
        webhook = plan.origin is Origin.WEBHOOK
        url = ""
        if asking.caller().may(Permission.RUNS_UPLOAD):
            url = _webhook(run, plan) if webhook else self._put_url(run, plan)
        return WaitingUpload(
            edge=edge,
            store=plan.store,
            key=plan.key,
            url=url,
            expires_at=self._clock.now() + self._clock.skew() + timedelta(seconds=URL_SECONDS),
            deadline=deadlines.of_uploads(run),
            method="POST" if webhook else "PUT",
        )

    async def _artifacts(self, run: Run, edges: Collection[str]) -> dict[str, ArtifactView]:
        views: dict[str, ArtifactView] = {}
        for edge in edges if len(edges) < len(run.artifacts) else run.artifacts:
            if edge in run.artifacts and edge in edges:
                views[edge] = self._artifact(run, run.artifacts[edge])
                if len(views) % SIGNED_AT_ONCE == 0:
                    await asyncio.sleep(0)
        return views

    def _artifact(self, run: Run, artifact: Artifact) -> ArtifactView:
        if artifact.edge in run.gone:
            return ArtifactView(artifact=artifact, url="", deleted_at=run.gone[artifact.edge])
        if artifact.items is not None:
            return ArtifactView(artifact=artifact, url="")  # each of its items has one
        store = self._staging.store(run, artifact.store)
        name = artifact.file_name or artifact.edge + mime.extension(artifact.content_type)
        with suppress(errors.StoreUnavailable):
            url = store.presign_get(artifact.key, expires_seconds=URL_SECONDS, filename=name)
            return ArtifactView(artifact=artifact, url=url)
        return ArtifactView(artifact=artifact, url="")  # a secret is not set: no reason to show nothing

    def _put_url(self, run: Run, plan: EdgePlan) -> str:
        with suppress(errors.StoreUnavailable):
            return self._staging.store(run, plan.store).presign_put(plan.upload_key, expires_seconds=URL_SECONDS)
        return ""


def _webhook(run: Run, plan: EdgePlan) -> str:
    token = plan.upload_key.rpartition("/")[2]
    return f"/api/v1/upload/{run.id}/{quote(plan.name, safe='')}/receive?token={token}"


def _page(run: Run, items: Items) -> Page:
    """Which of the items of the node, or on the edge, there are. Raises `errors.Malformed` for what there is not."""
    if items.node and items.edge:
        raise errors.Malformed(reason="name a node or an edge, not both")
    total = 0
    if items.edge:
        if items.edge not in run.plan.edges:
            raise errors.Malformed(reason=f"run {run.id} has no edge {items.edge[:64]}")
        artifact = run.artifacts.get(items.edge)
        total = 0 if artifact is None else artifact.items or 0
    else:
        if items.node not in run.plan.nodes:
            raise errors.Malformed(reason=f"run {run.id} has no node {items.node[:64]}")
        known = run.nodes[items.node].items
        total = 0 if known is None else known.total
    return Page(offset=items.offset, limit=min(items.limit, MOST_ITEMS), total=total)


def _names(whole: str, page: Page | None) -> list[str]:
    """What the items on the page are called."""
    if not whole or page is None:
        return []
    return [collection.item(whole, place) for place in range(page.offset, min(page.offset + page.limit, page.total))]


def _approval(run: Run, edge: str) -> AwaitedApproval:
    nodes = [node for node in run.plan.edges[edge].consumers if not run.nodes[node].status.terminal]
    return AwaitedApproval(edge=edge, nodes=nodes, deadline=deadlines.of_uploads(run))


def _is_given(edge: EdgePlan) -> bool:
    """Whether somebody is to bring the object."""
    return edge.origin in (Origin.UPLOAD, Origin.WEBHOOK)
