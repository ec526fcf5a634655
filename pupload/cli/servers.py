"""Which server a command talks to."""

from dataclasses import dataclass
from pathlib import Path

from pupload.cli import project
from pupload.cli.failures import Usage

USUAL = "http://127.0.0.1:1234"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A server's address."""

    url: str
    chosen: bool
    """Whether somebody said so; else it is only where a server usually is."""


def resolve(option: str, variable: str, *, start: Path) -> Address:
    """
    The address said by `--url`, else by PUPLOAD_URL, else the project's first controller, else the usual one.

    An option that is the name of one of the project's controllers means that controller.
    """
    folder = project.find_root(start)
    known = project.controllers(folder) if folder else ()
    if option:
        return Address(url=_named(option, known), chosen=True)
    if variable:
        return Address(url=variable, chosen=True)
    if known:
        return Address(url=known[0].url, chosen=True)
    return Address(url=USUAL, chosen=False)


def _named(option: str, known: tuple[project.Controller, ...]) -> str:
    for controller in known:
        if controller.name == option:
            return controller.url
    if "://" not in option:
        names = ", ".join(controller.name for controller in known) or "none"
        raise Usage(reason=f"{option} is neither an address (http://…) nor a controller of the project ({names})")
    return option
