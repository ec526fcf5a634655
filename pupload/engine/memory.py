"""
Work that was done before, used again: the same upload twice costs no container the second time.

Before an attempt begins it is asked whether anybody did the same work (`pupload.domain.memo` says what is the same). If
so its artifacts are copied inside their store, under keys of this run's own: each run owns what it shows, and none
keeps another's from being deleted. Nothing counts before the run says so, as with what an attempt stores; whatever is
in the way (an object is gone, or another by now; a store or the database is away) makes it work that nobody did.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from itertools import chain, islice

from pupload import errors
from pupload.domain import collection, events, facts, itemnames, keys, memo, values
from pupload.domain.artifact import Artifact
from pupload.domain.memo import Component, component
from pupload.domain.plan import EdgePlan, NodePlan, PortPlan
from pupload.domain.run import AttemptRef, Run
from pupload.engine import orders
from pupload.engine.contents import consumers
from pupload.engine.kin import MOST, Kin
from pupload.engine.lease import Lease, for_ever
from pupload.engine.staging import INSIDE, Folder, Staging, input_name
from pupload.engine.tasks import Tasks, each_of, ended
from pupload.ports import Clock, ContainerOrder, Executor, Memo

log = logging.getLogger(__name__)

COPIES_AT_ONCE = 16

KEEP_SECONDS = 0.25
"""What was done is remembered within so long: together with what else was, and out of the way of what it lets begin."""

AGAIN_SECONDS = 10.0
"""
How long it holds that nobody did the work before, for who waits for room meanwhile; what this process remembers ends
that. Another controller's is not heard of for so long: then the work is done once more.
"""

USUAL_SECONDS = 30 * 86400.0
"""How long what nobody used is remembered."""

MOST_ENTRIES = 100_000
"""What is remembered at most."""

PLACES = ("PUPLOAD_RUN_ID", "PUPLOAD_NODE_ID", "PUPLOAD_ATTEMPT")
"""Variables that say where a container is, not what it is to do. A node's id counts, but an item's place does not."""

ELSEWHERE = frozenset({"attempt", "image", "reference", "uses", "inputs", "outputs", "secrets", "log_bytes", "labels"})
"""Fields of an order that are no components: they name a place, or are told by another component."""

SECRET_PARAMS = ("accesskey", "secretkey")
"""What of a store's description says who asks, not which store it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked before an attempt begins."""

    key: str
    components: tuple[Component, ...]
    image: str = ""
    """Of its container, by id."""
    at: float = 0.0
    """When it was asked, by the monotonic clock."""
    found: memo.Entry | None = None
    """Where it was done before."""
    reused: events.NodeReused | None = None
    """The work as it was found to be done: its artifacts are in their stores, and are the run's once it is told."""


@dataclass(slots=True)
class _Learning:
    """Work of one key, whose end is being told, or remembered."""

    over: "asyncio.Future[None]"
    reports: int = 0
    """By how many attempts it is being told."""


class Memory:
    """Remembers what nodes made, and uses it again."""

    def __init__(
        self,
        memo_: Memo | None,
        *,
        staging: Staging,
        executor: Executor,
        clock: Clock,
        limits: orders.Limits,
        caps: facts.Limits = facts.UNLIMITED,
        lease: Lease | None = None,
        seconds: float = USUAL_SECONDS,
    ) -> None:
        """
        Without a `memo_` nothing is remembered. `caps` are what any file may hold at most; what was not used for so
        many `seconds` is forgotten.
        """
        self._memo = memo_
        self._staging = staging
        self._executor = executor
        self._clock = clock
        self._limits = limits
        self._server = f"{limits.policy.max_artifact_bytes} {limits.output_files} {caps!r}"
        self._lease = lease or for_ever(clock)
        self._seconds = seconds
        self._learning: dict[str, _Learning] = {}
        self._unkept: dict[str, memo.Entry] = {}
        """By key: what is to be remembered together with what comes next."""
        self._wanted = asyncio.Event()
        """Somebody waits for what is to be remembered."""
        self._tasks = Tasks()
        self._kin = Kin(memo_, clock=clock) if memo_ is not None else None
        self._recent: OrderedDict[str, float] = OrderedDict()
        """Keys of what was remembered here not long ago, the latest last, and when, by the monotonic clock."""

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def on(self) -> bool:
        """Whether anything is remembered."""
        return self._memo is not None

    async def close(self) -> None:
        """Stops; what was copied for nobody is found by the next start."""
        await self._keep_all()
        await self._tasks.close()

    async def tidy(self) -> None:
        """What was not used for long is forgotten."""
        if self._memo is not None:
            await self._memo.tidy(self._clock.now() - timedelta(seconds=self._seconds), most=MOST_ENTRIES)

    def foresee(self, run: Run, node: NodePlan, ref: AttemptRef) -> "asyncio.Task[Asked | None] | None":
        """Looks already, for an `ask` that will come or not."""
        if self._memo is None or memo.objection(node):
            return None
        return self._tasks.ask(self._look(run, node, ref), name=f"foresee {ref.id}")

    async def ask(
        self,
        run: Run,
        node: NodePlan,
        ref: AttemptRef,
        *,
        foreseen: "asyncio.Task[Asked | None] | None" = None,
        before: Asked | None = None,
    ) -> Asked | None:
        """
        Whether the attempt's work was done before. None where that is not asked of such a node, or cannot be told.

        `before` is what it came to when it was asked last. Cancelled, it leaves nothing behind.
        """
        if self._memo is None or memo.objection(node):
            return None
        if before is not None and await self._holds(node, before):
            return before
        asked = await (foreseen or self._look(run, node, ref))
        if asked is not None and asked.found is None and (asked.key in self._learning or asked.key in self._recent):
            asked = await self._look(run, node, ref)
        if asked is None or asked.found is None:
            return asked
        return replace(asked, reused=await self._use(run, node, ref, asked.found))

    async def _holds(self, node: NodePlan, asked: Asked) -> bool:
        """Whether nobody can have done the work since nobody had, and it is still the same work."""
        if asked.found is not None or asked.key in self._learning or asked.key in self._recent:
            return False
        if self._clock.monotonic() >= asked.at + AGAIN_SECONDS:
            return False
        try:
            return await self._executor.resolve_image(node.image) == asked.image and asked.key not in self._learning
        except errors.PuploadError:
            return False

    async def _look(self, run: Run, node: NodePlan, ref: AttemptRef) -> Asked | None:
        assert self._memo is not None
        try:
            at = self._clock.monotonic()
            image = await self._executor.resolve_image(node.image)
            components = self.components(run, node, ref, image=image)
            key = memo.key(components, account=run.plan.account)
            while (learning := self._learning.get(key)) is not None:
                self._wanted.set()
                await asyncio.wait({learning.over})
            found = await self._memo.find(memo.scope(key), key)
            return Asked(key=key, components=components, image=image, at=at, found=found)
        except errors.PuploadError as error:
            log.info("whether the work of %s was done before cannot be told: %s", ref.id, error)
            return None

    async def missed(self, node: NodePlan, asked: Asked | None) -> memo.Missed | None:
        """What came nearest to work that has to be done; None where it cannot be told."""
        if self._kin is None or asked is None:
            return None
        if asked.found is not None:
            return memo.Missed(nearest=asked.found.source)
        try:
            scope = memo.scope(asked.key)
            latest = await self._kin.latest(scope, node.uses)
            unkept = (entry for entry in reversed(self._unkept.values()) if memo.scope(entry.key) == scope)
            soon = (entry for entry in unkept if entry.uses == node.uses)
            return memo.missed(asked.components, [*islice(chain(soon, latest), MOST)])
        except errors.PuploadError as error:
            log.info("what came nearest to the work of %s cannot be told: %s", node.id, error)
            return None

    @contextmanager
    def learning(self, asked: Asked | None) -> Iterator[None]:
        """While it is told how the work ended, and that is remembered: who asks meanwhile hears of it."""
        if asked is None:
            yield
            return
        learning = self._learning.setdefault(asked.key, _Learning(asyncio.get_running_loop().create_future()))
        learning.reports += 1
        try:
            yield
        finally:
            learning.reports -= 1
            self._perhaps_learnt(asked.key)

    def _perhaps_learnt(self, key: str) -> None:
        if key not in self._unkept and not self._learning[key].reports:
            self._learning.pop(key).over.set_result(None)

    def keep(self, run: Run, node: NodePlan, asked: Asked, end: events.NodeSucceeded | events.NodeReused) -> None:
        """
        Remembers the work, whose artifacts are the run's: soon, with that of others; at once, when somebody asks.

        To be called while it is being learnt.
        """
        if self._memo is None or len(end.artifacts) > memo.MOST_OUTPUTS:
            return
        now = self._clock.now()
        source = end.source if isinstance(end, events.NodeReused) else None
        entry = memo.Entry(
            key=asked.key,
            uses=node.uses,
            run=run.id,
            source=source or memo.Source(run=run.id, node=node.id, at=now),
            components=asked.components,
            made=tuple(_made(node, end.artifacts)),
            at=now,
        )
        if not self._unkept:
            self._tasks.start(self._keep_soon(), name="remember work")
        self._unkept[entry.key] = entry

    async def _keep_soon(self) -> None:
        """What comes together is kept in one commit, and not while what comes next is begun."""
        while self._unkept:
            self._wanted.clear()
            waiting = asyncio.ensure_future(self._clock.sleep(KEEP_SECONDS))
            wanted = asyncio.ensure_future(self._wanted.wait())
            try:
                await asyncio.wait({waiting, wanted}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await ended(waiting)
                await ended(wanted)
            await self._keep_all()

    async def _keep_all(self) -> None:
        entries = dict(self._unkept)
        try:
            if self._memo is not None and self._kin is not None and entries:
                self._note(entries)
                for scope in {memo.scope(key) for key in entries}:
                    await self._memo.keep(scope, [entry for key, entry in entries.items() if memo.scope(key) == scope])
                self._kin.kept(entries.values())
        except errors.PuploadError as error:
            log.info("the work of %d nodes is not remembered: %s", len(entries), error)
        finally:
            for key, entry in entries.items():
                if self._unkept.get(key) is entry:
                    del self._unkept[key]
                    self._perhaps_learnt(key)

    def _note(self, keys: Iterable[str]) -> None:
        now = self._clock.monotonic()
        for key in keys:
            self._recent[key] = now
            self._recent.move_to_end(key)
        while next(iter(self._recent.values())) < now - AGAIN_SECONDS:
            self._recent.popitem(last=False)

    async def withdraw(self, run: Run, reused: events.NodeReused, *, but: Collection[tuple[str, str]]) -> None:
        """What was copied is gone afterwards: not those whose store and key are told, nor keys that wells name."""
        copied = [one for one in reused.artifacts if keys.is_chosen(run.id, run.plan.edges[one.edge])]
        await self._staging.withdraw(run, [one for one in copied if (one.store, one.key) not in but])

    # ── What the work is known by ────────────────────────────────────────────────────────────────────────────────

    def components(self, run: Run, node: NodePlan, ref: AttemptRef, *, image: str) -> tuple[Component, ...]:
        """Everything that the outcome of the node's work can depend on, in the order that counts."""
        inputs = {port.port: run.artifacts.get(port.edge) for port in node.inputs}
        paths = {
            port.port: f"{INSIDE}/in/{input_name(port, found)}"
            for port in node.inputs
            if (found := inputs[port.port]) is not None
        }
        order = orders.container(
            run,
            node,
            ref,
            node.tier,
            Folder(path=self._staging.folder(ref).path),
            paths,
            image=image,
            limits=self._limits,
        )
        whole = collection.part_of(node.id) if node.id not in run.plan.nodes else None
        parts = [
            component("node", whole[0] if whole else node.id),
            component("image", image, text=f"{image[:19]} ({node.image})"),
            component("definition", _definition(node), text=f"{node.uses}: its retries, user, progress or the like"),
            component("type", node.uses),
            component("command", list(node.command)),
            component("tier", repr(node.tier), text=node.tier.name),
            component("limits of the server", self._server),
            *(component(f"flag {name}", value) for name, value in node.flags.items()),
            *(_input(run, port, inputs[port.port]) for port in node.inputs),
            *(self._output(run, port) for port in node.outputs),
            *_of_order(order),
        ]
        return memo.ordered(parts)

    def _output(self, run: Run, port: PortPlan) -> Component:
        """What is promised of the output, and by whom it is taken: what one flow lets pass another need not."""
        edge = run.plan.edges[port.edge]
        takers = sorted(repr((one.types, one.limits)) for one in consumers(run, port.edge))
        promised = repr(values.replace(port, edge=""))
        where = _store(run, edge)
        shown = f"{' or '.join(port.types) or 'any type'}, for {len(takers)} inputs, kept in {edge.store}"
        return component(f"output {port.port}", [promised, takers, where, edge.valued], text=shown)

    # ── Using it again ───────────────────────────────────────────────────────────────────────────────────────────

    async def _use(self, run: Run, node: NodePlan, ref: AttemptRef, entry: memo.Entry) -> events.NodeReused | None:
        """What the entry's artifacts are here, copied; None where it cannot be used (any more)."""
        if (copies := _copies(run, node, ref, entry)) is None:
            return None
        done = list[Artifact]()

        async def copy(this: _Copy) -> None:
            done.append(await self._copy(run, this))

        # Keys that wells name come last: what lies there may be another's, until all else is known to be there.
        own = [one for one in copies if one.own]
        try:
            await self._lease.sure()
            await each_of(own, copy, at_once=COPIES_AT_ONCE)
            for one in copies:
                if not one.own:
                    await copy(one)
        except errors.PuploadError as error:
            log.info("what was done in %s cannot be used for %s: %s", entry.source.run, ref.id, error)
            await self._give_up(run, own, done)
            if self._memo is not None and isinstance(error, errors.ObjectAbsent | errors.PreconditionFailed):
                await self._forget(entry)
            return None
        except BaseException:
            self._tasks.start(self._give_up(run, own, done), name=f"withdraw copies of {ref.id}")
            raise
        order = {one.target.edge: number for number, one in enumerate(copies)}
        done.sort(key=lambda one: order[one.edge])
        return events.NodeReused(node=ref.node, attempt=ref.number, artifacts=tuple(done), source=entry.source)

    async def _copy(self, run: Run, this: "_Copy") -> Artifact:
        target, now = this.target, self._clock.now() + self._clock.skew()
        if target.items is not None:
            return values.replace(target, created_at=now)
        source = this.source
        if (source.key, source.store) == (target.key, target.store):
            raise errors.PreconditionFailed(key=target.key, store=target.store)
        copied = await self._staging.store(run, target.store).copy(
            source.key, target.key, if_etag=source.etag, content_type=source.content_type
        )
        if copied.size != source.size or (copied.sha256 or source.sha256) != source.sha256:
            raise errors.PreconditionFailed(key=source.key, store=source.store)
        return values.replace(target, etag=copied.etag, created_at=now)

    async def _give_up(self, run: Run, own: Iterable["_Copy"], done: Iterable[Artifact]) -> None:
        await self._staging.withdraw(run, {one.edge: one for one in [*(each.target for each in own), *done]}.values())

    async def _forget(self, entry: memo.Entry) -> None:
        try:
            if self._memo is not None and self._kin is not None:
                self._kin.forget(entry)
                await self._memo.forget(memo.scope(entry.key), entry)
        except errors.PuploadError as error:
            log.info("it is forgotten another time: %s", error)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """An artifact and what it is to be here."""

    source: Artifact
    target: Artifact
    own: bool
    """Whether its key is this attempt's alone."""


def _copies(run: Run, node: NodePlan, ref: AttemptRef, entry: memo.Entry) -> list[_Copy] | None:
    """None where the entry does not go with the node: it should, by its key."""
    ports = {port.port: port for port in node.outputs}
    wholes = {one.port: one.artifact for one in entry.made if one.place is None}
    found = []
    for made in entry.made:
        port, whole = ports.get(made.port), wholes.get(made.port)
        if port is None or whole is None or not made.artifact.key.startswith(whole.key):
            return None
        edge = run.plan.edges[port.edge]
        key = keys.of_reuse(run.id, edge, ref.number, run.fence) + made.artifact.key.removeprefix(whole.key)
        target = values.replace(
            made.artifact,
            edge=port.edge if made.place is None else collection.item(port.edge, made.place),
            store=edge.store,
            key=key,
            node=ref.node,
            attempt=ref.number,
        )
        found.append(_Copy(source=made.artifact, target=target, own=keys.is_chosen(run.id, edge)))
    return found


def _made(node: NodePlan, artifacts: Iterable[Artifact]) -> Iterable[memo.Made]:
    """The artifacts by the ports that they came from."""
    ports = {port.edge: port.port for port in node.outputs}
    for found in artifacts:
        if (port := ports.get(found.edge)) is not None:
            yield memo.Made(port=port, artifact=found)
        elif (part := collection.part_of(found.edge)) is not None and part[0] in ports:
            yield memo.Made(port=ports[part[0]], place=part[1], artifact=found)


def _input(run: Run, port: PortPlan, found: Artifact | None) -> Component:
    """The bytes, and of their name what the container sees."""
    name, seen = f"input {port.port}", repr((port.many, port.extension))
    if found is None:
        return component(name, [seen], text="nothing")
    if not port.many:
        text = f"{found.size} bytes of {found.content_type}, SHA-256 {found.sha256[:12]}…"
        return component(name, [seen, found.sha256, found.size, found.content_type], text=text)
    placed = list(collection.placed(found, run.artifacts))
    items = [
        [place, one.sha256, one.size, name]
        for (place, one), name in zip(placed, itemnames.of_files(placed), strict=True)
    ]
    text = f"{len(items)} items, {found.size} bytes, SHA-256 {found.sha256[:12]}…"
    return component(name, [seen, found.items, *items], text=text)


def _of_order(order: ContainerOrder) -> Iterable[Component]:
    """What the container gets, field by field: a field that comes to be counts from then on."""
    for each in fields(order):
        if each.name not in ELSEWHERE:
            yield component(each.name.replace("_", " "), _seen(each.name, getattr(order, each.name)))


def _seen(name: str, value: object) -> object:
    if name == "environment" and isinstance(value, Mapping):
        return {variable: said for variable, said in value.items() if variable not in PLACES}
    return list(value) if isinstance(value, tuple) else value


def _definition(node: NodePlan) -> str:
    """What planning made of the node's definition, and is no component of its own."""
    rest = values.replace(
        node, id="", image="", inputs=(), outputs=(), flags={}, command=(), each=None, when="", memoize=True
    )
    return repr(values.replace(rest, timeout_seconds=0.0))


def _store(run: Run, edge: EdgePlan) -> str:
    """Which store the edge's object is kept in; whose keys open it is not asked."""
    described = run.plan.stores.get(edge.store)
    if described is None:
        return ""
    params = {name: value for name, value in described.params.items() if name.lower() not in SECRET_PARAMS}
    return repr((described.type, sorted(params.items())))
