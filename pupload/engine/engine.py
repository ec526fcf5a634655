"""
The engine as a whole: its parts, put together, started and stopped.

Starting is recovering: every unfinished run that has no live owner is taken up, every container of ours that is still
there is found by its label, and what belongs to no run any more is removed. The same happens when another controller
on the same database dies.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pupload.domain import commands, deadlines, events, facts
from pupload.domain.namespace import Namespaces
from pupload.domain.run import Decision, NodeRun, Run
from pupload.domain.schedule import Calendar, Schedules
from pupload.engine.admission import Admission, Room
from pupload.engine.arming import Arming, Budget
from pupload.engine.attempts import Attempts
from pupload.engine.callbacks import NOBODY, Callbacks, Operator
from pupload.engine.collecting import MOST_ITEMS
from pupload.engine.consequences import Consequences
from pupload.engine.contents import SCRATCH, Contents
from pupload.engine.cutting import Cutting
from pupload.engine.disks import DiskRoom
from pupload.engine.driver import Driver
from pupload.engine.effects import Effects
from pupload.engine.ephemeral import Ephemeral
from pupload.engine.handout import Handout
from pupload.engine.lease import Lease
from pupload.engine.leases import Leases
from pupload.engine.memory import USUAL_SECONDS, Memory
from pupload.engine.orders import Limits, owner_of
from pupload.engine.post import Post
from pupload.engine.preparing import Preparing
from pupload.engine.retention import Keeping, Retention
from pupload.engine.sharing import Sharing
from pupload.engine.staging import Staging
from pupload.engine.sweeping import Sweep
from pupload.engine.uploads import Uploads
from pupload.ports import (
    Accounts,
    Batches,
    Clock,
    Controller,
    Credentials,
    Disks,
    Drawings,
    Episodes,
    Executor,
    Feed,
    Fetcher,
    FlowStore,
    Hands,
    Ids,
    Inspector,
    Journal,
    Knowledge,
    Memo,
    Outbox,
    Ownership,
    Poster,
    RunStore,
    SavedFlows,
    SecretStore,
    Stores,
    Tables,
    Threads,
    TypeTeller,
)

ALONE = Controller(id="alone", name="the only one", engine="the only one", store="the only one")
"""The controller where there is never another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What the engine works with: one adapter for each port."""

    runs: RunStore
    journal: Journal
    feed: Feed
    flows: FlowStore
    saved: SavedFlows
    schedules: Schedules
    calendar: Calendar
    secrets: SecretStore
    stores: Stores
    executor: Executor
    teller: TypeTeller
    inspector: Inspector
    clock: Clock
    ids: Ids
    outbox: Outbox
    poster: Poster
    ownership: Ownership
    disks: Disks | None = None
    """None: room on disk is not watched."""
    hands: Hands | None = None
    """None: what may block is done in the event loop's own threads."""
    memo: Memo | None = None
    """None: all work is done, whether or not it was done before."""
    credentials: Credentials | None = None
    """None: nobody can keep one."""
    fetcher: Fetcher | None = None
    """None: no credential can be tried out."""
    tables: Tables | None = None
    """None: no file is shown as a table."""
    accounts: Accounts | None = None
    """None: nobody can have one."""
    batches: Batches | None = None
    """None: no runs are planned together."""
    knowledge: Knowledge | None = None
    """None: nothing is known."""
    episodes: Episodes | None = None
    """None: no run is remembered as one."""
    threads: Threads | None = None
    """None: nothing that is said to flows is kept."""
    drawings: Drawings | None = None
    """None: nobody can draw."""
    namespaces: Namespaces | None = None
    """None: none is kept, which are there by their flows alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What the operator decides."""

    attempts_root: Path
    """The directory that holds the attempts' directories; on the store's file system, so that bytes can be linked."""
    limits: Limits
    secrets_root: Path | None = None
    """The directory that holds what nodes are given secretly, in memory; None where there is no such place."""
    room: Room
    armed: Budget = field(default_factory=Budget)
    """What may be armed ahead of its attempts."""
    max_upload_bytes: int
    caps: facts.Limits = facts.UNLIMITED
    """What any file may hold at most, whatever its ports say."""
    callback: Operator = NOBODY
    most_runs: int | None = None
    """How many runs may have something under way at the same time; None: any number."""
    keeping: Keeping = field(default_factory=Keeping)
    memo_seconds: float = USUAL_SECONDS
    """How long work is remembered that nobody used again."""
    max_items: int = MOST_ITEMS
    """In one collection."""
    disk_reserve_bytes: int | None = None
    """What is to stay free on every disk; None: as much as is usual for its size."""
    me: Controller = ALONE
    lease_seconds: float = 15.0
    own_store: bool = False
    """Whether nobody but this installation keeps anything in the default store."""


class Engine:
    """Makes runs happen."""

    def __init__(self, world: World, config: Config) -> None:
        self.world = world
        self.config = config
        self._closing = False
        self.lease = Lease(world.clock, seconds=config.lease_seconds)
        self.post = Post(ownership=world.ownership, journal=world.journal, clock=world.clock)
        self.driver = Driver(
            runs=world.runs, clock=world.clock, ids=world.ids, me=config.me.id, lease=self.lease, post=self.post
        )
        self.admission = Admission(
            config.room,
            is_open=lambda: not self._closing and self.lease.valid and self.disks.enough,
            most_runs=config.most_runs,
        )
        self.admission.slots.on_change = self._queued
        self.disks = DiskRoom(
            world.disks,
            clock=world.clock,
            reserve_bytes=config.disk_reserve_bytes,
            on_room=self._has_room_on_disk,
        )
        contents = Contents(
            teller=world.teller,
            inspector=world.inspector,
            caps=config.caps,
            scratch=config.attempts_root.parent / SCRATCH,
            tokens=world.ids.token,
        )
        self.cutting = Cutting(world.tables, tokens=world.ids.token)
        self.staging = Staging(
            stores=world.stores,
            contents=contents,
            clock=world.clock,
            root=config.attempts_root,
            owner=owner_of(config.limits.user),
            lease=self.lease,
            max_artifact_bytes=config.limits.policy.max_artifact_bytes,
            max_items=config.max_items,
            hands=world.hands,
            cutter=self.cutting,
        )
        self.handout = Handout(secrets=world.secrets, root=config.secrets_root)
        self._make_things_happen(world, config)
        self._keep_house(world, config)
        self.totals: Counter[str] = Counter()
        """Events since the start, by their journal name."""
        self.driver.connect(
            self._carry_out,
            self._count,
            on_taken_up=self._taken_up,
            on_let_go=self._let_go,
            on_kept=self.admission.see,
            on_settled=self._settled,
            reserve=self._reserve,
            foresee=self._foresee,
            give_back=self._give_back,
        )

    def _make_things_happen(self, world: World, config: Config) -> None:
        """The parts that bring runs forward: what they wait for, what they have done, and who is told."""
        self.arming = Arming(
            executor=world.executor,
            staging=self.staging,
            driver=self.driver,
            admission=self.admission,
            disks=self.disks,
            clock=world.clock,
            limits=config.limits,
            budget=config.armed,
            lease=self.lease,
        )
        self.memory = Memory(
            world.memo,
            staging=self.staging,
            executor=world.executor,
            clock=world.clock,
            limits=config.limits,
            caps=config.caps,
            lease=self.lease,
            seconds=config.memo_seconds,
        )
        self.attempts = Attempts(
            driver=self.driver,
            admission=self.admission,
            arming=self.arming,
            staging=self.staging,
            executor=world.executor,
            journal=world.journal,
            clock=world.clock,
            limits=config.limits,
            handout=self.handout,
            lease=self.lease,
            disks=self.disks,
            memory=self.memory,
        )
        self.uploads = Uploads(
            driver=self.driver,
            staging=self.staging,
            contents=self.staging.contents,
            clock=world.clock,
            max_bytes=config.max_upload_bytes,
            lease=self.lease,
            post=self.post,
        )
        self.callbacks = Callbacks(
            outbox=world.outbox,
            poster=world.poster,
            look=self.driver.look,
            reveal=world.secrets.reveal,
            clock=world.clock,
            ids=world.ids,
            operator=config.callback,
        )

    def _keep_house(self, world: World, config: Config) -> None:
        """The parts that see to what runs leave behind, and to whose they are."""
        self.retention = Retention(
            runs=world.runs,
            driver=self.driver,
            staging=self.staging,
            stores=world.stores,
            clock=world.clock,
            keeping=config.keeping,
            own_store=config.own_store,
            memory=self.memory,
            feed=world.feed,
        )
        self.ephemeral = Ephemeral(
            driver=self.driver, journal=world.journal, retention=self.retention, clock=world.clock
        )
        self.consequences = Consequences(runs=world.runs, driver=self.driver, clock=world.clock)
        self._effects = Effects(
            runs=world.runs,
            attempts=self.attempts,
            preparing=Preparing(world.executor),
            uploads=self.uploads,
            staging=self.staging,
            callbacks=self.callbacks,
            ephemeral=self.ephemeral,
            clock=world.clock,
        )
        self.sweep = Sweep(
            runs=world.runs,
            executor=world.executor,
            stores=world.stores,
            attempts=self.attempts,
            arming=self.arming,
            staging=self.staging,
            handout=self.handout,
            clock=world.clock,
            me=config.me,
            others=lambda: self.leases.others,
            act=self._carry_out,
            own_store=config.own_store,
        )
        self.leases = Leases(
            ownership=world.ownership,
            me=config.me,
            lease=self.lease,
            driver=self.driver,
            uploads=self.uploads,
            sharing=Sharing(ownership=world.ownership, admission=self.admission, me=config.me, ids=world.ids),
            room_moved=self.admission.moved,
            clock=world.clock,
            on_taken_over=self.sweep.ask,
            on_gone=self.callbacks.look,
        )

    async def start(self) -> None:
        """Takes up what was under way, and everything new from now on."""
        await self.disks.start()
        self.driver.start()
        self.uploads.start()
        self.callbacks.start()
        self.arming.start()
        await self.leases.start()
        self.sweep.start()
        self.retention.start()

    async def close(self) -> None:
        """Stops accepting and deciding; containers go on, and the next start takes them up."""
        self._closing = True
        await self.consequences.close()
        await self.leases.close()
        await self.ephemeral.close()
        await self.sweep.close()
        await self.retention.close()
        await self.disks.close()
        await self.uploads.close()
        await self.attempts.close()
        await self.memory.close()
        await self.arming.close()
        await self._effects.close()
        await self.callbacks.close()
        await self.driver.close()
        await self.leases.sign_out()  # last: from now on others go on with what is ours

    def _carry_out(self, run: Run, command: commands.Command) -> None:
        if self._closing:
            return  # the attempts gave their room back, but their containers hold it; the next start gives this order
        self._effects.carry_out(run, command)
        if isinstance(command, commands.CloseRun):
            self.retention.ended(run)

    def _queued(self, run_id: str, waits: bool) -> None:
        self.driver.tell(run_id, events.RunQueued() if waits else events.RunDequeued())

    def _taken_up(self, run: Run) -> None:
        self.admission.take_up(run)
        for edge in deadlines.awaited(run):
            self.uploads.watch(run, edge, look=True)  # what came while nobody listened is there already
        self.arming.moved(run)
        self.ephemeral.taken_up(run)
        self.consequences.taken_up(run)

    def _settled(self, run: Run, decision: Decision) -> None:
        if any(not isinstance(event, events.NodeProgressed) for event in decision.events):
            self.arming.moved(run, decision.changed_nodes)
        self.consequences.moved(run, decision)

    def _reserve(self, run: Run, node: NodeRun, over: Collection[str]) -> bool:
        return self.attempts.reservations.reserve(run, node, over)

    def _foresee(self, run: Run, orders: Sequence[commands.Command]) -> None:
        for order in orders:
            if isinstance(order, commands.StartNode):
                self.attempts.reservations.foresee(run, order.node, order.attempt)

    def _give_back(self, run_id: str) -> None:
        self.attempts.reservations.give_back(run_id)

    def _let_go(self, run_id: str) -> None:
        self.uploads.let_go(run_id)
        self.attempts.let_go(run_id)
        self.admission.let_go(run_id)
        self.arming.let_go(run_id)

    def _has_room_on_disk(self) -> None:
        self.admission.limit_to(self.admission.share)
        self.arming.look()

    def _count(self, event: events.Event) -> None:
        self.totals[events.name_of(event)] += 1
