"""
The files of a source, and what they mean.

A file holds a flow, or what one would save through the API: `Flow` with its `NodeDefs`, a `Description`, `Tags`, and so
on. Node definitions in files of their own are for all flows of the source; a project's stores, too.
"""

from dataclasses import dataclass

from pupload import errors
from pupload.api import documents
from pupload.api.flow import masks, models, reading, saved_models, wire
from pupload.domain import saved, sources
from pupload.domain.flow import Flow, Store, with_stores
from pupload.domain.nodedef import NodeDef
from pupload.domain.sources import File, Found, Problem

_ANYBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defined:
    """A definition, and the file that it is in."""

    definition: NodeDef
    document: documents.Document


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A flow as its file has it."""

    name: str
    document: documents.Document
    flow: Flow
    own: tuple[NodeDef, ...] = ()
    whole: bool = False
    """Whether the file is a request that has the flow in it."""
    more: saved_models.SaveFlow | None = None
    warnings: tuple[str, ...] = ()


class Interpreter:
    """`sources.Interpreter` for files as this surface knows them."""

    def __init__(self, project: bool) -> None:
        self._project = project
        self._drafts: list[_Draft] = []
        self._defined: list[_Defined] = []
        self._stores: tuple[Store, ...] = ()
        self._problems: list[Problem] = []
        self._passed: list[str] = []
        self._all_defined = True

    def take(self, file: File) -> None:
        """See `sources.Interpreter.take`."""
        definition = sources.is_definition(file.path)
        document: documents.Document | None = None
        try:
            document = _document(file)
            if self._project and file.path == sources.PROJECT:
                self._stores = _stores(document)
            elif definition:
                self._defined.append(_Defined(definition=_definition(document), document=document))
            else:
                self._take_flow(document)
        except errors.Malformed as error:
            self._problems += _problems(file.path, error, document)
            self._all_defined &= not definition

    def reading(self) -> sources.Reading:
        """See `sources.Interpreter.reading`."""
        self._check_definitions()
        flows = [found for draft in self._drafts if (found := self._found(draft)) is not None]
        return sources.Reading(flows=tuple(flows), problems=tuple(self._problems), passed=tuple(self._passed))

    # ── Flows ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_flow(self, document: documents.Document) -> None:
        name = sources.name_of(document.name, project=self._project)
        assert name is not None, "it was picked"
        names = {str(each).lower() for each in document.value} if isinstance(document.value, dict) else set()
        if "flow" in names:
            self._drafts.append(_whole(name, document))
        elif "nodes" in names or self._project:
            self._drafts.append(_bare(name, document))
        else:
            self._passed.append(document.name)

    def _found(self, draft: _Draft) -> Found | None:
        used = {node.uses for node in draft.flow.nodes}
        own = {definition.uses for definition in draft.own}
        shared = [each for each in self._defined if each.definition.uses in used - own]
        missing = used - own - {each.definition.uses for each in shared}
        if missing and not self._all_defined:
            # It may be that one of ours is meant that cannot be read, and another of the name is known elsewhere.
            said = f"it uses {', '.join(sorted(missing))}, and not all node definitions can be read"
            self._problems.append(Problem(path=draft.document.name, text=said))
            return None
        more = draft.more

        def place(pointer: str) -> tuple[str, int]:
            return _place(pointer, draft, shared)

        definitions = (*draft.own, *(each.definition for each in shared))
        return Found(
            path=draft.document.name,
            name=draft.name,
            content=saved.Content(flow=with_stores(draft.flow, self._stores), definitions=definitions),
            description=more.Description or "" if more else "",
            tags=tuple(more.Tags or ()) if more else (),
            enabled=more is None or more.Enabled is not False,
            label=more.Label if more else None,
            warnings=draft.warnings,
            place=place,
        )

    def _check_definitions(self) -> None:
        """Of several definitions of one name none counts."""
        seen: dict[str, _Defined] = {}
        twice: set[str] = set()
        for each in self._defined:
            uses = each.definition.uses
            if (first := seen.setdefault(uses, each)) is not each:
                said = f"{first.document.name} is the node definition {uses} as well"
                self._problems.append(Problem(path=each.document.name, text=said))
                twice.add(uses)
        if twice:
            self._all_defined = False
            self._defined = [each for each in self._defined if each.definition.uses not in twice]


def _whole(name: str, document: documents.Document) -> _Draft:
    warnings: list[str] = []
    asked = reading.read(saved_models.SaveFlow, document.value, warnings=warnings, yaml=True)
    if masked := [*masks.left_in(asked.Flow, "/Flow")]:
        raise reading.malformed(masked)
    return _Draft(
        name=name,
        document=document,
        flow=wire.flow_of(asked.Flow),
        own=tuple(wire.definition_of(each) for each in asked.NodeDefs),
        whole=True,
        more=asked,
        warnings=tuple(warnings),
    )


def _bare(name: str, document: documents.Document) -> _Draft:
    warnings: list[str] = []
    asked = reading.read(models.Flow, document.value, warnings=warnings, yaml=True)
    if masked := [*masks.left_in(asked, "")]:
        raise reading.malformed(masked)
    return _Draft(name=name, document=document, flow=wire.flow_of(asked), warnings=tuple(warnings))


def _definition(document: documents.Document) -> NodeDef:
    return wire.read_definition(document.value, yaml=True)


def _stores(document: documents.Document) -> tuple[Store, ...]:
    """The stores that all flows of a project may name."""
    settings = document.value if isinstance(document.value, dict) else {}
    given = next((value for name, value in settings.items() if str(name).lower() == "globalstores"), None)
    return wire.read_project({"GlobalStores": given}, project_id=_ANYBODY).stores


# ── Places ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _document(file: File) -> documents.Document:
    if file.path.endswith(".json"):
        return documents.Document(name=file.path, value=documents.parse_json(file.data), lines={})
    try:
        text = file.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.Malformed(reason=f"{file.path}:1: the file is not UTF-8") from error
    return documents.parse_yaml(text, name=file.path)


def _place(pointer: str, draft: _Draft, shared: list[_Defined]) -> tuple[str, int]:
    """Where that is of the flow with all its definitions."""
    first, _, rest = pointer.removeprefix("/").partition("/")
    document, inside = draft.document, pointer if draft.whole else f"/{rest}" if rest else ""
    if first == "NodeDefs":
        index, _, within = rest.partition("/")
        if index.isdecimal() and int(index) >= len(draft.own):
            number = int(index) - len(draft.own)
            document, inside = shared[number].document, f"/{within}" if within else ""
    return document.name, document.line(inside) if document.lines else 0


def _problems(path: str, error: errors.Malformed, document: documents.Document | None) -> list[Problem]:
    """What is wrong, each at its line where that can be told."""
    wrong = error.facts.get("problems", ())
    if wrong and document is not None:
        lines = document.lines
        found = [(each.sentence, document.line(each.path) if lines else 0) for each in wrong[: reading.MAX_TOLD]]
        return [Problem(path=path, text=text, line=line) for text, line in found]
    text, line = str(error).replace("the body", "the file", 1), 0
    if text.startswith(f"{path}:"):
        number, _, said = text[len(path) + 1 :].partition(": ")
        text, line = (said, int(number)) if number.isdecimal() else (text, 0)
    return [Problem(path=path, text=text, line=line)]
