"""What happened in a run, as its journal goes over the wire."""

from dataclasses import fields, is_dataclass
from typing import Any

from pupload import ports
from pupload.api.flow import holding, models
from pupload.domain import artifact, events


def write(entry: ports.Entry) -> models.JournalEntry:
    """A line of the journal; its facts are the event's fields, in PascalCase."""
    event = entry.event
    told = {_pascal(each.name): _fact(getattr(event, each.name)) for each in fields(event)}
    return models.JournalEntry(Seq=entry.seq, At=entry.at, Kind=events.name_of(event), Data=told)


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _fact(value: Any) -> Any:
    if isinstance(value, artifact.Artifact):
        return {
            "StoreName": value.store,
            "ObjectName": value.key,
            "EdgeName": value.edge,
            "Size": value.size,
            "ContentType": value.content_type,
            "SHA256": value.sha256,
            **({"Items": value.items} if value.items is not None else {}),
            **({"Facts": holding.write_facts(value.facts)} if value.facts is not None else {}),
        }
    if isinstance(value, tuple):
        return [_fact(each) for each in value]
    if is_dataclass(value):
        return {_pascal(each.name): _fact(getattr(value, each.name)) for each in fields(value)}
    return value
