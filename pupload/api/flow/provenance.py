"""What a run says of where it comes from, the saved flow that it is of and its labels; and of where it stands."""

from typing import Any

import msgspec

from pupload.api.flow import models
from pupload.domain import priority
from pupload.service import views


def write(view: views.RunView) -> dict[str, Any]:
    """The fields of FlowRun that say it; none for a run of no saved flow that has no labels, as most have no others."""
    this, found = view.run, dict[str, Any]()
    if this.plan.provenance is not None:
        found = {"FlowID": this.plan.provenance.flow, "FlowVersion": this.plan.provenance.version}
    if this.plan.labels:
        found["Labels"] = dict(this.plan.labels)
    if value := priority.of(this):
        found["Priority"] = value
    if this.queued_at is not None and not this.status.terminal:
        found["Queued"] = models.Queued(Since=this.queued_at, Position=view.position)
    return found | _awaited(view)


def _awaited(view: views.RunView) -> dict[str, Any]:
    """What it waits for besides files, and who waits for it."""
    found = dict[str, Any]()
    if view.approvals:
        found["AwaitedApprovals"] = [
            models.AwaitedApproval(Edge=each.edge, Nodes=list(each.nodes), Deadline=each.deadline)
            for each in view.approvals
        ]
    if view.children:
        found["AwaitedRuns"] = [
            models.AwaitedRun(Edge=each.edge, Flow=each.flow, Deadline=each.deadline, ID=each.run or msgspec.UNSET)
            for each in view.children
        ]
    if view.run.plan.parent is not None:
        found["Parent"] = view.run.plan.parent.run
    return found
