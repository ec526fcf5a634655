"""
Memory: facts, and what runs and threads look like to whoever asks what is remembered.

Facts are kept as such. Episodes are runs that are over, users those who have a thread, checkpoints what was said in
one. Procedures there are none.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice

from aiohttp import web

from pupload import errors, ports
from pupload.api import web as shared
from pupload.api.pipelit import bodies, problems, wire
from pupload.api.pipelit import memory_models as models
from pupload.api.web import SERVICES, Parameter, Route
from pupload.domain import ids, knowledge
from pupload.domain.access import Permission
from pupload.domain.drawing.model import Drawing
from pupload.domain.knowledge import Fact, Scope
from pupload.domain.run import Status
from pupload.domain.saved import SavedFlow
from pupload.domain.thread import Message, Role, Thread

_AGENT = "workflow:"
_USERS = uuid.UUID("5f9a3a52-7f0e-4b39-9c57-0f6f3c0ad1c4")
"""What ids of users are made with."""

# ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_facts(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    scope, kind = request.query.get("scope", ""), request.query.get("fact_type") or None
    if scope and scope not in tuple(Scope):
        raise problems.unfit(f"query.scope: one of {', '.join(Scope)} is expected")
    page = await request.app[SERVICES].knowledge.list(
        scope=Scope(scope) if scope else None, kind=kind, limit=limit, offset=offset
    )
    flows = await _flows(request, (fact.flow for fact in page.facts if fact.flow))
    return wire.answer(models.FactPage(items=[_fact(fact, flows) for fact in page.facts], total=page.total))


async def forget_facts(request: web.Request) -> web.Response:
    await request.app[SERVICES].knowledge.forget((await bodies.read(request, models.MemoryIds)).ids)
    return wire.nothing()


# ── Episodes ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_episodes(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    agent, flow_ids = request.query.get("agent_id", ""), None
    if agent:
        flow_ids = await _flow_ids(request, agent)
    page = await request.app[SERVICES].episodes.list(flow_ids=flow_ids, limit=limit, offset=offset)
    flows = await _flows(request, (run.flow_id for run in page.runs if run.flow_id))
    drawings = await _drawings(request, flows.values())
    items = [_episode(run, flows.get(run.flow_id), drawings) for run in page.runs]
    return wire.answer(models.EpisodePage(items=items, total=page.total))


async def forget_episodes(request: web.Request) -> web.Response:
    await request.app[SERVICES].episodes.forget((await bodies.read(request, models.MemoryIds)).ids)
    return wire.nothing()


# ── Procedures ───────────────────────────────────────────────────────────────────────────────────────────────────


async def list_procedures(request: web.Request) -> web.Response:
    bodies.page(request)
    return wire.answer(models.ProcedurePage(items=[], total=0))


async def forget_procedures(request: web.Request) -> web.Response:
    await bodies.read(request, models.MemoryIds)
    return wire.nothing()


# ── Users ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def list_memory_users(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    found = await _by_account(request)
    shown = list(islice(found.items(), offset, offset + limit))
    names = await request.app[SERVICES].callers.names(account for account, _ in shown)
    items = [_user(account, threads, names.get(account)) for account, threads in shown]
    return wire.answer(models.MemoryUserPage(items=items, total=len(found)))


async def forget_memory_users(request: web.Request) -> web.Response:
    wanted = set((await bodies.read(request, models.MemoryIds)).ids)
    for account, threads in (await _by_account(request)).items():
        if _user_id(account) in wanted:
            await request.app[SERVICES].threads.forget(threads)
    return wire.nothing()


async def _by_account(request: web.Request) -> Mapping[int, Sequence[Thread]]:
    """The caller's threads by whose they are, who said something last first."""
    found: dict[int, list[Thread]] = defaultdict(list)
    for thread in await request.app[SERVICES].threads.every():
        if thread.account is not None:
            found[thread.account].append(thread)
    return found


# ── Checkpoints ──────────────────────────────────────────────────────────────────────────────────────────────────


async def list_checkpoints(request: web.Request) -> web.Response:
    limit, offset = bodies.page(request)
    wanted, service = request.query.get("thread_id") or None, request.app[SERVICES].threads
    threads = [thread for thread in await service.every() if wanted in (None, _thread_id(thread))]
    items: list[models.Checkpoint] = []
    for thread in threads:
        if offset >= thread.messages:
            offset -= thread.messages
        elif len(items) < limit:
            told = _checkpoints(thread, await service.messages(thread))
            items += told[offset : offset + limit - len(items)]
            offset = 0
    return wire.answer(models.CheckpointPage(items=items, total=sum(thread.messages for thread in threads)))


async def forget_checkpoints(request: web.Request) -> web.Response:
    asked = await bodies.read(request, models.CheckpointIds)
    service, wanted = request.app[SERVICES].threads, set(asked.thread_ids or ())
    threads = [thread for thread in await service.every() if _thread_id(thread) in wanted] if wanted else []
    numbers = [
        int(each) for each in asked.checkpoint_ids or () if each.isascii() and each.isdecimal() and len(each) < 19
    ]
    await service.forget(threads, message_ids=numbers)
    return wire.nothing()


# ── What is written ──────────────────────────────────────────────────────────────────────────────────────────────


def _fact(fact: Fact, flows: Mapping[str, SavedFlow]) -> models.KnownFact:
    return models.KnownFact(
        id=fact.id,
        scope=fact.scope,
        agent_id=_agent_id(fact.flow, flows.get(fact.flow)),
        user_id=_user_id(fact.account),
        key=fact.key,
        value=fact.value,
        fact_type=fact.type,
        confidence=fact.confidence,
        times_confirmed=fact.times_confirmed,
        access_count=fact.access_count,
        created_at=wire.moment(fact.created_at),
        updated_at=wire.moment(fact.updated_at),
    )


def _episode(run: ports.RunSummary, flow: SavedFlow | None, drawings: Mapping[int, Drawing]) -> models.Episode:
    took = None if run.started_at is None or run.finished_at is None else run.finished_at - run.started_at
    return models.Episode(
        id=ids.uuid_of(run.id),
        agent_id=_agent_id(run.flow_id, flow),
        user_id=_user_id(run.account),
        trigger_type=_trigger(flow, drawings),
        success=run.status is Status.COMPLETE,
        error_code={Status.ERROR: "failed", Status.STOPPED: "cancelled"}.get(run.status),
        summary=run.error or None,
        started_at=wire.maybe_moment(run.started_at),
        ended_at=wire.maybe_moment(run.finished_at),
        duration_ms=None if took is None else round(took.total_seconds() * 1000),
        created_at=wire.moment(run.created_at),
    )


def _user(account: int, threads: Sequence[Thread], name: str | None) -> models.MemoryUser:
    return models.MemoryUser(
        id=_user_id(account) or "",
        canonical_id=f"user:{account}",
        display_name=name,
        total_conversations=sum(thread.turns for thread in threads),
        last_seen_at=wire.moment(max(thread.last_at for thread in threads)),
        created_at=wire.moment(min(thread.first_at for thread in threads)),
    )


def _checkpoints(thread: Thread, messages: Sequence[Message]) -> list[models.Checkpoint]:
    before = [None, *(str(message.id) for message in messages)]
    return [
        models.Checkpoint(
            thread_id=_thread_id(thread),
            checkpoint_id=str(message.id),
            parent_checkpoint_id=before[step],
            step=step,
            source="input" if message.role is Role.USER else "loop",
            blob_size=len(message.text.encode()),
        )
        for step, message in enumerate(messages)
    ]


# ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _flows(request: web.Request, flow_ids: Iterable[str]) -> Mapping[str, SavedFlow]:
    """Those of them that are there for the caller, by their ids."""
    found: dict[str, SavedFlow] = {}
    for flow_id in dict.fromkeys(flow_ids):
        with suppress(errors.UnknownSavedFlow):
            found[flow_id] = await request.app[SERVICES].flows.find(flow_id)
    return found


async def _drawings(request: web.Request, flows: Iterable[SavedFlow]) -> Mapping[int, Drawing]:
    """What these flows come of, by number."""
    found: dict[int, Drawing] = {}
    for number in {flow.drawing for flow in flows if flow.drawing is not None}:
        with suppress(errors.UnknownDrawing):
            found[number] = await request.app[SERVICES].drawings.get(number)
    return found


async def _flow_ids(request: web.Request, agent_id: str) -> Sequence[str]:
    """The saved flows of the agent; none where there is no such one."""
    name, services = agent_id.removeprefix(_AGENT), request.app[SERVICES]
    if name.isascii() and name.isdecimal() and len(name) < 19:
        with suppress(errors.UnknownDrawing):
            return [flow.id for flow in await services.drawn_runs.flows(await services.drawings.get(int(name)))]
        return []
    with suppress(errors.UnknownSavedFlow):
        return [(await services.flows.find(name)).id]
    return []


def _agent_id(flow_id: str, flow: SavedFlow | None) -> str | None:
    if not flow_id:
        return None
    return f"{_AGENT}{flow.drawing if flow is not None and flow.drawing is not None else flow_id}"


def _trigger(flow: SavedFlow | None, drawings: Mapping[int, Drawing]) -> str:
    """What began a run of the flow: a drawing's is named after its trigger."""
    drawing = drawings.get(flow.drawing) if flow is not None and flow.drawing is not None else None
    node = drawing.node(flow.name) if drawing is not None and flow is not None else None
    return "manual" if node is None else node.component.removeprefix("trigger_")


def _user_id(account: int | None) -> str | None:
    return None if account is None else str(uuid.uuid5(_USERS, f"user:{account}"))


def _thread_id(thread: Thread) -> str:
    return f"{thread.account or 0}:{thread.flow}"


_OF_AGENT = Parameter(name="agent_id", about="Only those of this workflow, as `workflow:` and its number.")
_MEMORIES = f"{wire.PREFIX}/memories"


def _forgetting(what: str, handler: shared.Handler, reads: type = models.MemoryIds) -> Route:
    return Route(
        method="POST",
        path=f"{_MEMORIES}/{what}/batch-delete",
        handler=handler,
        needs=Permission.FLOWS_RUN,
        summary=f"Forget {what}; those that are not there are passed over",
        reads=reads,
        status=204,
        optional_body=False,
    )


ROUTES = (
    Route(
        method="GET",
        path=f"{_MEMORIES}/facts",
        handler=list_facts,
        needs=Permission.RUNS_VIEW,
        summary="What runs left behind for later ones, the last said first",
        answers=models.FactPage,
        parameters=(
            Parameter(name="scope", about="Only those of this scope.", choices=tuple(Scope)),
            Parameter(name="fact_type", about="Only those of this type.", choices=knowledge.TYPES),
            *bodies.PAGE,
        ),
    ),
    _forgetting("facts", forget_facts),
    Route(
        method="GET",
        path=f"{_MEMORIES}/episodes",
        handler=list_episodes,
        needs=Permission.RUNS_VIEW,
        summary="Executions that are over, the last begun first",
        answers=models.EpisodePage,
        parameters=(_OF_AGENT, *bodies.PAGE),
    ),
    _forgetting("episodes", forget_episodes),
    Route(
        method="GET",
        path=f"{_MEMORIES}/procedures",
        handler=list_procedures,
        needs=Permission.RUNS_VIEW,
        summary="Procedures, of which there are none",
        answers=models.ProcedurePage,
        parameters=(_OF_AGENT, *bodies.PAGE),
    ),
    _forgetting("procedures", forget_procedures),
    Route(
        method="GET",
        path=f"{_MEMORIES}/users",
        handler=list_memory_users,
        needs=Permission.RUNS_VIEW,
        summary="Who said something to workflows, the last first",
        answers=models.MemoryUserPage,
        parameters=bodies.PAGE,
    ),
    _forgetting("users", forget_memory_users),
    Route(
        method="GET",
        path=f"{_MEMORIES}/checkpoints",
        handler=list_checkpoints,
        needs=Permission.RUNS_VIEW,
        summary="What was said in threads, the thread of the last message first",
        answers=models.CheckpointPage,
        parameters=(Parameter(name="thread_id", about="Only of this thread."), *bodies.PAGE),
    ),
    _forgetting("checkpoints", forget_checkpoints, models.CheckpointIds),
)
