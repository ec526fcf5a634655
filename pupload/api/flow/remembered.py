"""Work that is used again, in the words of the wire."""

import msgspec

from pupload.api.flow import models
from pupload.domain import memo
from pupload.service.why import Why


def write_source(source: memo.Source | None) -> models.WorkSource | msgspec.UnsetType:
    """Where the work was done; unset where that is not known."""
    if source is None:
        return msgspec.UNSET
    return models.WorkSource(Run=source.run, Node=source.node, At=source.at)


def write_why(this: Why) -> models.Why:
    """Why a node ran, or did not."""
    return models.Why(
        Run=this.run,
        Node=this.node,
        Outcome=this.outcome.value,
        Sentence=this.sentence,
        From=write_source(this.source),
        Differences=[
            models.WorkDifference(Component=one.component, Now=one.now, Was=one.was) for one in this.differences
        ],
        MoreDifferences=this.more,
    )
