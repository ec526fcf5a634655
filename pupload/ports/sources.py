"""Places that flows are found in."""

from typing import Protocol

from pupload.domain import sources


class SourceReader(Protocol):
    """Reads sources of one kind. It executes nothing of theirs, and follows no link out of them."""

    async def read(self, source: sources.Source, *, known: str = "") -> sources.Tree | None:
        """
        The files that matter, of one moment; None where the revision is still the one that is `known`.

        What one file keeps from being read is a problem of the tree. Raises `errors.SourceUnavailable` where the
        source cannot be read, or is larger than a source may be.
        """
