# ruff: noqa: PLC0415 - what assembles a server takes seconds to import, and some here only ask for the settings
"""Commands that run a server here, or look at what one needs: dev, serve, doctor."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pupload import errors, ports
from pupload.cli import failures, project
from pupload.cli.output import Output
from pupload.settings import Settings


def settings(**given: Any) -> Settings:
    """The settings, those that were given on the command line over the others. Raises `errors.Misconfigured`."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        said = [_sentence(".".join(str(step) for step in each["loc"]), each["msg"]) for each in error.errors()]
        raise errors.Misconfigured(reason="; ".join(said)) from error


def _sentence(name: str, message: str) -> str:
    said = message.removeprefix("Value error, ")
    return f"setting {name}: {said}" if name else said


def serve(out: Output, *, dev: bool, start: Path, **given: Any) -> int:
    """Runs a server until a signal."""
    chosen = settings(**(_of_project(start) if dev else {}), **given)
    name = "pup dev" if dev else "pup serve"

    def ready(url: str) -> None:
        if out.as_json:
            out.json({"event": "ready", "url": url})
        else:
            out.say(f"{name} is ready at {url} (API: {url}/api/openapi.json; Ctrl-C stops it)")

    def setup(token: str) -> None:
        if out.as_json:
            out.json({"event": "setup", "token": token})
        else:
            out.say(f"nobody has an account here; who makes the first from elsewhere is asked for {token}")

    from pupload import wiring

    wiring.set_up_logging(chosen)
    with asyncio.Runner(loop_factory=wiring.loop_factory()) as runner:
        runner.run(_until_signal(chosen, ready, setup, dev=dev))
    return failures.OK


def _of_project(start: Path) -> dict[str, Any]:
    """What the project around us decides: where the data is, and which node types there are."""
    folder = project.find_root(start)
    if folder is None:
        return {}
    found: dict[str, Any] = {}
    if (folder / "nodes").is_dir() and "node_folders" not in settings().model_fields_set:
        found["node_folders"] = (folder / "nodes",)
    return found


async def _until_signal(
    chosen: Settings, ready: Callable[[str], None], setup: Callable[[str], None], *, dev: bool
) -> None:
    from pupload import wiring

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await wiring.serve(chosen, on_ready=ready, on_setup=setup, stop=stop, dev=dev)


def doctor(out: Output, **given: Any) -> int:
    """Tries everything a server needs; fails where it could not work."""
    from pupload import doctor

    lines = asyncio.run(doctor.examine(settings(**given)))
    if out.as_json:
        out.json([{"group": group, **asdict(line)} for group, line in lines])
    for group, found in groupby(lines, key=lambda pair: pair[0]):
        out.say(group, style="bold")
        for _, line in found:
            mark, style = _mark(line)
            out.say(f"  {mark} {line.what}{f': {line.detail}' if line.detail else ''}", style=style)
    bad, better = sum(not line.ok for _, line in lines), sum(line.warning for _, line in lines)
    if not bad:
        out.say(f"a server can work here{f'; {better} of {len(lines)} checks say warn' if better else ''}")
    if bad:
        out.fail(f"{bad} of {len(lines)} checks failed")
    return failures.FAILED if bad else failures.OK


def _mark(line: ports.ProbeLine) -> tuple[str, str | None]:
    """How a line begins, and its colour."""
    if not line.ok:
        return "BAD ", "red"
    return ("warn", "yellow") if line.warning else ("ok  ", None)
