"""What a run says of where it comes from, the saved flow that it is of and its labels; and of where it stands."""

from typing import Any

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
    return found
