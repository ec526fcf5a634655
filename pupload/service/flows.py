"""Saved flows: kept with every version they had, and run."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pupload import errors
from pupload.domain import arguments, saved
from pupload.domain import priority as priorities
from pupload.domain.plan import Parent, Provenance
from pupload.engine.engine import Engine
from pupload.ports import SavedPage
from pupload.service import owned
from pupload.service.runs import Runs
from pupload.service.views import Order, RunView

MAX_PAGE = 1000
"""Flows or versions in one answer."""

MOST_LABELS = 64
MOST_LABEL = 256
"""Labels of a run, and letters in each and its value."""

MOST_WORDS = 4096
"""Letters of a description or a message."""
MOST_TAGS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A flow that is to be saved. What is None stays as it was, or is as new flows have it."""

    content: saved.Content
    description: str | None = None
    tags: tuple[str, ...] | None = None
    enabled: bool | None = None
    public: bool | None = None
    """Whether everybody may see and run it."""
    drawing: int | None = None
    """The drawing that it comes of."""
    label: str | None = None
    """Of the version, where this is a new one."""
    message: str = ""
    """What is said of the version."""
    origin: str = ""
    """Where the content was found."""
    if_version: int | None = None
    """The version that it is a change of; None: whatever it is, 0: none at all."""
    warnings: tuple[str, ...] = field(default=())
    """What the surface noticed while reading."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowView:
    """A saved flow, and one of its versions with its content."""

    flow: saved.SavedFlow
    version: saved.FlowVersion
    content: saved.Content
    warnings: Sequence[str] = ()
    """About what was saved just now."""

    @property
    def arguments(self) -> dict[str, Any]:
        """What a run takes, as JSON Schema."""
        return arguments.schema(self.content.flow)


Redraw = Callable[[FlowView], Awaitable[FlowView]]
"""The latest version of a flow that comes of a drawing, as that is by now."""


class Flows:
    """
    What can be asked about saved flows.

    Wherever a flow is asked for, its id does, `namespace/name`, or the name alone of one in the default namespace: the
    caller's own of that name, else one that is public. Every such method raises `errors.UnknownSavedFlow`; one that
    changes a flow `errors.Forbidden`, where it is public and somebody else's.
    """

    def __init__(self, *, engine: Engine, runs: Runs) -> None:
        self._flows = owned.SavedFlows(engine)
        self._runs = runs
        self._clock = engine.world.clock
        self._ids = engine.world.ids
        self._redraw: Redraw | None = None

    def follow_drawings(self, redraw: Redraw) -> None:
        """Before a flow that comes of a drawing is run, it is made what is drawn by now."""
        self._redraw = redraw

    async def find(self, flow: str) -> saved.SavedFlow:
        """The flow of this id or name."""
        flow_id = saved.canonical_id(flow)
        if flow_id is not None:
            return await self._flows.get(flow_id)
        namespace, name = saved.split(flow)
        if saved.objection(namespace, name):
            raise errors.UnknownSavedFlow(flow=flow[: saved.MOST_NAME])
        return await self._flows.find(namespace, name)

    async def get(self, flow: str, *, version: int | None = None) -> FlowView:
        """The flow with one of its versions, else the latest. Raises `errors.UnknownVersion`."""
        found = await self.find(flow)
        about, content = await self._flows.version(found, found.version if version is None else version)
        return FlowView(flow=found, version=about, content=content)

    async def to_run(self, flow: str, *, version: int | None = None) -> FlowView:
        """
        As `get`; the latest version of a flow that comes of a drawing is what is drawn by now.

        Raises `errors.UnfitDrawing` where that cannot run.
        """
        view = await self.get(flow, version=version)
        if version is None and view.flow.drawing is not None and self._redraw is not None:
            return await self._redraw(view)
        return view

    async def list(
        self,
        *,
        namespace: str | None = None,
        source: str | None = None,
        text: str = "",
        enabled: bool | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> SavedPage:
        """Those that match all that is given, by namespace and name; `limit` is at most 1 000."""
        return await self._flows.list(
            namespace=None if namespace is None else namespace.strip("/"),
            source=source,
            text=text,
            enabled=enabled,
            limit=min(max(limit, 0), MAX_PAGE),
            offset=max(offset, 0),
        )

    async def names(self, flow_ids: Iterable[str]) -> Mapping[str, str]:
        """The full names of those of these flows that are there, by their ids: for lists of runs."""
        found: dict[str, str] = {}
        for flow_id in dict.fromkeys(flow_ids):
            with suppress(errors.UnknownSavedFlow):
                found[flow_id] = (await self._flows.get(flow_id)).full_name
        return found

    async def versions(self, flow: str, *, limit: int = 100, offset: int = 0) -> Sequence[saved.FlowVersion]:
        """The latest first; `limit` is at most 1 000."""
        found = await self.find(flow)
        return await self._flows.versions(found, limit=min(max(limit, 0), MAX_PAGE), offset=max(offset, 0))

    async def diff(self, flow: str, old: int, new: int) -> Sequence[saved.Change]:
        """What is otherwise in the version `new`. Raises `errors.UnknownVersion`."""
        found = await self.find(flow)
        _, before = await self._flows.version(found, old)
        _, after = await self._flows.version(found, new)
        return saved.diff(before, after)

    # ── Changing ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def save(self, flow: str, draft: Draft, *, source: str = saved.API) -> FlowView:
        """
        The flow, new or with what the draft says: a new version where its content is not that of the latest.

        Raises `errors.Invalid` with all findings, `errors.Malformed` for a name that none can have,
        `errors.Conflict` where the flow is another source's, or another version than the draft is a change of, and
        `errors.FlowChanged` where somebody else was quicker. Nothing is saved then.
        """
        _check_words(draft)
        account = owned.mine() if source in saved.OWNED else None
        before = await self._before(flow, account)
        if before is not None:
            _check_source(before, source)
        there = 0 if before is None else before.version
        if draft.if_version not in (None, there):
            raise errors.Conflict(reason=f"flow {flow} is at version {there}, not {draft.if_version}")
        warnings = await self._judge(draft)
        if before is None:
            return replace(await self._create(flow, draft, source, account), warnings=warnings)
        return replace(await self._change(before, draft), warnings=warnings)

    async def rollback(self, flow: str, version: int, *, message: str = "") -> FlowView:
        """
        The content of that version is the latest again, as a version of its own. Raises as `save` does.

        It is judged as it would be now: what is not allowed any more does not come back.
        """
        found = await self.find(flow)
        self._flows.check_change(found)
        about, content = await self._flows.version(found, version)
        said = message or f"back to version {about.number}"
        return await self.save(found.id, Draft(content=content, message=said, origin=f"version {about.number}"))

    async def enable(
        self, flow: str, *, enabled: bool = True, public: bool | None = None, source: str = saved.API
    ) -> saved.SavedFlow:
        """
        Runs of it may be started, or not; everybody may see and run it, or not, where that is said.

        Raises `errors.Conflict` where the flow is another source's.
        """
        found = await self.find(flow)
        self._flows.check_change(found)
        _check_source(found, source)
        said = replace(found, enabled=enabled, public=found.public if public is None else public)
        if said == found:
            return found
        changed = replace(said, revision=found.revision + 1, updated_at=self._clock.now())
        await self._flows.put(changed)
        return changed

    async def move(self, flow: str, to: str, *, source: str = saved.API) -> saved.SavedFlow:
        """
        The flow under the name `to`, a full one; whatever names it by its id goes on.

        Raises `errors.Malformed` for a name that none can have, `errors.NameTaken`, and `errors.Conflict` where the
        flow is another source's.
        """
        found = await self.find(flow)
        self._flows.check_change(found)
        _check_source(found, source)
        there = await self._before(to, found.account)
        if there is not None and there.id != found.id:
            raise errors.NameTaken(flow=to)
        namespace, name = saved.split(to)
        changed = replace(
            found, namespace=namespace, name=name, revision=found.revision + 1, updated_at=self._clock.now()
        )
        await self._flows.put(changed)
        return changed

    async def remove(self, flow: str, *, source: str = saved.API) -> None:
        """
        The flow and its versions are gone. Runs of it go on, and can be looked at: they have all they need.

        Raises `errors.Conflict` where the flow is another source's, which has it still.
        """
        found = await self.find(flow)
        self._flows.check_change(found)
        if not found.gone:
            _check_source(found, source)
        await self._flows.remove(found)

    async def retire(self, this: saved.SavedFlow) -> saved.SavedFlow:
        """
        The flow, which its source has no more: no run of it is started, until it is saved again.

        Raises `errors.FlowChanged` where it is not as it was given any more.
        """
        changed = replace(this, enabled=False, gone=True, revision=this.revision + 1, updated_at=self._clock.now())
        await self._flows.put(changed)
        return changed

    # ── Running ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(
        self,
        flow: str,
        *,
        version: int | None = None,
        params: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
        priority: int | None = None,
        below: int = 0,
        memoize: bool = True,
        idempotency_key: str | None = None,
        key_of: str = "",
        parent: Parent | None = None,
        followed: bool = False,
        timeout_seconds: float | None = None,
    ) -> RunView:
        """
        A new run of the flow, of that version or the latest; or the run of it that was started with this key before.

        The key is one of those of `key_of`, be it for runs of whatever flow; where that is empty, for runs of this one.

        Without a `priority` it has the flow's, less what it is to be `below`. Unless it is to `memoize`, every node
        does its work, whoever did the same before. It may be on behalf of a `parent`; something may be `followed` up
        when it is over. It takes no longer than `timeout_seconds`, be the flow's own limit further off.

        Raises `errors.Conflict` where the flow is not enabled, `errors.UnknownVersion`, and as `Runs.start` does.
        """
        _check_labels(labels or {})
        view = await self.to_run(flow, version=version)
        if not view.flow.enabled:
            raise errors.Conflict(reason=f"flow {view.flow.full_name} is not enabled")
        order = Order(
            flow=view.content.flow,
            definitions=view.content.definitions,
            params=params or {},
            provenance=Provenance(flow=view.flow.id, version=view.version.number),
            labels=labels or {},
            memoize=memoize,
            priority=priorities.below(view.content.flow.priority, below) if priority is None else priority,
            parent=parent,
            followed=followed,
            timeout_seconds=timeout_seconds,
        )
        key = None if idempotency_key is None else f"{key_of or f'flow {view.flow.id}'} {idempotency_key}"
        return await self._runs.start(order, idempotency_key=key)

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _before(self, flow: str, account: int | None) -> saved.SavedFlow | None:
        """The account's flow as it is, None where there is none and it may be called so."""
        if saved.canonical_id(flow) is not None:
            found = await self.find(flow)  # an id is given by us: there is none to be made up
            self._flows.check_change(found)
            return found
        namespace, name = saved.split(flow)
        if objection := saved.objection(namespace, name):
            raise errors.Malformed(reason=objection)
        return await self._flows.kept(namespace, name, account)

    async def _judge(self, draft: Draft) -> tuple[str, ...]:
        """What is remarkable about the content. Raises `errors.Invalid` with all findings."""
        order = Order(flow=draft.content.flow, definitions=draft.content.definitions)
        found = await self._runs.validate(order, given=False)
        if any(finding.is_error for finding in found):
            raise errors.Invalid(what="flow", findings=tuple(found))
        return (*draft.warnings, *(f"{finding.code} {finding.description}" for finding in found))

    async def _create(self, flow: str, draft: Draft, source: str, account: int | None) -> FlowView:
        namespace, name = saved.split(flow)
        now = self._clock.now()
        new = saved.SavedFlow(
            id=saved.new_id(self._ids.new_run_id()),
            namespace=namespace,
            name=name,
            description=draft.description or "",
            tags=draft.tags or (),
            source=source,
            enabled=draft.enabled is not False,
            label=draft.label or saved.FIRST_LABEL,
            account=account,
            public=bool(draft.public),
            drawing=draft.drawing,
            created_at=now,
            updated_at=now,
        )
        version = _version(new, draft, now)
        await self._flows.put(new, version, draft.content)
        return FlowView(flow=new, version=version, content=draft.content)

    async def _change(self, before: saved.SavedFlow, draft: Draft) -> FlowView:
        """The flow with what the draft says; it is left alone where that is how it is."""
        version, content = await self._flows.version(before, before.version)
        said = replace(
            before,
            description=before.description if draft.description is None else draft.description,
            tags=before.tags if draft.tags is None else draft.tags,
            enabled=before.enabled if draft.enabled is None else draft.enabled,
            public=before.public if draft.public is None else draft.public,
            drawing=draft.drawing or before.drawing,
            gone=False,
        )
        same = content == draft.content and draft.label in (None, before.label)
        if same and said == before:
            return FlowView(flow=before, version=version, content=content)
        now = self._clock.now()
        changed = replace(said, revision=before.revision + 1, updated_at=now)
        if same:
            await self._flows.put(changed)
            return FlowView(flow=changed, version=version, content=content)
        label = draft.label or saved.next_label(before.label)
        changed = replace(changed, version=before.version + 1, label=label)
        version = _version(changed, draft, now)
        await self._flows.put(changed, version, draft.content)
        return FlowView(flow=changed, version=version, content=draft.content)


def _version(this: saved.SavedFlow, draft: Draft, now: datetime) -> saved.FlowVersion:
    return saved.FlowVersion(
        flow=this.id, number=this.version, label=this.label, at=now, message=draft.message, origin=draft.origin
    )


def _check_source(found: saved.SavedFlow, source: str) -> None:
    if found.source == source:
        return
    if found.gone:
        reason = f"flow {found.full_name} is of source {found.source}, which has it no more: remove it first"
        raise errors.Conflict(reason=reason)
    if found.source == saved.DRAWN:
        raise errors.Conflict(reason=f"flow {found.full_name} is what a drawing comes to: change that")
    where = "through the API" if found.source == saved.API else f"in source {found.source}"
    raise errors.Conflict(reason=f"flow {found.full_name} is kept {where}: change it there")


def _check_words(draft: Draft) -> None:
    """Raises `errors.Malformed` for more words than anybody reads."""
    said = {"Description": draft.description or "", "Message": draft.message}
    for name, text in said.items():
        if len(text) > MOST_WORDS:
            raise errors.Malformed(reason=f"{name} has {MOST_WORDS} letters at most")
    if any(len(text) > MOST_LABEL for text in (draft.label or "", *(draft.tags or ()))):
        raise errors.Malformed(reason=f"Label and each of Tags have {MOST_LABEL} letters at most")
    if len(draft.tags or ()) > MOST_TAGS:
        raise errors.Malformed(reason=f"a flow has {MOST_TAGS} tags at most")


def _check_labels(labels: Mapping[str, str]) -> None:
    """Raises `errors.Malformed` for more than anybody needs."""
    if len(labels) > MOST_LABELS or any(max(len(name), len(value)) > MOST_LABEL for name, value in labels.items()):
        reason = f"a run has {MOST_LABELS} labels at most, with {MOST_LABEL} letters at most in each name and value"
        raise errors.Malformed(reason=reason)
