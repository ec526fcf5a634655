"""
What passes between the nodes of a drawing: data types, as people draw them, and the media types they come to.

Two ports fit where some file can be of both. What a node lends, such as a model or a tool, is no file: it fits what
asks for the very same, and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pupload.domain import mime


class DataType(StrEnum):
    """Of what a port of a component takes or gives."""

    STRING = "string"
    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    ARRAY = "array"
    MESSAGE = "message"
    MESSAGES = "messages"
    IMAGE = "image"
    FILE = "file"
    ANY = "any"
    LLM = "llm"
    TOOL = "tool"
    MEMORY = "memory"
    OUTPUT_PARSER = "output_parser"
    SKILL = "skill"


LENT = frozenset({DataType.LLM, DataType.TOOL, DataType.MEMORY, DataType.OUTPUT_PARSER, DataType.SKILL})
"""What no file is: what a node is set to."""

_OWN = "application/vnd.pupload.{}+json"
_JSON = {
    each: _OWN.format(each)
    for each in (
        DataType.NUMBER,
        DataType.BOOLEAN,
        DataType.OBJECT,
        DataType.ARRAY,
        DataType.MESSAGE,
        DataType.MESSAGES,
    )
}

PRODUCED: Mapping[DataType, str] = {
    **_JSON,
    DataType.STRING: mime.TEXT,
    DataType.TEXT: mime.TEXT,
    DataType.IMAGE: "image/*",
    DataType.FILE: mime.UNKNOWN,
    DataType.ANY: mime.ANY,
}
"""The media type that an output of a data type gives."""

ACCEPTED: Mapping[DataType, tuple[str, ...]] = {
    **{each: (media,) for each, media in PRODUCED.items()},
    DataType.MESSAGE: (_JSON[DataType.MESSAGE], mime.TEXT),
    DataType.MESSAGES: (_JSON[DataType.MESSAGES], _JSON[DataType.MESSAGE], mime.TEXT),
}
"""The media types that an input of a data type takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentPort:
    """An input or output of a component."""

    name: str
    data_type: DataType = DataType.ANY
    description: str = ""
    required: bool = False
    types: tuple[str, ...] | None = None
    """The media types of a node definition's port, none meaning any; None: those of the data type."""
    many: bool = False
    """Whether it is a collection."""

    @property
    def is_lent(self) -> bool:
        """Whether nothing lies on it that is a file."""
        return self.data_type in LENT


def fit(output: ComponentPort, target: ComponentPort) -> bool:
    """Whether what the one gives may be what the other takes."""
    if output.is_lent or target.is_lent:
        return output.data_type is target.data_type
    given = (PRODUCED[output.data_type],) if output.types is None else output.types
    taken = ACCEPTED[target.data_type] if target.types is None else target.types
    if output.types is None and target.types is None:
        return mime.ANY in (*given, *taken) or any(each in taken for each in given)
    # A container's port says more than a data type: its media types decide, in which JSON is all that is written in it.
    return mime.compatible(given, taken)


def data_type_of(types: Sequence[str]) -> DataType:
    """The data type that the media types of a node definition's port come nearest to."""
    known = {mime.normalised(each) for each in types} - {None}
    if not known or mime.ANY in known:
        return DataType.ANY
    if known <= {mime.TEXT, "text/*"}:
        return DataType.STRING
    if all(each is not None and each.startswith("image/") for each in known):
        return DataType.IMAGE
    for data_type, media in _JSON.items():
        if known == {media}:
            return data_type
    return DataType.OBJECT if known == {"application/json"} else DataType.FILE
