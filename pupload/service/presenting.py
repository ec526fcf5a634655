"""A run made ready to be shown: with URLs signed for this moment and the last lines of its logs."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from urllib.parse import quote

from pupload import errors
from pupload.domain import deadlines, mime
from pupload.domain.artifact import Artifact
from pupload.domain.plan import EdgePlan, Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service.views import ArtifactView, RunView, WaitingUpload

URL_SECONDS = 3600
"""How long a presigned URL works; a new one is had by asking again."""

SIGNED_AT_ONCE = 100
"""URLs signed before others have their turn."""

TAIL = 100
"""Log lines of each node in a run's status."""


class Presenter:
    """Makes views of runs."""

    def __init__(self, engine: Engine) -> None:
        self._staging = engine.staging
        self._journal = engine.world.journal
        self._clock = engine.world.clock

    async def view(self, run: Run) -> RunView:
        """The run as it stands."""
        await self._staging.prepare(run)
        return RunView(
            run=run,
            logs=await self._journal.log_tails(run.id, lines=TAIL),
            waiting=[self.waiting(run, edge) for edge in deadlines.awaited(run) if _is_given(run.plan.edges[edge])],
            artifacts=await self._artifacts(run),
            warnings=run.plan.warnings,
        )

    def waiting(self, run: Run, edge: str) -> WaitingUpload:
        """The edge, with a URL that takes its object."""
        plan = run.plan.edges[edge]
        webhook = plan.origin is Origin.WEBHOOK
        url = (
            f"/api/v1/upload/{run.id}/{quote(edge, safe='')}/receive?token={plan.upload_key.rpartition('/')[2]}"
            if webhook
            else self._put_url(run, plan)
        )
        return WaitingUpload(
            edge=edge,
            store=plan.store,
            key=plan.key,
            url=url,
            expires_at=self._clock.now() + self._clock.skew() + timedelta(seconds=URL_SECONDS),
            deadline=deadlines.of_uploads(run),
            method="POST" if webhook else "PUT",
        )

    async def _artifacts(self, run: Run) -> dict[str, ArtifactView]:
        views: dict[str, ArtifactView] = {}
        for edge, artifact in run.artifacts.items():
            views[edge] = self._artifact(run, artifact)
            if len(views) % SIGNED_AT_ONCE == 0:
                await asyncio.sleep(0)
        return views

    def _artifact(self, run: Run, artifact: Artifact) -> ArtifactView:
        if artifact.edge in run.gone:
            return ArtifactView(artifact=artifact, url="", deleted_at=run.gone[artifact.edge])
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


def _is_given(edge: EdgePlan) -> bool:
    """Whether somebody is to bring the object; a static one is there or not."""
    return edge.origin is not Origin.STATIC
