"""What a run says of where it comes from: the saved flow that it is of, and its labels."""

from typing import Any

from pupload.domain.plan import Plan


def write(plan: Plan) -> dict[str, Any]:
    """The fields of FlowRun that say it; none for a run of no saved flow that has no labels."""
    found: dict[str, Any] = {}
    if plan.provenance is not None:
        found = {"FlowID": plan.provenance.flow, "FlowVersion": plan.provenance.version}
    return {**found, "Labels": dict(plan.labels)} if plan.labels else found
