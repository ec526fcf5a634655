"""
The place that picks adapters: the server, assembled, started in order and stopped in reverse.

    database → embedded store (its own process) → container engine → engine → API

Everything below gets what it needs as an argument; nothing else in pupload knows which adapter it talks to.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from pupload import errors, offline, ports
from pupload.adapters.content.pool import ContentInspector
from pupload.adapters.cron.calendar import CronCalendar
from pupload.adapters.db import database
from pupload.adapters.docker.executor import DockerExecutor
from pupload.adapters.docker.inspection import Bounds
from pupload.adapters.http.poster import HttpPoster
from pupload.adapters.magic.teller import MagicTeller
from pupload.adapters.passwords.hasher import Argon2
from pupload.adapters.s3 import client as s3_client
from pupload.adapters.sealing.sealer import FileSealer
from pupload.adapters.system import files, logs, memory
from pupload.adapters.system.clock import SystemClock
from pupload.adapters.system.collector import Collector
from pupload.adapters.system.disks import SystemDisks
from pupload.adapters.system.hands import TwoHands
from pupload.adapters.system.ids import SystemIds
from pupload.adapters.system.outbound import Guard
from pupload.adapters.system.steady import SteadyClock
from pupload.adapters.system.watchdog import Watchdog
from pupload.adapters.tables.reader import TableReader
from pupload.api import limiting, origins, surfaces
from pupload.api.app import connections_for, make_app, make_runner, protocol_factory
from pupload.api.web import Entry, Services
from pupload.assembling import Means, assemble
from pupload.configuring import engine_config
from pupload.domain.reach import Policy as ReachPolicy
from pupload.domain.reach import is_loopback
from pupload.engine.contents import SCRATCH
from pupload.engine.engine import Engine, World
from pupload.engine.revealing import Revealing
from pupload.engine.tasks import ended
from pupload.service import spooling
from pupload.service.callers import Callers
from pupload.service.presenting import Presenter
from pupload.service.runs import Runs, Terms
from pupload.service.spooling import Spool
from pupload.service.uploads import Uploads
from pupload.settings import Settings
from pupload.sourcing import make_sources
from pupload.storing import opened_stores

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 5.0
"""What requests under way get to finish when the server goes down."""

BACKLOG = 128
"""Connections that the system holds for us until they are taken."""


def program_version() -> str:
    """Of the installed package."""
    try:
        return version("pupload")
    except PackageNotFoundError:
        return "0+unknown"


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes the server's event loop: uvloop's where it is installed, else Python's own (None)."""
    try:
        import uvloop  # noqa: PLC0415 (not to be had on every system)
    except ImportError:
        return None
    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


# ── The server ───────────────────────────────────────────────────────────────────────────────────────────────────


async def serve(
    settings: Settings,
    *,
    on_ready: Callable[[str], None],
    on_setup: Callable[[str], None] = lambda _: None,
    stop: asyncio.Event,
    dev: bool = False,
) -> None:
    """
    Runs everything until `stop` is set. `on_ready` gets the server's URL once it answers; `on_setup` before that what
    lets somebody elsewhere make the first account, where others than this machine may come and there is none.

    `dev` decides what the settings leave open. Raises `errors.Misconfigured` and `errors.TryLater` when a part does
    not come up; nothing is left running then.
    """
    open_files = files.raise_limit()  # before there is a store, which is bound by the same
    async with AsyncExitStack() as stack:
        stack.push_async_callback(ended, asyncio.create_task(Collector().keep(), name="collect cycles"))
        engine = await stack.enter_async_context(running_engine(settings, dev=dev))
        pulse = Watchdog()
        pulse.start()
        stack.push_async_callback(pulse.close)
        capacity = await engine.world.executor.capacity()
        passwords = Argon2()
        stack.push_async_callback(passwords.close)
        services = make_services(engine, settings, dev=dev, capacity=capacity, passwords=passwords, pulse=pulse)
        entry = await _entry(settings, services.callers, engine.world.ids)
        app = make_app(
            services,
            version=program_version(),
            body_limit=settings.body_limit,
            request_seconds=settings.request_seconds,
            policy=_policy(settings),
            public_url=settings.public_url.rstrip("/"),
            rate=_rate(settings, engine.world.clock),
            served=surfaces.chosen(settings.surfaces),
            entry=entry,
        )
        services.consequences.start()
        stack.push_async_callback(services.consequences.close)
        services.schedules.start()
        stack.push_async_callback(services.schedules.close)
        services.sources.start()
        stack.push_async_callback(services.sources.close)
        url = await stack.enter_async_context(_listening(app, settings, connections=connections_for(open_files)))
        if entry.setup_token:
            on_setup(entry.setup_token)
        on_ready(url)
        await stop.wait()


async def _entry(settings: Settings, callers: Callers, ids: ports.Ids) -> Entry:
    """With a new set-up token where there are no accounts, and not only this machine reaches the server."""
    private = is_loopback(settings.host) and not settings.public_url
    return Entry(
        insecure=settings.insecure,
        local_resets=settings.local_resets,
        proxies=limiting.networks(settings.trusted_proxies),
        setup_token="" if private or await callers.are_set_up() else ids.token(),
    )


def _rate(settings: Settings, clock: ports.Clock) -> limiting.Limits | None:
    """How many requests a caller may make; None where any number."""
    proxies = limiting.networks(settings.trusted_proxies)
    if not settings.rate_limit:
        return None
    return limiting.Limits(clock, per_second=settings.rate_limit, burst=settings.rate_burst, proxies=proxies)


def _policy(settings: Settings) -> origins.Policy:
    """
    Which names and pages the server answers to.

    On loopback only to loopback's own names: a page from elsewhere that had its name resolve to this machine
    (DNS rebinding) is turned away.
    """
    hosts = None
    if is_loopback(settings.host):
        public = urlsplit(settings.public_url).hostname
        hosts = {*origins.LOOPBACK, *([public] if public else [])}
    return origins.Policy(origins=settings.cors_origins, hosts=hosts)


def set_up_logging(settings: Settings) -> None:
    """Log lines go to stderr from now on; for the server's own process, not for programs that hold one."""
    logs.set_up(settings.log_level, requests=settings.access_log)


@asynccontextmanager
async def running_engine(settings: Settings, *, dev: bool = False) -> AsyncIterator[Engine]:
    """The engine on the adapters that the settings name, started; closed on the way out."""
    async with AsyncExitStack() as stack:
        data = await asyncio.to_thread(_data_folder, settings)
        state = await _opened_state(stack, settings, data)
        await _check_reach(settings, state.accounts)
        for left in (_incoming(data), _tables(data), data / SCRATCH):  # no other server is here: the database said so
            await asyncio.to_thread(spooling.empty, left)
        secrets_root = _secrets_root(settings, state.instance)
        world = await _world(stack, settings, data, state, secrets_root)
        capacity = await world.executor.capacity()
        config = engine_config(settings, data, capacity, dev=dev)
        engine = Engine(world, replace(config, secrets_root=secrets_root, me=await _controller(data, world)))
        stack.push_async_callback(engine.close)
        await engine.start()
        yield engine


async def _opened_state(stack: AsyncExitStack, settings: Settings, data: Path) -> database.Database:
    """What is kept, closed with the stack."""
    where = settings.database_url.get_secret_value() or data / "pupload.db"
    sealer = await asyncio.to_thread(FileSealer, key_file(settings, data))
    state = await database.Database.open(where, folder=data, sealer=sealer)
    stack.push_async_callback(state.close)
    return state


async def _world(
    stack: AsyncExitStack, settings: Settings, data: Path, state: database.Database, secrets_root: Path | None
) -> World:
    """An adapter for each port, closed with the stack."""
    wall = SystemClock()  # for what others check: signatures, dates
    clock = await stack.enter_async_context(_steady_clock(data))
    secrets = Revealing(state.secrets, state.credentials)
    opened = await stack.enter_async_context(opened_stores(settings, data, wall, secrets))
    bounds = Bounds(policy=offline.policy(settings), attempts=data / "attempts", secrets=secrets_root)
    executor = DockerExecutor(instance=state.instance, clock=wall, host=settings.docker_host or None, bounds=bounds)
    poster = HttpPoster(guard=Guard(offline.callback_reach(settings)), trusted=Guard(ReachPolicy(private=True)))
    teller, hands = MagicTeller(), TwoHands()
    teller.warm()
    inspector = ContentInspector(seconds=settings.inspection_seconds)
    for each in (executor, poster, teller, inspector, hands):
        stack.push_async_callback(each.close)
    return World(
        runs=state.runs,
        journal=state.journal,
        feed=state.feed,
        flows=state.flows,
        saved=state.saved,
        schedules=state.schedules,
        namespaces=state.namespaces,
        calendar=CronCalendar(),
        secrets=secrets,
        credentials=state.credentials,
        stores=opened,
        executor=executor,
        teller=teller,
        inspector=inspector,
        clock=clock,
        ids=SystemIds(),
        outbox=state.outbox,
        poster=poster,
        fetcher=poster,
        ownership=state.ownership,
        disks=await _disks(data, executor),
        hands=hands,
        memo=state.memo if settings.memoize else None,
        tables=TableReader(seconds=settings.table_seconds),
        accounts=state.accounts,
        threads=state.threads,
        batches=state.batches,
        knowledge=state.knowledge,
        episodes=state.episodes,
        drawings=state.drawings,
    )


@asynccontextmanager
async def callers_here(settings: Settings) -> AsyncIterator[Callers]:
    """
    The accounts of this machine's data folder or of the database, while no server runs on the folder.

    Raises `errors.Misconfigured` where one does.
    """
    async with AsyncExitStack() as stack:
        data = await asyncio.to_thread(_data_folder, settings)
        state = await _opened_state(stack, settings, data)
        passwords = Argon2()
        stack.push_async_callback(passwords.close)
        yield Callers(accounts=state.accounts, passwords=passwords, clock=SystemClock(), ids=SystemIds())


def make_services(
    engine: Engine,
    settings: Settings,
    *,
    dev: bool,
    capacity: ports.Capacity,
    passwords: ports.Passwords,
    pulse: ports.Pulse | None = None,
) -> Services:
    """What every surface calls, over one engine."""
    world, allowed = engine.world, engine.config.limits.policy
    assert world.accounts is not None
    presenter = Presenter(engine)
    catalogue = offline.make_catalogue(settings)
    terms = Terms(
        limits=offline.limits(settings, capacity, dev=dev),
        upload_seconds=settings.upload_seconds,
        queue_seconds=settings.queue_seconds,
        node_seconds=min(settings.node_seconds, allowed.node_seconds or settings.node_seconds),
    )
    runs = Runs(engine=engine, catalogue=catalogue, presenter=presenter, terms=terms)
    means = Means(
        catalogue=catalogue,
        callers=Callers(accounts=world.accounts, passwords=passwords, clock=world.clock, ids=world.ids),
        sources=partial(make_sources, engine, settings),
        scratch=_tables(engine.config.attempts_root.parent),
        table_bytes=settings.table_bytes,
        dry_run_seconds=settings.dry_run_seconds,
        backfill_dates=settings.max_backfill_dates,
        pulse=pulse,
    )
    return assemble(engine, runs, _uploads(engine, runs, presenter), means)


def _uploads(engine: Engine, runs: Runs, presenter: Presenter) -> Uploads:
    return Uploads(
        engine=engine,
        runs=runs,
        presenter=presenter,
        max_bytes=engine.config.max_upload_bytes,
        spool=Spool(_incoming(engine.config.attempts_root.parent), tokens=engine.world.ids.token),
    )


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings, *, connections: int) -> AsyncIterator[str]:
    """Yields the URL on the first of the ports."""
    runner = make_runner(app, shutdown_seconds=SHUTDOWN_SECONDS)
    await runner.setup()
    make = protocol_factory(runner, connections=connections)
    backlog = max(1, min(BACKLOG, connections // 4))  # so many are taken in one go, before any is turned away
    try:
        with ExitStack() as bound:
            servers = []
            for port in dict.fromkeys((settings.port, *settings.more_ports)):
                server = await _bound(make, settings.host, port, backlog)
                bound.callback(server.close)  # it takes no more then; those that are there are the runner's
                servers.append(server)
            host, port = servers[0].sockets[0].getsockname()[:2]
            yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


async def _bound(make: Callable[[], asyncio.Protocol], host: str, port: int, backlog: int) -> asyncio.Server:
    """Takes connections there. Raises `errors.Misconfigured` where somebody else does."""
    try:
        return await asyncio.get_running_loop().create_server(make, host, port, backlog=backlog)
    except OSError as error:
        reason = f"cannot listen on {host}:{port}: {error.strerror}; is another server running there? Choose a --port"
        raise errors.Misconfigured(reason=reason) from error


async def _check_reach(settings: Settings, accounts: ports.Accounts) -> None:
    """Raises `errors.Misconfigured` where others could come before anybody is asked who they are."""
    if not is_loopback(settings.host) and not settings.insecure and not await accounts.any():
        raise errors.Misconfigured(
            reason=f"host {settings.host} is not loopback, and there is no account: anybody who reaches it could run "
            "containers here. Make the first account with `pup account setup --here`, or listen on 127.0.0.1, or say "
            "`insecure` (--insecure) if something in front of it authenticates"
        )


# ── Its parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _data_folder(settings: Settings) -> Path:
    """The data folder, made, and closed to everybody else."""
    data = settings.data.expanduser().absolute()
    try:
        data.mkdir(parents=True, exist_ok=True)
        data.chmod(0o700)
        (data / "attempts").mkdir(exist_ok=True)
    except OSError as error:
        raise errors.Misconfigured(reason=f"the data folder {data} cannot be used: {error.strerror}") from error
    # As the engine's mounts will be told: without links and detours.
    return data.resolve()


def _incoming(data: Path) -> Path:
    """Where the bodies of webhooks lie until they are whole and signed: on the file system of the embedded store."""
    return data / "incoming"


def _tables(data: Path) -> Path:
    """Where objects lie while they are read as tables."""
    return data / "tables"


def key_file(settings: Settings, data: Path) -> Path:
    """The file with the keys that the database is encrypted with, there or not."""
    return settings.secret_key_file.expanduser().absolute() if settings.secret_key_file else data / "secret.key"


def _secrets_root(settings: Settings, instance: str) -> Path | None:
    """Where nodes' secrets lie while they run: the instance's own, for its servers on this machine share it."""
    folder = settings.secrets_folder.expanduser().absolute() if settings.secrets_folder else memory.place()
    return folder / f"pupload-{instance}" if folder else None


@asynccontextmanager
async def _steady_clock(data: Path) -> AsyncIterator[SteadyClock]:
    """The time that runs are told, going on from where an earlier start left it."""
    clock = await asyncio.to_thread(SteadyClock, data / "clock.json")
    keeping = asyncio.create_task(clock.keep(), name="keep the clock")
    try:
        yield clock
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await asyncio.to_thread(clock.save)


async def _controller(data: Path, world: World) -> ports.Controller:
    """This server, among those on one database."""
    return ports.Controller(
        id=await asyncio.to_thread(_controller_id, data, world.ids),
        name=f"{socket.gethostname()}, process {os.getpid()}",
        engine=await world.executor.identity(),
        store=_place(world.stores.default()),
    )


def _controller_id(data: Path, ids: ports.Ids) -> str:
    """Who this server is among those on one database: made with the data folder, so that it finds its own runs."""
    path = data / "controller"
    try:
        found = path.read_text(encoding="ascii").strip() if path.exists() else ""
        if not found:
            found = ids.token()
            path.touch(mode=0o600)
            with path.open("w", encoding="ascii") as file:
                file.write(f"{found}\n")
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise errors.Misconfigured(reason=f"the file {path} cannot be used: {error.strerror}") from error
    return found


def _place(store: ports.ObjectStore) -> str:
    """The endpoint and bucket of a store."""
    assert isinstance(store, s3_client.S3Store)
    return f"{store.bucket.endpoint}/{store.bucket.name}"


async def _disks(data: Path, executor: ports.Executor) -> SystemDisks:
    """The disks that fill up: that of the data folder, and that of the container engine where it is on this machine."""
    folders = {"the data folder": data}
    if engine := await executor.data_folder():
        folders["the container engine"] = engine
    return SystemDisks(folders)
