"""
A project's folder, read.

A project is the nearest folder upwards with a `pup.yaml`; every YAML file in `flows/` and `node_defs/` belongs to it,
and so does every `nodes/<publisher>/<name>/node.yaml`. All of it is read, and what cannot be read is told with its
file and line: a file that is silently left out would be looked for in vain.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pupload import errors
from pupload.api import documents
from pupload.api.flow import wire
from pupload.cli.failures import Usage
from pupload.domain import flow, nodedef
from pupload.domain.validation.findings import Finding

FILE = "pup.yaml"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded(Generic[T]):
    """A value and the file it stands in."""

    value: T
    path: Path
    document: documents.Document = field(repr=False)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """A server that the project knows by name."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """Everything in a project's folder."""

    root: Path
    id: str
    name: str
    controllers: tuple[Controller, ...]
    flows: tuple[Loaded[flow.Flow], ...]
    definitions: tuple[Loaded[nodedef.NodeDef], ...]
    settings: dict[str, Any] = field(repr=False)
    """All of `pup.yaml`."""

    def find_flow(self, name: str) -> Loaded[flow.Flow]:
        """The flow of this name, or in the file of this name. Raises `Usage` when there is none."""
        for loaded in self.flows:
            if name in (loaded.value.name, loaded.path.stem, loaded.path.name):
                return loaded
        known = ", ".join(each.value.name or each.path.stem for each in self.flows) or "none"
        raise Usage(reason=f"the project has no flow {name}; it has: {known}")

    def used_by(self, asked: flow.Flow) -> tuple[Loaded[nodedef.NodeDef], ...]:
        """The definitions that the flow's nodes use."""
        used = {node.uses for node in asked.nodes}
        return tuple(loaded for loaded in self.definitions if loaded.value.uses in used)


def find_root(start: Path) -> Path | None:
    """The nearest folder from `start` upwards with a `pup.yaml`."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / FILE).is_file()), None)


def root(start: Path) -> Path:
    """As `find_root`. Raises `Usage` where there is no project."""
    found = find_root(start)
    if found is None:
        raise Usage(reason=f"there is no {FILE} here or above; `pup init` makes a project")
    return found


def load(start: Path) -> Project:
    """The project around `start`. Raises `Usage`, or `errors.Malformed` with file and line."""
    folder = root(start)
    settings = read_settings(folder)
    flows = [_flow(path, folder) for path in _yaml_files(folder / "flows")]
    definitions = [_definition(path, folder) for path in _definition_files(folder)]
    _unique([(each.value.name or each.path.stem, each) for each in flows], "flow")
    _unique([(each.value.uses, each) for each in definitions], "node definition")
    return Project(
        root=folder,
        id=str(settings.get("ID") or ""),
        name=str(settings.get("ProjectName") or folder.name),
        controllers=tuple(_controllers(settings)),
        flows=tuple(flows),
        definitions=tuple(definitions),
        settings=settings,
    )


def _yaml_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def _definition_files(folder: Path) -> Iterator[Path]:
    for name in ("node_defs", "tasks"):
        yield from _yaml_files(folder / name)
    yield from sorted((folder / "nodes").glob("*/*/node.yaml"))


def _flow(path: Path, folder: Path) -> Loaded[flow.Flow]:
    document = _document(path, folder)
    warnings: list[str] = []
    with _located(document):
        value = wire.read_flow(document.value, warnings=warnings, yaml=True)
    return Loaded(value=value, path=path, document=document, warnings=tuple(warnings))


def _definition(path: Path, folder: Path) -> Loaded[nodedef.NodeDef]:
    document = _document(path, folder)
    warnings: list[str] = []
    with _located(document):
        value = wire.read_definition(document.value, warnings=warnings, yaml=True)
    return Loaded(value=value, path=path, document=document, warnings=tuple(warnings))


def _document(path: Path, folder: Path) -> documents.Document:
    name = str(path.relative_to(folder))
    try:
        return documents.parse_yaml(path.read_text(encoding="utf-8"), name=name)
    except UnicodeDecodeError as error:
        raise errors.Malformed(reason=f"{name}:1: the file is not UTF-8") from error
    except OSError as error:
        raise errors.Malformed(reason=f"{name}: {error.strerror}") from error


class _located:  # noqa: N801 - used as a statement
    """Puts file and line before what is said of a document."""

    def __init__(self, document: documents.Document) -> None:
        self._document = document

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, errors.Malformed):
            wrong = error.facts.get("problems", ())
            said = "; ".join(f"{self._at(each.path)}: {each.sentence}" for each in wrong) or error.message
            raise errors.Malformed(reason=said) from error

    def _at(self, pointer: str) -> str:
        return f"{self._document.name}:{self._document.line(pointer)}"


def _unique(named: Sequence[tuple[str, Loaded[Any]]], what: str) -> None:
    seen: dict[str, Loaded[Any]] = {}
    for name, loaded in named:
        if name in seen:
            both = f"{seen[name].document.name} and {loaded.document.name}"
            raise errors.Malformed(reason=f"{both} both have the {what} {name}")
        seen[name] = loaded


# ── pup.yaml ─────────────────────────────────────────────────────────────────────────────────────────────────────


def read_settings(folder: Path) -> dict[str, Any]:
    """All of `pup.yaml`, its known keys in our spelling. Raises `errors.Malformed`."""
    return _settings(_document(folder / FILE, folder).value)


def _settings(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise errors.Malformed(reason=f"{FILE}:1: the file must hold names and values")
    known: dict[str, str] = {
        name.lower(): name for name in ("ID", "ProjectName", "Controllers", "GlobalStores", "Extra")
    }
    return {known.get(str(name).lower(), str(name)): item for name, item in value.items()}


def write_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Writes `pup.yaml`, whole or not at all."""
    _write(folder, documents.write_yaml(settings))


def write_controllers(folder: Path, known: Sequence[Controller]) -> None:
    """
    Changes the servers in `pup.yaml`, and nothing else: what stands around them stays as it was written.

    Where they are written so unusually that this cannot be done, the file is written anew, without its comments.
    """
    settings = read_settings(folder)
    settings["Controllers"] = [{"Name": each.name, "URL": each.url} for each in known]
    block = documents.write_yaml({"Controllers": settings["Controllers"]})
    text, found = _CONTROLLERS.subn(lambda _: block, (folder / FILE).read_text(encoding="utf-8"), count=1)
    if not found:
        text = f"{text.rstrip()}\n{block}"
    _write(folder, text if _says(text, settings) else documents.write_yaml(settings))


_CONTROLLERS = re.compile(r"^controllers[ \t]*:.*\n?(?:(?:[ \t]+\S|-).*\n?)*", re.MULTILINE | re.IGNORECASE)


def _says(text: str, settings: dict[str, Any]) -> bool:
    try:
        return _settings(documents.parse_yaml(text, name=FILE).value) == settings
    except errors.Malformed:
        return False


def _write(folder: Path, text: str) -> None:
    partial = folder / f".{FILE}.{uuid.uuid4().hex}"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.chmod(0o600)  # it may name servers and, one day, secrets
        partial.replace(folder / FILE)
    finally:
        partial.unlink(missing_ok=True)


def _controllers(settings: dict[str, Any]) -> Iterator[Controller]:
    listed = settings.get("Controllers") or []
    if not isinstance(listed, list):
        raise errors.Malformed(reason=f"{FILE}: Controllers must be a list")
    for entry in listed:
        facts = {name.lower(): item for name, item in entry.items()} if isinstance(entry, dict) else {}
        if not isinstance(facts.get("name"), str) or not isinstance(facts.get("url"), str):
            raise errors.Malformed(reason=f"{FILE}: each of Controllers needs a Name and a URL")
        yield Controller(name=facts["name"], url=facts["url"])


def controllers(folder: Path) -> tuple[Controller, ...]:
    """The servers that the project in this folder knows."""
    return tuple(_controllers(read_settings(folder)))


# ── Where findings are ───────────────────────────────────────────────────────────────────────────────────────────


def place(finding: Finding, asked: Loaded[flow.Flow], definitions: Sequence[Loaded[nodedef.NodeDef]]) -> str:
    """`file:line` of what the finding points at."""
    first, _, rest = finding.path.removeprefix("/").partition("/")
    if first == "NodeDefs":
        index, _, inside = rest.partition("/")
        if index.isdecimal() and int(index) < len(definitions):
            document = definitions[int(index)].document
            return f"{document.name}:{document.line(f'/{inside}' if inside else '')}"
    return f"{asked.document.name}:{asked.document.line(f'/{rest}' if rest else '')}"
