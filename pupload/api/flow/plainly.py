"""
Requests that are written as the contract has them, letter for letter, read in one go.

Nearly all are: programs write them. For these every field's name and type is checked at once by msgspec, in a tenth of
the time that `reading` takes, and what comes out has the fields of the model. Whatever is otherwise in any way (another
case, an alias, null where a value is due, a number where a text is) is nothing to judge here: `reading` reads it again
with care, and says what is wrong.
"""

import types
import typing
from functools import cache
from typing import Annotated, Any, TypeVar, Union, cast

import msgspec
from pydantic import BeforeValidator, PlainValidator
from pydantic.fields import FieldInfo

from pupload.api.flow import models

M = TypeVar("M", bound=models.Request)

LONGEST = 200
"""Entries of a list. What is one call into a library keeps the event loop waiting, even from another thread."""

_SCALARS = (str, bool, int, float, type(None))
_Many = msgspec.Meta(max_length=LONGEST)


def read(model: type[M], document: Any) -> M | None:
    """What the document holds, with the fields of the model; None where it has to be read with care."""
    try:
        return cast(M, msgspec.convert(document, _shape(model)))
    except msgspec.ValidationError:
        return None


@cache
def _shape(model: type[models.Request]) -> type[msgspec.Struct]:
    fields = [_field(name, info) for name, info in model.model_fields.items()]
    return msgspec.defstruct(model.__name__, fields, forbid_unknown_fields=True, kw_only=True)


def _field(name: str, info: FieldInfo) -> Any:
    kind = None if _does_more(info.metadata) else _kind(info.annotation)
    if info.is_required():
        return name, msgspec.UnsetType if kind is None else kind
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return name, kind, msgspec.field(default_factory=kind)
    default = info.get_default(call_default_factory=True, validated_data={})
    # What has no kind here can only be left out.
    return name, msgspec.UnsetType if kind is None else kind, default


def _kind(annotation: Any) -> Any:
    """The type as msgspec is to hold a value against it; None where only `reading` can."""
    if annotation in _SCALARS:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, models.Request):
        return _shape(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return None if _does_more(arguments[1:]) else _kind(arguments[0])
    if origin in (Union, types.UnionType):
        kinds = [_kind(argument) for argument in arguments]
        return None if None in kinds else Union[tuple(kinds)]  # noqa: UP007 - they are known now only
    if origin is list and (kind := _kind(arguments[0])) is not None:
        return Annotated[list[kind], _Many]  # type: ignore[valid-type]
    if annotation == tuple[str, ...]:
        return Annotated[tuple[str, ...], _Many]
    return None


def _does_more(metadata: Any) -> bool:
    """Whether a value of the right type may be refused all the same. Our validators take each as it is."""
    return not all(isinstance(each, BeforeValidator | PlainValidator) for each in metadata)
