"""Sources, assembled: which there are by the operator's file, and who reads them."""

from pupload import errors
from pupload.adapters.folder.tree import FolderSource
from pupload.adapters.git.repository import GitSource
from pupload.api import documents
from pupload.api.flow.sourced import Interpreter
from pupload.domain import sourcefile
from pupload.domain.sources import Kind, Source
from pupload.engine.engine import Engine
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
    return Sources(
        known=known(settings),
        readers={Kind.FS: FolderSource(), Kind.GIT: GitSource(scratch=scratch, reveal=world.secrets.reveal)},
        meaning=Interpreter,
        flows=flows,
        clock=world.clock,
    )
