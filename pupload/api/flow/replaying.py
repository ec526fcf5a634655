"""What a replay is to do otherwise, as it goes over the wire."""

from typing import Any

from pupload.api.flow import models, reading
from pupload.domain import replaying


def read(document: Any) -> replaying.Edits:
    """What is to be otherwise. Raises `errors.Malformed`."""
    asked = reading.read(models.Replay, document, warnings=[])
    return replaying.Edits(
        from_nodes=tuple(asked.From),
        flags=tuple(replaying.Setting(node=each.Node, name=each.Name, value=each.Value) for each in asked.Flags),
        parts=tuple(replaying.Setting(node=each.Node, name=each.Key, value=each.Value) for each in asked.Set),
    )
