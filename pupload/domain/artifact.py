"""What lies on an edge: one immutable object in a store."""

from dataclasses import dataclass
from datetime import datetime

from pupload.domain import values
from pupload.domain.facts import Facts


@values.quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An object as it was recorded: the bytes that are processed are the bytes with this hash."""

    edge: str
    store: str
    """The store's name in the flow."""
    key: str
    size: int
    """Bytes."""
    content_type: str
    """Told from the bytes."""
    sha256: str
    """Lower-case hex."""
    etag: str
    created_at: datetime
    node: str | None = None
    """The node that made it; None for an upload."""
    attempt: int | None = None
    file_name: str = ""
    """What the user called it, where we know; never used as a path."""
    facts: Facts | None = None
    """What its headers say; None where that is nothing, or nobody looked."""
    items: int | None = None
    """
    How many places there are where this is a collection, whose objects are the artifacts of its items (see
    `pupload.domain.collection`); None: it is one object.
    """
    value: str = ""
    """What it says (`pupload.domain.truth.legible`), where a condition asks for that and it says anything."""
