"""Dry runs over the wire: the answer comes when all has ended, and who goes away before stops it."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from pupload import errors
from pupload.api import attending
from pupload.api import web as shared
from pupload.api.flow import answering, dry_run_models, reading, wire
from pupload.api.flow.dry_run_models import DryInput, DryRun, DryRunFlow, DryRunNode, DryRunSaved
from pupload.api.web import SERVICES, Route
from pupload.domain.access import Permission
from pupload.service.dry_runs import Bytes, DryNode, Earlier, Input
from pupload.service.views import Order


async def try_flow(request: web.Request) -> web.Response:
    order, inputs, seconds = await shared.read_document(request, _read_flow)
    trying = request.app[SERVICES].dry_runs.run_order(order, inputs=inputs, seconds=seconds)
    return answering.answer(write(await attending.while_asked(request, trying)))


async def try_saved(request: web.Request) -> web.Response:
    asked = await shared.read_document(request, _read_saved, optional=True)
    trying = request.app[SERVICES].dry_runs.run(
        request.match_info["flow"],
        version=asked.Version,
        params=dict(asked.Params),
        inputs=_inputs(asked.Inputs),
        seconds=asked.Seconds,
    )
    return answering.answer(write(await attending.while_asked(request, trying)))


def write(told: Mapping[str, DryNode]) -> dry_run_models.DryRun:
    """What became of each node."""
    return DryRun(
        Nodes=[
            DryRunNode(
                Node=one.node,
                Status=one.status,
                Error=one.error,
                Columns=list(one.columns),
                Rows=[dict(row) for row in one.rows],
            )
            for one in told.values()
        ]
    )


def _read_flow(document: Any) -> tuple[Order, Mapping[str, Input], float | None]:
    warnings: list[str] = []
    asked = reading.read(DryRunFlow, document, warnings=warnings)
    order = Order(
        flow=wire.flow_of(asked.Flow),
        definitions=tuple(wire.definition_of(each) for each in asked.NodeDefs),
        params=dict(asked.Params),
        warnings=tuple(warnings),
        priority=asked.Priority,
    )
    return order, _inputs(asked.Inputs), asked.Seconds


def _read_saved(document: Any) -> DryRunSaved:
    return reading.read(DryRunSaved, document, warnings=[])


def _inputs(asked: Mapping[str, DryInput]) -> dict[str, Input]:
    """Raises `errors.Malformed` for what says nothing, or more than one thing."""
    return {edge: _input(edge, one) for edge, one in asked.items()}


def _input(edge: str, asked: DryInput) -> Input:
    given = [one for one in (asked.Text, asked.Base64, asked.Run) if one is not None]
    if len(given) != 1:
        raise errors.Malformed(reason=f"/Inputs/{edge[:64]} is given as one of Text, Base64, and Run with Edge")
    if asked.Run is not None:
        return Earlier(run=asked.Run, edge=asked.Edge)
    if asked.Text is not None:
        return Bytes(data=asked.Text.encode("utf-8", "replace"), content_type=asked.ContentType)
    try:
        data = base64.b64decode(asked.Base64 or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise errors.Malformed(reason=f"/Inputs/{edge[:64]}/Base64 is no Base64: {error}") from error
    return Bytes(data=data, content_type=asked.ContentType)


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/flow/dry-run",
        handler=try_flow,
        needs=Permission.RUNS_START,
        summary="Try a flow out on the first rows of what it takes, and answer when it has ended; nothing is kept",
        reads=DryRunFlow,
        answers=DryRun,
        optional_body=False,
        lasting=True,
    ),
    Route(
        method="POST",
        path="/api/v1/flow/saved/{flow}/dry-run",
        handler=try_saved,
        needs=Permission.FLOWS_RUN,
        summary="The same of a saved flow",
        reads=DryRunSaved,
        answers=DryRun,
        lasting=True,
    ),
)
