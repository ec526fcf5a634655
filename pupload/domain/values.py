"""
Frozen values with some of their fields changed, at an eighth of what `dataclasses.replace` takes.

A large run makes millions of them. `dataclasses.replace` looks at every field by name, and a frozen value is filled
through `object.__setattr__`, field by field. `quick` gives a class a `__replace__` that is written out for its fields
and fills the new value before it is frozen; nobody sees it until it is.
"""

from collections.abc import Callable
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, TypeVar

V = TypeVar("V")

if TYPE_CHECKING:
    from dataclasses import replace as replace  # noqa: PLC0414 - handed on
else:

    def replace(value, /, **changes):
        """The value with these fields in place of its own; of a class that is `quick`."""
        return value.__replace__(**changes)


def quick(kind: type[V]) -> type[V]:
    """The class, a frozen dataclass with slots, with a `__replace__` that takes its fields by name."""
    names = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    assert all(each.init for each in fields(kind)), f"{kind.__name__} has fields that nobody gives"  # type: ignore[arg-type]
    assert not hasattr(kind, "__post_init__"), f"{kind.__name__} looks at what it is given"
    # Of the same layout, so that a value can be one of it first, and of `kind` once it is filled.
    unfrozen = type(
        kind.__name__,
        (kind,),
        {"__slots__": (), "__setattr__": object.__setattr__, "__delattr__": object.__delattr__},
    )
    setattr(kind, "__replace__", _written_out(names, kind, unfrozen))  # noqa: B010 - mypy knows no such method
    return kind


def _written_out(names: list[str], kind: type, unfrozen: type) -> Callable[..., Any]:
    """The function, as it would be written by hand; so does `dataclasses` make an `__init__`."""
    given = ", ".join(f"{name}=_as_it_was" for name in names)
    fill = "".join(f"    new.{name} = self.{name} if {name} is _as_it_was else {name}\n" for name in names)
    text = (
        f"def __replace__(self, *, {given}):\n"
        "    new = _new(_unfrozen)\n"
        f"{fill}"
        "    new.__class__ = _kind\n"
        "    return new\n"
    )
    scope: dict[str, Any] = {"_as_it_was": MISSING, "_new": object.__new__, "_unfrozen": unfrozen, "_kind": kind}
    exec(text, scope)  # noqa: S102 - of names of fields, which are ours
    made: Callable[..., Any] = scope["__replace__"]
    return made
