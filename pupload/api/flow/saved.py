"""Saved flows over the wire. `{flow}` in a path is an id, or a name whose slashes are written `%2F`."""

from typing import Any

import msgspec
from aiohttp import web

from pupload.api import web as shared
from pupload.api.flow import answering, masks, models, reading, saved_models, waiting, wire
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import saved
from pupload.domain.access import Permission
from pupload.service import flows

MOST_FLOWS = 1000
"""On one page of a list."""


async def list_flows(request: web.Request) -> web.Response:
    limit, offset = _page(request)
    enabled = shared.flag(request, "enabled", default=True) if request.query.get("enabled") else None
    page = await request.app[SERVICES].flows.list(
        namespace=request.query.get("namespace") or None,
        source=request.query.get("source") or None,
        text=request.query.get("q", ""),
        enabled=enabled,
        limit=limit,
        offset=offset,
    )
    lines = [_line(each) for each in page.flows]
    return answering.answer(
        saved_models.SavedFlowList(Flows=lines, Total=page.total, Limit=limit, Offset=offset),
    )


async def get_flow(request: web.Request) -> web.Response:
    version = shared.whole_number(request, "version", default=0)
    view = await request.app[SERVICES].flows.get(_flow(request), version=version or None)
    return answering.answer(_view(view))


async def save_flow(request: web.Request) -> web.Response:
    draft = await shared.read_document(request, read_draft)
    return answering.answer(_view(await request.app[SERVICES].flows.save(_flow(request), draft)))


async def remove_flow(request: web.Request) -> web.Response:
    await request.app[SERVICES].flows.remove(_flow(request))
    return web.Response(status=204)


async def list_versions(request: web.Request) -> web.Response:
    limit, offset = _page(request)
    found = await request.app[SERVICES].flows.versions(_flow(request), limit=limit, offset=offset)
    return answering.answer(saved_models.FlowVersionList(Versions=[_version(each) for each in found]))


async def diff_versions(request: web.Request) -> web.Response:
    asked, service = _flow(request), request.app[SERVICES].flows
    latest = (await service.find(asked)).version
    new = shared.whole_number(request, "to", default=latest, least=1)
    old = shared.whole_number(request, "from", default=max(new - 1, 1), least=1)
    changes = [_change(each) for each in await service.diff(asked, old, new)]
    return answering.answer(saved_models.FlowDiff(From=old, To=new, Changes=changes))


async def roll_back(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_roll_back)
    view = await request.app[SERVICES].flows.rollback(_flow(request), asked.Version, message=asked.Message)
    return answering.answer(_view(view))


async def enable_flow(request: web.Request) -> web.Response:
    enabled = await shared.read_document(request, _read_enabled, optional=True)
    return answering.answer(_line(await request.app[SERVICES].flows.enable(_flow(request), enabled=enabled)))


async def start_flow(request: web.Request) -> web.Response:
    key = answering.idempotency_key(request)
    asked = await shared.read_document(request, _read_start, optional=True)
    at_most = waiting.seconds(request)
    view = await request.app[SERVICES].flows.start(
        _flow(request),
        version=asked.Version,
        params=dict(asked.Params),
        labels=dict(asked.Labels),
        priority=asked.Priority,
        memoize=asked.Memoize,
        idempotency_key=key,
    )
    return await answering.run(request, view, wait_seconds=at_most)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_draft(document: Any) -> flows.Draft:
    """What is to be saved. Raises `errors.Malformed`, also where a secret comes back as it was shown."""
    warnings: list[str] = []
    asked = reading.read(saved_models.SaveFlow, document, warnings=warnings)
    if masked := [*masks.left_in(asked.Flow, "/Flow")]:
        raise reading.malformed(masked)
    definitions = tuple(wire.definition_of(each) for each in asked.NodeDefs)
    return flows.Draft(
        content=saved.Content(flow=wire.flow_of(asked.Flow), definitions=definitions),
        description=asked.Description,
        tags=None if asked.Tags is None else tuple(asked.Tags),
        enabled=asked.Enabled,
        public=asked.Public,
        label=asked.Label,
        message=asked.Message,
        if_version=asked.IfVersion,
        warnings=tuple(warnings),
    )


def _read_roll_back(document: Any) -> saved_models.RollBack:
    return reading.read(saved_models.RollBack, document, warnings=[])


def _read_enabled(document: Any) -> bool:
    return reading.read(saved_models.EnableFlow, document, warnings=[]).Enabled


def _read_start(document: Any) -> saved_models.StartFlow:
    return reading.read(saved_models.StartFlow, document, warnings=[])


def _flow(request: web.Request) -> str:
    return request.match_info["flow"]


def _page(request: web.Request) -> tuple[int, int]:
    limit = shared.whole_number(request, "limit", default=100, least=1, most=MOST_FLOWS)
    return limit, shared.whole_number(request, "offset", default=0)


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _facts(this: saved.SavedFlow) -> dict[str, Any]:
    return {
        "ID": this.id,
        "Namespace": this.namespace,
        "Name": this.name,
        "Description": this.description,
        "Tags": list(this.tags),
        "Source": this.source,
        "Enabled": this.enabled,
        "Gone": this.gone,
        "Public": this.public,
        "Account": this.account,
        "Version": this.version,
        "Label": this.label,
        "CreatedAt": this.created_at,
        "UpdatedAt": this.updated_at,
    }


def _line(this: saved.SavedFlow) -> saved_models.SavedFlowLine:
    return saved_models.SavedFlowLine(**_facts(this))


def _view(view: flows.FlowView) -> saved_models.SavedFlow:
    return saved_models.SavedFlow(
        **_facts(view.flow),
        FlowVersion=_version(view.version),
        Args=view.arguments,
        Flow=wire.write_flow(view.content.flow, masked=True),
        NodeDefs=[wire.write_definition(each) for each in view.content.definitions],
        Warnings=list(view.warnings) or msgspec.UNSET,
    )


def _version(this: saved.FlowVersion) -> saved_models.FlowVersion:
    return saved_models.FlowVersion(
        Number=this.number, Label=this.label, At=this.at, Message=this.message, Origin=this.origin
    )


def _change(this: saved.Change) -> saved_models.FlowChange:
    return saved_models.FlowChange(
        Kind=this.kind, Name=this.name, How=this.how, Field=this.field, Was=this.was, Now=this.now
    )


async def of_query(request: web.Request) -> str | None:
    """The id of the saved flow that a list of runs is asked for; None where it is not. Raises `errors.Unknown`."""
    asked = request.query.get("saved", "")
    if not asked:
        return None
    flow_id = saved.canonical_id(asked)  # of one that was removed, too
    return flow_id or (await request.app[SERVICES].flows.find(asked)).id


# ── The table ────────────────────────────────────────────────────────────────────────────────────────────────────

_SAVED = "/api/v1/flow/saved"
_LIMIT = Parameter(name="limit", type="integer", about=f"So many at most: 1 to {MOST_FLOWS}, 100 when not given.")
_OFFSET = Parameter(name="offset", type="integer", about="How many to pass over.")

ROUTES = (
    Route(
        method="GET",
        path=_SAVED,
        handler=list_flows,
        needs=Permission.FLOWS_VIEW,
        summary="Saved flows, by namespace and name",
        answers=saved_models.SavedFlowList,
        parameters=(
            Parameter(name="namespace", about="Only flows in this namespace."),
            Parameter(name="source", about="Only flows of this source: `api` for those saved here."),
            Parameter(name="q", about="Only flows with this text in the name, the description or a tag."),
            Parameter(name="enabled", type="boolean", about="Only flows that may be run, or only those that may not."),
            _LIMIT,
            _OFFSET,
        ),
    ),
    Route(
        method="GET",
        path=f"{_SAVED}/{{flow}}",
        handler=get_flow,
        needs=Permission.FLOWS_VIEW,
        summary="A saved flow, by its id or its name (its slashes as `%2F`), its secrets masked",
        answers=saved_models.SavedFlow,
        parameters=(Parameter(name="version", type="integer", about="This version in place of the latest."),),
    ),
    Route(
        method="PUT",
        path=f"{_SAVED}/{{flow}}",
        handler=save_flow,
        needs=Permission.FLOWS_EDIT,
        summary="Save a flow: a new one, or a new version where its content is another",
        reads=saved_models.SaveFlow,
        answers=saved_models.SavedFlow,
        optional_body=False,
    ),
    Route(
        method="DELETE",
        path=f"{_SAVED}/{{flow}}",
        handler=remove_flow,
        needs=Permission.FLOWS_EDIT,
        summary="Remove a saved flow with its versions; runs of it go on",
    ),
    Route(
        method="GET",
        path=f"{_SAVED}/{{flow}}/versions",
        handler=list_versions,
        needs=Permission.FLOWS_VIEW,
        summary="The versions of a saved flow, the latest first",
        answers=saved_models.FlowVersionList,
        parameters=(_LIMIT, _OFFSET),
    ),
    Route(
        method="GET",
        path=f"{_SAVED}/{{flow}}/diff",
        handler=diff_versions,
        needs=Permission.FLOWS_VIEW,
        summary="What is otherwise in a version of a saved flow",
        answers=saved_models.FlowDiff,
        parameters=(
            Parameter(name="from", type="integer", about="This version, else the one before `to`."),
            Parameter(name="to", type="integer", about="And this one, else the latest."),
        ),
    ),
    Route(
        method="POST",
        path=f"{_SAVED}/{{flow}}/rollback",
        handler=roll_back,
        needs=Permission.FLOWS_EDIT,
        summary="Make the content of an earlier version the latest again, as a version of its own",
        reads=saved_models.RollBack,
        answers=saved_models.SavedFlow,
        optional_body=False,
    ),
    Route(
        method="POST",
        path=f"{_SAVED}/{{flow}}/enable",
        handler=enable_flow,
        needs=Permission.FLOWS_EDIT,
        summary="Say whether runs of a saved flow may be started",
        reads=saved_models.EnableFlow,
        answers=saved_models.SavedFlowLine,
    ),
    Route(
        method="POST",
        path=f"{_SAVED}/{{flow}}/run",
        handler=start_flow,
        needs=Permission.FLOWS_RUN,
        summary="Run a saved flow, and answer at once",
        reads=saved_models.StartFlow,
        answers=models.FlowRun,
        parameters=(answering.KEY, *waiting.PARAMETERS),
    ),
)
