"""
The domain's values as they go over the wire, and back.

`read_…` take plain values (of JSON, or of YAML: a project's files hold the same words) and give values of the domain;
`write_…` give structs or dicts ready for `encode`. Whether a flow makes sense is not asked here.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pupload import errors, ports
from pupload.api.flow import holding, masks, models, provenance, reading, remembered, repeating
from pupload.domain import flow, nodedef, run
from pupload.service import views

_ENCODER = msgspec.json.Encoder()
encode = _ENCODER.encode
"""JSON of an answer, as bytes."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────


def read_order(document: Any) -> views.Order:
    """What POST /flow/test orders. Raises `errors.Malformed`."""
    warnings: list[str] = []
    asked = reading.read(models.TestFlow, document, warnings=warnings)
    return views.Order(
        flow=flow_of(asked.Flow),
        definitions=tuple(definition_of(each) for each in asked.NodeDefs),
        params=dict(asked.Params),
        warnings=tuple(warnings),
        priority=asked.Priority,
        memoize=asked.Memoize,
    )


def read_flow(document: Any, *, warnings: list[str] | None = None, yaml: bool = False) -> flow.Flow:
    """A flow. Unknown fields go to `warnings`. Raises `errors.Malformed`."""
    return flow_of(reading.read(models.Flow, document, warnings=[] if warnings is None else warnings, yaml=yaml))


def read_definition(document: Any, *, warnings: list[str] | None = None, yaml: bool = False) -> nodedef.NodeDef:
    """A node definition. Unknown fields go to `warnings`. Raises `errors.Malformed`."""
    said = [] if warnings is None else warnings
    return definition_of(reading.read(models.NodeDef, document, warnings=said, yaml=yaml))


def read_project(document: Any, *, project_id: str, warnings: list[str] | None = None) -> ports.Project:
    """The project that is to be stored under this id (`read_project_id`). Raises `errors.Malformed`."""
    asked = reading.read(models.Project, document, warnings=[] if warnings is None else warnings)
    if asked.ID and asked.ID.lower() != project_id:
        raise reading.malformed([reading.Wrong("/ID", f"/ID must be the id of the path, {project_id}")])
    masked = [*masks.stores(asked.GlobalStores, "/GlobalStores")]
    for index, each in enumerate(asked.Flows):
        masked += masks.left_in(each, f"/Flows/{index}")
    if masked:
        raise reading.malformed(masked)
    return ports.Project(
        id=project_id,
        name=asked.ProjectName,
        flows=tuple(flow_of(each) for each in asked.Flows),
        definitions=tuple(definition_of(each) for each in asked.NodeDefs),
        stores=tuple(_store(each) for each in asked.GlobalStores),
    )


def read_project_id(text: str) -> str:
    """A project's id, lower case. Raises `errors.Malformed` where it is no UUID."""
    if not _UUID.fullmatch(text.lower()):
        raise errors.Malformed(reason="invalid project id")
    return text.lower()


def read_cancel(document: Any) -> str:
    """`kill` or `drain`. Raises `errors.Malformed`."""
    mode = reading.read(models.Cancel, document, warnings=[]).Mode.lower()
    if mode not in ("kill", "drain"):
        raise reading.malformed([reading.Wrong("/Mode", "/Mode must be kill or drain")])
    return mode


def read_resume(document: Any) -> str | None:
    """The node to begin from. Raises `errors.Malformed`."""
    return reading.read(models.Resume, document, warnings=[]).FromNode or None


def read_params(document: Any) -> dict[str, str]:
    """The parameters of a run. Raises `errors.Malformed`."""
    return dict(reading.read(models.RunParams, document, warnings=[]).Params)


def read_upload_size(document: Any) -> int | None:
    """How many bytes will come, where the request says. Raises `errors.Malformed`."""
    return reading.read(models.UploadRequest, document, warnings=[]).Size


def read_upload_complete(document: Any) -> str | None:
    """The multipart upload to complete. Raises `errors.Malformed`."""
    return reading.read(models.UploadComplete, document, warnings=[]).UploadID or None


def read_upload_abort(document: Any) -> str:
    """The multipart upload to give up. Raises `errors.Malformed`."""
    return reading.read(models.UploadAbort, document, warnings=[]).UploadID


def flow_of(asked: models.Flow) -> flow.Flow:
    """The flow that was read."""
    return flow.Flow(
        name=asked.Name,
        nodes=tuple([_node(each) for each in asked.Nodes]),
        stores=tuple(_store(each) for each in asked.Stores),
        wells=tuple(_well(each) for each in asked.DataWells),
        default_well=_well(asked.DefaultDataWell) if asked.DefaultDataWell else None,
        timeout=asked.Timeout,
        callbacks=tuple(
            flow.Callback(url=each.URL, on=tuple(each.On), secrets=tuple(each.Secrets)) for each in asked.Callbacks
        ),
        params=tuple(_flag(each) for each in asked.Params),
        priority=asked.Priority,
        on_error=asked.OnError,
    )


def _node(asked: models.Node) -> flow.Node:
    return flow.Node(
        id=asked.ID,
        uses=asked.Uses,
        inputs=tuple([flow.Binding(name=each.Name, edge=each.Edge) for each in asked.Inputs]),
        outputs=tuple([flow.Binding(name=each.Name, edge=each.Edge) for each in asked.Outputs]),
        flags=tuple([flow.FlagValue(name=each.Name, value=each.Value) for each in asked.Flags]) if asked.Flags else (),
        timeout=asked.Timeout,
        max_attempts=asked.MaxAttempts,
        memoize=asked.Memoize,
        for_each=repeating.read(asked),
        when=asked.When or None,
        runs=asked.Runs,
    )


def _store(asked: models.Store) -> flow.Store:
    return flow.Store(name=asked.Name, type=asked.Type, params=dict(asked.Params))


def _well(asked: models.DataWell) -> flow.DataWell:
    return flow.DataWell(
        edge=asked.Edge,
        store=asked.Store or flow.DEFAULT_STORE,
        source=asked.Source or None,
        key=asked.Key or None,
        lifetime=asked.Lifetime or None,
        secret=asked.Secret or None,
        flow=asked.Flow,
        given=asked.Input,
    )


def definition_of(asked: models.NodeDef) -> nodedef.NodeDef:
    """The definition that was read."""
    return nodedef.NodeDef(
        publisher=asked.Publisher,
        name=asked.Name,
        image=asked.Image,
        description=asked.Description,
        inputs=tuple(_port(each) for each in asked.Inputs),
        outputs=tuple(_port(each) for each in asked.Outputs),
        flags=tuple(_flag(each) for each in asked.Flags),
        command=nodedef.Command(
            exec=asked.Command.Exec,
            entrypoint=asked.Command.Entrypoint,
            name=asked.Command.Name,
            description=asked.Command.Description,
        ),
        tier=asked.Tier,
        max_attempts=asked.MaxAttempts,
        retry=nodedef.Retry(
            delay=asked.Retry.Delay,
            max=asked.Retry.Max,
            on_exit_codes=tuple(asked.Retry.OnExitCodes),
            never_on_exit_codes=tuple(asked.Retry.NeverOnExitCodes),
            more_memory=asked.Retry.MoreMemory,
        ),
        timeout=asked.Timeout,
        user=asked.User,
        network=asked.Network,
        capabilities=tuple(asked.Capabilities),
        devices=tuple(asked.Devices),
        transfer=asked.Transfer,
        secrets=tuple(asked.Secrets),
        progress=asked.Progress,
        memoize=asked.Memoize,
    )


def _port(asked: models.Port) -> nodedef.Port:
    return nodedef.Port(
        name=asked.Name,
        description=asked.Description,
        types=tuple(asked.Type),
        required=asked.Required,
        many=asked.Many,
        **holding.read_limits(asked),
    )


def _flag(asked: models.FlagDef) -> nodedef.FlagDef:
    return nodedef.FlagDef(
        name=asked.Name,
        description=asked.Description,
        required=asked.Required,
        type=asked.Type,
        default=asked.Default,
        choices=tuple(asked.Choices),
        minimum=asked.Min,
        maximum=asked.Max,
    )


# ── Writing runs ─────────────────────────────────────────────────────────────────────────────────────────────────


def write_run(view: views.RunView, *, origin: str = "") -> models.FlowRun:
    """The run as FlowRun; `origin` (`http://host:port`) goes before URLs of this server."""
    this = view.run
    return models.FlowRun(
        ID=this.id,
        Status=this.status.value,
        NodeState={node: _node_state(view, node) for node in view.nodes if node in this.nodes or view.page},
        Artifacts={edge: _artifact(each) for edge, each in view.artifacts.items()},
        WaitingURLs=[_waiting(each, origin) for each in view.waiting],
        StartedAt=this.created_at,
        FinishedAt=this.finished_at,
        Error=this.error,
        Warnings=[*view.warnings, *_warnings(this)],
        Params=dict(this.plan.params) or msgspec.UNSET,
        Page=repeating.write_page(view.page),
        **provenance.write(view),
        ResumedFrom=(not this.plan.replays and this.resumed_from) or msgspec.UNSET,
        ReplayOf=(this.plan.replays and this.resumed_from) or msgspec.UNSET,
    )


def _warnings(this: run.Run) -> Iterable[str]:
    own = (this.nodes[node] for node in this.plan.nodes if node in this.nodes)
    return (f"node {each.id}: {each.warning}" for each in own if each.warning)


def _node_state(view: views.RunView, node: str) -> models.NodeState:
    state, planned = view.run.nodes.get(node) or repeating.not_begun(view.run, node), view.run.plan.nodes[node]
    last = state.last
    began, ended = repeating.times(state)
    return models.NodeState(
        Status=state.status.value,
        Logs=[_log(record.line) for record in view.logs.get(node, ())],
        Error=state.error,
        Attempt=_attempt(state, planned.max_attempts),
        MaxAttempts=planned.max_attempts,
        StartedAt=began,
        FinishedAt=ended,
        ExitCode=last.exit_code if last else None,
        Progress=state.progress,
        Items=repeating.write_items(state.items),
        Reused=state.reused or msgspec.UNSET,
        ReusedFrom=remembered.write_source(state.source),
    )


def _attempt(state: run.NodeRun, most: int) -> int:
    """Failures that the node caused, and the attempt after them: what `MaxAttempts` is compared with."""
    if not state.attempts:
        return 0
    under_way = 0 if state.status is run.NodeStatus.ERROR else 1
    return min(max(state.charged + under_way, 1), most)


def _log(line: ports.LogLine) -> models.LogRecord:
    return models.LogRecord(timestamp=line.at, level=line.level, message=line.message, stream=line.stream)


def write_log(record: ports.LogRecord) -> models.PlacedLogRecord:
    """A log line in its place."""
    line = record.line
    return models.PlacedLogRecord(
        timestamp=line.at,
        level=line.level,
        message=line.message,
        stream=line.stream,
        node=record.node,
        attempt=record.attempt,
        cursor=record.cursor,
    )


def _artifact(view: views.ArtifactView) -> models.Artifact:
    this = view.artifact
    return models.Artifact(
        StoreName=this.store,
        ObjectName=this.key,
        EdgeName=this.edge,
        Size=this.size,
        ContentType=this.content_type,
        SHA256=this.sha256,
        GetURL=view.url,
        FileName=this.file_name or msgspec.UNSET,
        Items=msgspec.UNSET if this.items is None else this.items,
        DeletedAt=view.deleted_at or msgspec.UNSET,
        Facts=models.FileFacts(**holding.write_facts(this.facts)) if this.facts is not None else msgspec.UNSET,
        Node=this.node or msgspec.UNSET,
    )


def _waiting(waiting: views.WaitingUpload, origin: str) -> models.WaitingURL:
    return models.WaitingURL(
        Artifact=_place(waiting),
        PutURL=_absolute(waiting.url, origin),
        TTL=waiting.expires_at,
        Method=msgspec.UNSET if waiting.method == "PUT" else waiting.method,
    )


def _place(waiting: views.WaitingUpload) -> models.Place:
    return models.Place(StoreName=waiting.store, ObjectName=waiting.key, EdgeName=waiting.edge)


def _absolute(url: str, origin: str) -> str:
    return origin + url if url.startswith("/") else url


def write_upload(ticket: views.UploadTicket, *, origin: str = "") -> models.Upload:
    """Leave to upload."""
    waiting = ticket.waiting
    return models.Upload(
        Artifact=_place(waiting),
        PutURL="" if ticket.upload_id else _absolute(waiting.url, origin),
        TTL=waiting.expires_at,
        Method=msgspec.UNSET if waiting.method == "PUT" else waiting.method,
        UploadID=ticket.upload_id,
        PartSize=ticket.part_size,
        Parts=[
            models.UploadPart(Number=each.number, Offset=each.offset, Size=each.size, PutURL=each.url)
            for each in ticket.parts
        ],
        Received=[models.ReceivedPart(Number=each.number, Size=each.size, ETag=each.etag) for each in ticket.received],
    )


def write_page(page: ports.RunPage, *, limit: int, offset: int) -> models.RunList:
    """A page of the list of runs."""
    return models.RunList(
        Runs=[
            models.RunLine(
                ID=each.id,
                Flow=each.flow,
                Status=each.status.value,
                StartedAt=each.created_at,
                FinishedAt=each.finished_at,
                Error=each.error,
                FlowID=each.flow_id or msgspec.UNSET,
            )
            for each in page.runs
        ],
        Total=page.total,
        Limit=limit,
        Offset=offset,
    )


# ── Writing flows and definitions ────────────────────────────────────────────────────────────────────────────────


def write_order(
    asked: flow.Flow, definitions: Sequence[nodedef.NodeDef], params: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What a client POSTs to run the flow. Secrets are in it."""
    order = {"Flow": write_flow(asked), "NodeDefs": [write_definition(each) for each in definitions]}
    return {**order, "Params": dict(params)} if params else order


def write_project(project: ports.Project, *, masked: bool = True) -> models.ProjectAnswer:
    """The project; with `masked` its secrets read `***`."""
    return models.ProjectAnswer(
        ID=project.id,
        ProjectName=project.name,
        Flows=[write_flow(each, masked=masked) for each in project.flows],
        NodeDefs=[write_definition(each) for each in project.definitions],
        GlobalStores=[_write_store(each, masked=masked) for each in project.stores],
    )


def write_flow(this: flow.Flow, *, masked: bool = False) -> dict[str, Any]:
    """The flow as it would be read again; with `masked` its secrets read `***`."""
    return {
        "Name": this.name,
        "Timeout": this.timeout,
        "Stores": [_write_store(each, masked=masked) for each in this.stores],
        "DefaultDataWell": _write_well(this.default_well, masked=masked) if this.default_well else None,
        "DataWells": [_write_well(each, masked=masked) for each in this.wells],
        "Nodes": [
            {
                "ID": each.id,
                "Uses": each.uses,
                "Inputs": [{"Name": port.name, "Edge": port.edge} for port in each.inputs],
                "Outputs": [{"Name": port.name, "Edge": port.edge} for port in each.outputs],
                "Flags": [{"Name": flag.name, "Value": flag.value} for flag in each.flags],
                "Timeout": each.timeout,
                **({"MaxAttempts": each.max_attempts} if each.max_attempts else {}),
                **({} if each.memoize else {"Memoize": False}),
                **repeating.write(each.for_each),
                **({"When": each.when} if each.when else {}),
                **({"Runs": each.runs} if each.runs else {}),
            }
            for each in this.nodes
        ],
        **({"Callbacks": [_write_callback(each, masked=masked) for each in this.callbacks]} if this.callbacks else {}),
        **({"Params": [_write_flag(each) for each in this.params]} if this.params else {}),
        **({"Priority": this.priority} if this.priority else {}),
        **({"OnError": this.on_error} if this.on_error else {}),
    }


def _write_callback(this: flow.Callback, *, masked: bool) -> dict[str, Any]:
    shown = (masks.value(each) if masked else each for each in this.secrets)
    return {"URL": masks.url(this.url) if masked else this.url, "On": list(this.on), "Secrets": list(shown)}


def _write_store(this: flow.Store, *, masked: bool) -> dict[str, Any]:
    params: Mapping[str, str | bool] = this.params
    if masked:
        params = {name: masks.param(name, value) for name, value in params.items()}
    return {"Name": this.name, "Type": this.type, "Params": dict(params)}


def _write_well(this: flow.DataWell, *, masked: bool) -> dict[str, Any]:
    return {
        "Edge": this.edge,
        "Store": this.store,
        "Source": this.source,
        "Key": this.key,
        "Lifetime": this.lifetime,
        **({"Secret": masks.value(this.secret) if masked else this.secret} if this.secret else {}),
        **({"Flow": this.flow} if this.flow else {}),
        **({"Input": this.given} if this.given else {}),
    }


def write_definition(this: nodedef.NodeDef) -> dict[str, Any]:
    """The definition as it would be read again."""
    command = this.command
    return {
        "Publisher": this.publisher,
        "Name": this.name,
        "Description": this.description,
        "Image": this.image,
        "Inputs": [_write_port(each) for each in this.inputs],
        "Outputs": [_write_port(each) for each in this.outputs],
        "Flags": [_write_flag(each) for each in this.flags],
        "Command": {
            "Name": command.name,
            "Description": command.description,
            "Exec": command.exec if isinstance(command.exec, str) else list(command.exec),
            **({} if command.entrypoint else {"Entrypoint": False}),
        },
        "Tier": this.tier,
        "MaxAttempts": this.max_attempts,
        "Retry": {
            "Delay": this.retry.delay,
            "Max": this.retry.max,
            "OnExitCodes": list(this.retry.on_exit_codes),
            "NeverOnExitCodes": list(this.retry.never_on_exit_codes),
            "MoreMemory": this.retry.more_memory,
        },
        "Timeout": this.timeout,
        "User": this.user,
        "Network": this.network,
        "Capabilities": list(this.capabilities),
        "Devices": list(this.devices),
        "Transfer": this.transfer,
        "Secrets": list(this.secrets),
        "Progress": this.progress,
        "Memoize": this.memoize,
    }


def _write_flag(this: nodedef.FlagDef) -> dict[str, Any]:
    return {
        "Name": this.name,
        "Description": this.description,
        "Required": this.required,
        "Type": this.type,
        "Default": this.default,
        "Choices": list(this.choices),
        "Min": this.minimum,
        "Max": this.maximum,
    }


def _write_port(this: nodedef.Port) -> dict[str, Any]:
    return {
        "Name": this.name,
        "Description": this.description,
        "Type": list(this.types),
        "Required": this.required,
        "Many": this.many,
        **holding.write_limits(this),
    }


# ── Writing findings ─────────────────────────────────────────────────────────────────────────────────────────────


MAX_FINDINGS = 1000
"""In one answer: nobody mends more at once, and a large flow could have a million."""


def more_findings(found: Sequence[Any]) -> int:
    """How many findings `write_findings` leaves out."""
    return max(len(found) - MAX_FINDINGS, 0)


def write_findings(found: Sequence[Any]) -> list[models.Finding]:
    """What validation found (`domain.validation.findings.Finding`s): the first `MAX_FINDINGS` of it."""
    return [
        models.Finding(
            Type=str(each.type), Code=str(each.code), Name=each.name, Description=each.description, Path=each.path
        )
        for each in found[:MAX_FINDINGS]
    ]
