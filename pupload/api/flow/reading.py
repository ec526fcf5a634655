"""
Requests, held against their models.

`read` makes a model of plain values: names in any case, null as not given, every wrong type told at once with its JSON
pointer, every unknown field noted. What a model then means is told by `wire.py`.
"""

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar, Union

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from pupload import errors
from pupload.api import documents
from pupload.api.flow import models, plainly

M = TypeVar("M", bound=models.Request)
Tidier = Callable[["_Reading", Any, str], Any]

MAX_TOLD = 50
"""So many wrong places or unknown fields are told; then how many more there are."""

MAX_ENTRIES = 100_000
"""In one list."""

MAX_WRONG = 1000
"""Reading ends at so many wrong places: nobody mends more at once, and a large request could have a million."""

_CHUNK = 200
"""
Entries of a list that are held against their model at a time: whatever is one call into pydantic keeps the event loop
waiting, even from another thread.
"""


@dataclass(frozen=True, slots=True)
class Wrong:
    """A place in a request that cannot be read."""

    path: str
    """A JSON pointer."""
    sentence: str


def read(model: type[M], document: Any, *, warnings: list[str], yaml: bool = False) -> M:
    """
    The model that the document holds. Appends a sentence to `warnings` for every unknown field.

    With `yaml` a number or boolean is taken where a text is due, as it was written. Raises `errors.Malformed` with
    `problems`, the `Wrong` places, all of them.
    """
    if not yaml and (plain := plainly.read(model, document)) is not None:
        return plain
    reading = _Reading(yaml=yaml)
    tidy = reading.tidy(model, document, "")
    made: M | None = None
    try:
        made = model.model_validate(tidy)
    except ValidationError as error:
        reading.refuse(_wrong(detail, "") for detail in error.errors(include_url=False))
    if made is None or reading.wrong:
        raise malformed(reading.wrong)
    warnings += reading.unknown
    if reading.unknown_more:
        warnings.append(f"and {reading.unknown_more} more unknown fields")
    return made


def malformed(wrong: Sequence[Wrong]) -> errors.Malformed:
    """The error for these places."""
    said = [each.sentence for each in wrong[:MAX_TOLD]]
    left = len(wrong) - MAX_TOLD
    if left > 0:
        said.append(f"and {left} more" + (" (the rest was not read)" if len(wrong) >= MAX_WRONG else ""))
    return errors.Malformed(reason="; ".join(said), problems=tuple(wrong))


def pointer(*steps: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')[:80]}" for step in steps)


# ── Names ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Reading:
    yaml: bool
    wrong: list[Wrong] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    unknown_more: int = 0

    def refuse(self, wrong: Iterable[Wrong]) -> None:
        """Notes what is wrong. Raises `errors.Malformed` when it has become too much."""
        for each in wrong:
            self.wrong.append(each)
            if len(self.wrong) >= MAX_WRONG:
                raise malformed(self.wrong)

    def tidy(self, model: type[models.Request], value: Any, place: str) -> Any:
        """The value with its names as the model has them; what is no object is left for the model to refuse."""
        if not isinstance(value, dict):
            return value
        shape = _shape(model)
        tidy: dict[str, Any] = {}
        for name, item in value.items():
            known = shape.get(name.lower())
            if known is None:
                self._unknown(model, name, place)
            elif item is not None:
                if known.name in tidy:
                    self.refuse([Wrong(place, f"{place or '/'} has {known.name} twice ({name})")])
                tidy[known.name] = known.tidy(self, item, f"{place}/{known.name}")
        return tidy

    def entries(self, kind: Any, each: Tidier, value: Any, place: str) -> Any:
        """A list whose entries are tidy, and of a long one of models: made into them already, some at a time."""
        if not isinstance(value, list):
            return value
        if len(value) > MAX_ENTRIES:
            raise malformed([*self.wrong, Wrong(place, f"{place} has {len(value)} entries; {MAX_ENTRIES} at most")])
        if len(value) <= _CHUNK or not _is_model(kind):
            return [each(self, item, f"{place}/{index}") for index, item in enumerate(value)]
        made: list[Any] = []
        for start in range(0, len(value), _CHUNK):
            part = value[start : start + _CHUNK]
            tidy = [each(self, item, f"{place}/{start + at}") for at, item in enumerate(part)]
            made += self._made(kind, tidy, place, start)
        return made

    def _made(self, kind: Any, part: list[Any], place: str, start: int) -> Sequence[Any]:
        """The models that these hold; none where something is wrong, which is noted."""
        try:
            return _adapter(kind).validate_python(part)
        except ValidationError as error:
            details = error.errors(include_url=False)
            self.refuse(_wrong(detail, f"{place}/{start + int(detail['loc'][0])}", skip=1) for detail in details)
            return []

    def _unknown(self, model: type[models.Request], name: str, place: str) -> None:
        if len(self.unknown) == MAX_TOLD:
            self.unknown_more += 1
            return
        where = place + pointer(name)
        if name.lower() in models.UNUSED.get(model, ()):
            self.unknown.append(f"{where} has no effect")
        else:
            self.unknown.append(f"unknown field {where}")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    tidy: Tidier


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, models.Request)


@cache
def _adapter(kind: type[models.Request]) -> TypeAdapter[list[Any]]:
    return TypeAdapter(list[kind])  # type: ignore[valid-type]


@cache
def _shape(model: type[models.Request]) -> Mapping[str, _Field]:
    """The fields of a model by their names in small letters, the aliases among them."""
    fields = {name.lower(): _Field(name, _tidier(info.annotation)) for name, info in model.model_fields.items()}
    for alias, name in models.ALIASES.get(model, {}).items():
        fields[alias.lower()] = fields[name.lower()]
    if model is models.Store:
        fields["params"] = _Field("Params", _tidy_params)
    return fields


def _tidier(annotation: Any) -> Tidier:
    """How values of this type are made tidy."""
    if _is_model(annotation):
        return lambda reading, value, place: reading.tidy(annotation, value, place)
    if annotation is str:
        return _tidy_text
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _tidier(arguments[0])
    if origin is list:
        each = _tidier(arguments[0])
        return lambda reading, value, place: reading.entries(arguments[0], each, value, place)
    if origin in (Union, types.UnionType):
        return _tidier(next(argument for argument in arguments if argument is not type(None)))
    return lambda _, value, __: value


def _tidy_text(reading: _Reading, value: Any, _: str) -> Any:
    text = documents.spelling(value) if reading.yaml else None
    return value if text is None else text


def _tidy_params(reading: _Reading, value: Any, place: str) -> Any:
    """Parameters of a store: those we know in our spelling, the others as they are, for validation to judge."""
    if not isinstance(value, dict):
        return value
    known: dict[str, str] = {name.lower(): name for name in models.STORE_PARAMS}
    tidy: dict[str, Any] = {}
    for name, item in value.items():
        ours = known.get(str(name).lower(), str(name))
        if ours in tidy:
            reading.refuse([Wrong(place, f"{place} has {ours} twice ({name})")])
        if item is not None:
            tidy[ours] = item if isinstance(item, bool) else _tidy_text(reading, item, place)
    return tidy


# ── Types ────────────────────────────────────────────────────────────────────────────────────────────────────────

_DUE = {
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
}


def _wrong(detail: ErrorDetails, place: str, *, skip: int = 0) -> Wrong:
    """What pydantic found, at `place` and from there as it says; `skip` of its steps are in `place` already."""
    place += pointer(*detail["loc"][skip:])
    if detail["type"] == "missing":
        return Wrong(place, f"{place} is required")
    due = _DUE.get(detail["type"])
    if due is None:
        said = detail["msg"]
        if not said.startswith("must "):
            return Wrong(place, f"{place or 'the document'}: {said}")
        due = said
    return Wrong(place, f"{place or 'the document'} {due}, not {_kind(detail['input'])}")


def _kind(value: Any) -> str:
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return documents.spelling(value) or ""
    if isinstance(value, int | float):
        return "a number"
    return "nothing" if value is None else "a text"


def moment(name: str, text: str) -> datetime | None:
    """The time in a field, None where it is empty. Raises `errors.Malformed` for one without a zone."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise errors.Malformed(reason=f'{name} "{text[:40]}" is no time with its zone, such as 2026-03-01T12:00:00Z')
