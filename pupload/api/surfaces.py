"""The surfaces that a server can show beside the native one, by their names."""

from collections.abc import Sequence

from pupload import errors
from pupload.api.flow import routes as flow
from pupload.api.flwd import routes as flwd
from pupload.api.pipelit import routes as pipelit
from pupload.api.runs import routes as runs
from pupload.api.studio import routes as studio
from pupload.api.web import Surface

NATIVE = flow.SURFACE

OTHERS: tuple[Surface, ...] = (runs.SURFACE, flwd.SURFACE, studio.SURFACE, pipelit.SURFACE)


def chosen(names: Sequence[str]) -> tuple[Surface, ...]:
    """The native surface and those of these names. Raises `errors.Misconfigured` for one that is not there."""
    known = {surface.name: surface for surface in OTHERS}
    for name in names:
        if name not in known:
            there = ", ".join(known) or "none"
            raise errors.Misconfigured(reason=f"there is no surface {name!r}; beside the native one there are: {there}")
    return (NATIVE, *(surface for surface in OTHERS if surface.name in names))
