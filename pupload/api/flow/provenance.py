"""What a run says of where it comes from, the saved flow that it is of and its labels; and of where it stands."""

from typing import Any

from pupload.api.flow import models
from pupload.domain import priority
from pupload.domain.plan import Plan
from pupload.service import views


def write(plan: Plan) -> dict[str, Any]:
    """The fields of FlowRun that say it; none for a run of no saved flow that has no labels."""
    found: dict[str, Any] = {}
    if plan.provenance is not None:
        found = {"FlowID": plan.provenance.flow, "FlowVersion": plan.provenance.version}
    return {**found, "Labels": dict(plan.labels)} if plan.labels else found


def write_queue(view: views.RunView) -> dict[str, Any]:
    """The fields of FlowRun about its priority and its place in the queue; none for most."""
    found: dict[str, Any] = {}
    if value := priority.of(view.run):
        found["Priority"] = value
    if (since := view.run.queued_at) is not None and not view.run.status.terminal:
        found["Queued"] = models.Queued(Since=since, Position=view.position)
    return found
