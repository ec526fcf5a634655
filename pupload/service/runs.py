"""Runs: started, looked at, cancelled, resumed, followed."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from pupload import errors
from pupload.domain import flow, ids, memo, nodedef, params, planning, priority, replaying, resuming, saved, validation
from pupload.domain import plan as plan_of
from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin
from pupload.domain.events import CancelRequested
from pupload.domain.run import Decision, Run, Status
from pupload.domain.validation import findings
from pupload.domain.validation.findings import Finding, in_order
from pupload.domain.validation.limits import Limits
from pupload.engine import aside
from pupload.engine.engine import Engine
from pupload.engine.tasks import each_of
from pupload.ports import Catalogue, Entry, LogRecord, RunPage
from pupload.service import owned
from pupload.service.following import Follower
from pupload.service.presenting import Presenter
from pupload.service.views import Items, Order, RunView
from pupload.service.why import Why, why

MAX_PAGE = 1000
"""Runs in one answer of `list`."""

_CHECKS_AT_ONCE = 16
"""Artifacts whose objects are looked for at the same time."""

_MISSING_NAMED = 20
"""Artifacts that a sentence names."""

_LARGE = 200
"""A flow of so many nodes and definitions takes more than some milliseconds to judge and to plan."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the operator decides for every run."""

    limits: Limits
    upload_seconds: float
    queue_seconds: float
    node_seconds: float
    """How long an attempt may take whose definition does not say."""


class Runs:
    """What can be asked about runs."""

    def __init__(self, *, engine: Engine, catalogue: Catalogue, presenter: Presenter, terms: Terms) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._presenter = presenter
        self._terms = terms
        self._follower = Follower(engine.world.journal)
        self._owned = owned.Runs(engine)
        self._known_secrets = owned.Secrets(engine.world.secrets, engine.world.credentials)

    async def validate(self, order: Order, *, given: bool = True) -> Sequence[Finding]:
        """
        Everything that is wrong with the flow or remarkable about it; runs nothing, stores nothing.

        Its parameters are judged too, unless none are `given` yet: then no value that one stands for is.
        """
        order = replace(order, account=owned.mine())
        order = _filled(order) if given else order
        return await self._validate(order, await self._definitions(order.flow, order.definitions), given=given)

    async def start(self, order: Order, *, idempotency_key: str | None = None) -> RunView:
        """
        A new run of the flow, saved; or the run that was started with this key before.

        It is the caller's. Raises `errors.Invalid` with all findings, and nothing is stored then; `errors.DiskFull`
        when there is no room.
        """
        self._engine.disks.check()
        order = _filled(replace(order, account=owned.mine()))
        definitions = await self._definitions(order.flow, order.definitions)
        world = self._engine.world
        run_id, now = world.ids.new_run_id(), world.clock.now()
        plan = await self._plan(order, definitions, run_id, now)
        decision = await aside.aside(partial(begin, run_id, plan, now=now), large=_is_large(order))
        run = await self._begin(decision, idempotency_key)
        return await self._presenter.view(run, new=run.id == run_id)

    async def _begin(self, decision: Decision, idempotency_key: str | None) -> Run:
        """The new run, or that which its account began with this key before."""
        key = owned.key(idempotency_key, decision.run.plan.account)
        return await self._engine.driver.begin(decision, idempotency_key=key)

    async def plan(self, order: Order, run_id: str, now: datetime) -> plan_of.Plan:
        """What would run for the caller; its stores are not made ready. Raises `errors.Invalid` with all findings."""
        order = _filled(replace(order, account=owned.mine()))
        return await self._planned(order, await self._definitions(order.flow, order.definitions), run_id, now)

    async def _plan(
        self, order: Order, definitions: Sequence[nodedef.NodeDef], run_id: str, now: datetime
    ) -> plan_of.Plan:
        """What will run, its stores ready. Raises `errors.Invalid` with all findings."""
        plan = await self._planned(order, definitions, run_id, now)
        for store in plan.stores.values():
            opened = self._engine.world.stores.open(store)
            if store.type == "local":
                await opened.ensure_ready()  # a bucket in the server's own store is made when it is first named
        return plan

    async def _planned(
        self, order: Order, definitions: Sequence[nodedef.NodeDef], run_id: str, now: datetime
    ) -> plan_of.Plan:
        found = await self._validate(order, definitions)
        if any(finding.is_error for finding in found):
            raise errors.Invalid(what="flow", findings=tuple(found))
        warnings = (*order.warnings, *(f"{finding.code} {finding.description}" for finding in found))
        world = self._engine.world
        make_plan = partial(
            planning.make_plan,
            order.flow,
            definitions,
            run_id=run_id,
            now=now,
            tokens=world.ids.token,
            limits=self._terms.limits,
            upload_seconds=self._terms.upload_seconds,
            queue_seconds=self._terms.queue_seconds,
            default_timeout_seconds=self._terms.node_seconds,
            params=params.values(order.flow, order.params),
            warnings=warnings,
            provenance=order.provenance,
            labels=order.labels,
            priority=order.priority,
            account=order.account,
            parent=order.parent,
            followed=order.followed,
        )
        plan = await aside.aside(make_plan, large=_is_large(order))
        plan = plan if order.timeout_seconds is None else plan_of.within(plan, order.timeout_seconds)
        return plan if order.memoize else memo.forgetful(plan)

    async def status(self, run_id: str, items: Items | None = None) -> RunView:
        """
        The run as it stands; of its items none, or only those that are asked for.

        Raises `errors.UnknownRun`, `errors.Malformed` for items of what there is not.
        """
        return await self._presenter.view(await self.find(run_id), items)

    async def find(self, run_id: str) -> Run:
        """The run of this id, in whatever spelling. Raises `errors.UnknownRun`, also where it is somebody else's."""
        return await self._owned.find(run_id)

    async def of_no_flow(self, flow_id: str) -> Run | None:
        """The run of no saved flow that surfaces give this id for a flow of its own; None where there is none."""
        try:
            found = await self.find(ids.PREFIX + flow_id.removeprefix(saved.PREFIX))
        except errors.UnknownRun:
            return None
        return found if found.plan.provenance is None else None

    async def list(
        self,
        *,
        status: Status | None = None,
        flow: str | None = None,
        flow_id: str | None = None,
        started: bool | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> RunPage:
        """
        Newest first, those of the flow of this name and of the saved flow; `limit` is at most 1 000.

        Where `started` is said, only runs that are not over: those that have started, or those that have not.
        """
        limit, offset = min(max(limit, 0), MAX_PAGE), max(offset, 0)
        return await self._owned.list(
            status=status, flow=flow, flow_id=flow_id, started=started, limit=limit, offset=offset
        )

    async def cancel(self, run_id: str, *, mode: str = "kill") -> RunView:
        """
        The run will stop: at once (`kill`), or when what runs has finished (`drain`). A finished run stays as it is.

        Raises `errors.UnknownRun`, `errors.Malformed` for another mode.
        """
        if mode not in ("kill", "drain"):
            raise errors.Malformed(reason=f'Mode is "kill" or "drain", not "{mode[:64]}"')
        run = await self.find(run_id)
        if not run.status.terminal:
            await self._engine.driver.report(run.id, CancelRequested(mode=mode))
        return await self.status(run.id)

    async def purge(self, run_id: str) -> None:
        """
        The run does not exist any more; its objects, its journal and its logs are deleted soon.

        Objects that a run still needs which resumed this one stay for that. Raises `errors.UnknownRun`,
        `errors.NotOver`.
        """
        canonical = ids.canonical_run_id(run_id)
        if canonical is None:
            raise errors.UnknownRun(run=run_id[:64])
        if owned.shown() is not None:
            await self.find(canonical)  # who sees everything can purge what nobody can read back, too
        await self._engine.retention.purge(canonical)

    async def resume(self, run_id: str, *, from_node: str | None = None, idempotency_key: str | None = None) -> RunView:
        """
        A new run that does what the failed or stopped one left undone, of the same account.

        Artifacts of nodes that succeeded, and of items that did of nodes that did not, are linked after a check that
        they still exist; with `from_node` that node and all behind it run again. A second call for the run with the
        same key answers with the first new run. Raises
        `errors.UnknownRun`, `errors.Conflict` for a run that is not over, or whose artifacts are gone (it says which).
        """
        old = await self._ended(run_id, "resumed")
        if from_node is not None and from_node not in old.plan.nodes:
            raise errors.Malformed(reason=f"run {old.id} has no node {from_node}")
        kept = resuming.kept(old, from_nodes=() if from_node is None else (from_node,), by_item=True)
        if not kept.left:
            raise errors.Conflict(reason=f"run {old.id} is {old.status}: there is nothing to resume; name a FromNode")
        self._engine.disks.check()
        await self._check_artifacts(old, kept, "resumed")
        world = self._engine.world
        run_id, now = world.ids.new_run_id(), world.clock.now()
        plan = resuming.replanned(old.plan, old_run=old.id, new_run=run_id, tokens=world.ids.token)
        if from_node is not None:
            plan = resuming.unspared(plan, from_node)
        plan = replace(plan, priority=priority.of(old))
        decision = begin(
            *(run_id, plan),
            now=now,
            reused=kept.nodes,
            inputs=kept.inputs,
            sources=resuming.sources(old, kept.nodes),
            items=kept.items,
            resumed_from=old.id,
        )
        # A key of its own for each run that is resumed: the one with which that was started is no other's.
        key = None if idempotency_key is None else f"resume {old.id} {idempotency_key}"
        return await self._presenter.view(await self._begin(decision, key))

    async def replay(self, run_id: str, edits: replaying.Edits, *, idempotency_key: str | None = None) -> RunView:
        """
        A new run of the flow of one that has ended, with these edits: what they concern runs, and all behind it.

        All else that succeeded is taken over after a check that it is still there. The edited flow is judged like a
        new one. A second call for the run with the same key answers with the first new run. Raises
        `errors.UnknownRun`, `errors.Malformed` for edits of what there is not, `errors.Invalid` with all findings,
        `errors.Conflict` for a run that is not over, or whose artifacts are gone, and where nothing would run.
        """
        old = await self._ended(run_id, "replayed")
        self._engine.disks.check()
        before = await self._definitions(old.plan.flow, old.plan.definitions)
        changed, definitions = replaying.edited(old.plan.flow, before, edits)
        order = _filled(
            Order(
                flow=changed,
                definitions=definitions,
                params=old.plan.params,
                provenance=old.plan.provenance,
                labels=old.plan.labels,
                priority=priority.of(old),
                account=old.plan.account,
            )
        )
        world = self._engine.world
        new_id, now = world.ids.new_run_id(), world.clock.now()
        plan = await self._plan(order, definitions, new_id, now)
        kept = resuming.kept(old, from_nodes=replaying.affected(old.plan, plan, before, edits))
        if not kept.left:
            raise errors.Conflict(
                reason=f"nothing in run {old.id} would be otherwise: change something, or name a node"
            )
        await self._check_artifacts(old, kept, "replayed")
        plan = replaying.anew(plan, kept.left)
        sources = resuming.sources(old, kept.nodes)
        decision = begin(
            new_id, plan, now=now, reused=kept.nodes, inputs=kept.inputs, sources=sources, resumed_from=old.id
        )
        key = None if idempotency_key is None else f"replay {old.id} {idempotency_key}"
        return await self._presenter.view(await self._begin(decision, key))

    async def why(self, run_id: str, node: str) -> Why:
        """
        Why the node ran, or did not: whether its work was done before.

        Raises `errors.UnknownRun`, `errors.Malformed` where the run has no such node.
        """
        return why(await self.find(run_id), node, on=self._engine.memory.on)

    async def _ended(self, run_id: str, what: str) -> Run:
        old = await self.find(run_id)
        if not old.status.terminal:
            raise errors.Conflict(reason=f"run {old.id} is {old.status}: only a run that has ended can be {what}")
        return old

    async def _check_artifacts(self, old: Run, kept: "resuming.Kept", what: str) -> None:
        missing: list[str] = []

        async def check(artifact: Artifact) -> None:
            if artifact.edge in old.gone:
                missing.append(f"{artifact.edge} (deleted at {old.gone[artifact.edge]:%Y-%m-%d %H:%M} UTC)")
                return
            if artifact.items is not None:
                return  # each of its items is looked at
            store = self._engine.staging.store(old, artifact.store)
            try:
                found = await store.stat(artifact.key)
            except errors.ObjectAbsent:
                missing.append(f"{artifact.edge} (object {artifact.key} in store {artifact.store} is gone)")
                return
            if found.size != artifact.size or (found.sha256 or artifact.sha256) != artifact.sha256:
                missing.append(f"{artifact.edge} (object {artifact.key} in store {artifact.store} has changed)")

        await each_of(kept.artifacts, check, at_once=_CHECKS_AT_ONCE)
        if missing:
            more = f"; and {len(missing) - _MISSING_NAMED} more" if len(missing) > _MISSING_NAMED else ""
            named = "; ".join(sorted(missing)[:_MISSING_NAMED]) + more
            raise errors.Conflict(reason=f"run {old.id} cannot be {what}: artifacts are missing: {named}")

    def logs(
        self, run_id: str, *, node: str | None = None, attempt: int | None = None, since: int = 0, follow: bool = False
    ) -> AsyncIterator[Sequence[LogRecord]]:
        """
        Log records after the cursor `since`, in groups; with `follow` until the run is over and all was given.

        Raises `errors.UnknownRun` at the first step.
        """
        return self._follower.logs(self.find, run_id, node=node, attempt=attempt, since=since, follow=follow)

    def events(self, run_id: str, *, after: int = 0, follow: bool = False) -> AsyncIterator[Sequence[Entry]]:
        """Journal entries with a sequence number above `after`, in groups; `follow` and errors as for `logs`."""
        return self._follower.events(self.find, run_id, after=after, follow=follow)

    async def _validate(
        self, order: Order, definitions: Sequence[nodedef.NodeDef], *, given: bool = True
    ) -> Sequence[Finding]:
        """Definitions behind the request's own are the catalogue's, and pointers into them say so."""
        own = len(order.definitions)
        pointers = [f"/NodeDefs/{position}" for position in range(own)]
        pointers += [f"/Catalogue/{definition.uses.replace('/', '~1')}" for definition in definitions[own:]]
        limits = replace(self._terms.limits, secrets=await self._secrets(order, definitions))
        judge = partial(
            validation.validate,
            order.flow,
            definitions,
            limits=limits,
            pointers=pointers,
            given=order.params if given else None,
        )
        found = await aside.aside(judge, large=_is_large(order))
        return in_order((*found, *self._stores_that_cannot_be_used(order.flow, found)))

    async def _secrets(self, order: Order, definitions: Sequence[nodedef.NodeDef]) -> frozenset[str] | None:
        """The names of the secrets that there are, where the flow names any; most name none."""
        look = partial(validation.names_secrets, order.flow, definitions)
        if not await aside.aside(look, large=_is_large(order)):
            return None
        return await self._known_secrets.names(order.account)

    def _stores_that_cannot_be_used(self, wanted: flow.Flow, found: Sequence[Finding]) -> Iterator[Finding]:
        """What only those who would open the store can tell, such as an address that flows may not reach."""
        judged = {finding.path.split("/Params")[0] for finding in found if finding.is_error}
        for position, store in enumerate(wanted.stores):
            path = f"/Flow/Stores/{position}"
            if path in judged or f"{path}/Type" in judged:
                continue
            try:
                self._engine.world.stores.open(store)
            except errors.Refused as error:
                yield findings.found("STORE_003", f"{path}/Params", store=store.name, reason=error.facts["reason"])

    async def _definitions(self, wanted: flow.Flow, given: Sequence[nodedef.NodeDef]) -> Sequence[nodedef.NodeDef]:
        """The request's own definitions, and from the catalogue those it uses and does not bring along."""
        known = {definition.uses for definition in given}
        missing: Mapping[str, None] = {node.uses: None for node in wanted.nodes if node.uses not in known}
        found = [await self._catalogue.find(uses) for uses in missing]
        return (*given, *(definition for definition in found if definition is not None))


def _filled(order: Order) -> Order:
    """The order with its parameters put in."""
    known = params.values(order.flow, order.params)
    return replace(order, flow=params.filled(order.flow, known)) if known or order.flow.params else order


def _is_large(order: Order) -> bool:
    return len(order.flow.nodes) + len(order.definitions) > _LARGE
