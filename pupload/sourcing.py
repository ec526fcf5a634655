"""Sources, assembled: which there are by the operator's file, and who reads them."""

import shutil
from collections.abc import Sequence

from pupload import errors, ports
from pupload.adapters.folder.tree import FolderSource
from pupload.adapters.git.repository import GitSource
from pupload.api import documents
from pupload.api.flow.sourced import Interpreter
from pupload.domain import sourcefile
from pupload.domain.sources import Kind, Source
from pupload.engine.engine import Engine
from pupload.service import owned
from pupload.service.flows import Flows
from pupload.service.sources import Sources
from pupload.settings import Settings

MOST_BYTES = 1 << 20
"""Of the file of sources."""


def known(settings: Settings) -> tuple[Source, ...]:
    """The sources that the operator names. Raises `errors.Misconfigured` with file, line and reason."""
    path = settings.sources
    if path is None:
        return ()
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES + 1).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.Misconfigured(reason=f"the sources {path} cannot be read: {error}") from error
    if len(text) > MOST_BYTES:
        raise errors.Misconfigured(reason=f"the sources {path} are larger than {MOST_BYTES} bytes")
    try:
        document = documents.parse_yaml(text, name=str(path))
        return sourcefile.read(document.value)
    except sourcefile.Wrong as wrong:
        raise errors.Misconfigured(reason=f"{path}:{document.line(wrong.pointer)}: {wrong}") from wrong
    except errors.Malformed as error:
        raise errors.Misconfigured(reason=str(error)) from error


def make_sources(engine: Engine, settings: Settings, flows: Flows) -> Sources:
    """The sources that the operator names, not looked at yet. Raises `errors.Misconfigured`."""
    world = engine.world
    scratch = engine.config.attempts_root.parent / "sources"
    secrets = owned.Secrets(world.secrets)

    async def reveal(name: str) -> str | None:
        return await secrets.reveal_to_operator(name, world.accounts)

    return Sources(
        known=known(settings),
        readers={Kind.FS: FolderSource(), Kind.GIT: GitSource(scratch=scratch, reveal=reveal)},
        meaning=Interpreter,
        flows=flows,
        clock=world.clock,
    )


def check(settings: Settings) -> Sequence[ports.ProbeLine]:
    """Whether the sources can be read, as far as that is known without asking any; nothing where there are none."""
    try:
        found = known(settings)
    except errors.Misconfigured as error:
        return [ports.ProbeLine(what="sources", ok=False, detail=str(error))]
    lines = [ports.ProbeLine(what="sources", ok=True, detail=", ".join(source.name for source in found))]
    if any(source.type is Kind.GIT for source in found):
        git = shutil.which("git")
        detail = git or "the git program is not installed: no git repository can be a source"
        lines.append(ports.ProbeLine(what="git", ok=git is not None, detail=detail))
    return lines if found else []
