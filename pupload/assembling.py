"""All that pupload can be asked to do, put together over one engine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pupload import ports
from pupload.api.web import Services
from pupload.engine.engine import Engine
from pupload.service.approvals import Approvals
from pupload.service.artifacts import Artifacts
from pupload.service.backfill import Backfill
from pupload.service.batches import Batches, Followed
from pupload.service.callbacks import Callbacks
from pupload.service.callers import Callers
from pupload.service.chat import Chat
from pupload.service.children import Children
from pupload.service.consequences import Consequences
from pupload.service.counted import Counted
from pupload.service.credentials import Credentials
from pupload.service.drawings import Drawings
from pupload.service.drawn_runs import DrawnRuns
from pupload.service.dry_runs import DryRuns
from pupload.service.episodes import Episodes
from pupload.service.executions import Executions
from pupload.service.feed import Feed
from pupload.service.flows import Flows
from pupload.service.handing import Hands
from pupload.service.health import Health
from pupload.service.inputs import Inputs
from pupload.service.knowledge import Knowledge
from pupload.service.launching import Launches
from pupload.service.lineage import Lineage
from pupload.service.namespaces import Namespaces
from pupload.service.nodes import Nodes
from pupload.service.outlines import Outlines
from pupload.service.overview import Overview
from pupload.service.projects import Projects
from pupload.service.questions import Questions
from pupload.service.queue import Queue
from pupload.service.results import Results
from pupload.service.runs import Runs
from pupload.service.schedules import Schedules
from pupload.service.secrets import Secrets
from pupload.service.sources import Sources
from pupload.service.tables import Tables
from pupload.service.threads import Threads
from pupload.service.uploads import Uploads


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What services work with beside the engine, and how far they may go."""

    catalogue: ports.Catalogue
    callers: Callers
    sources: Callable[[Flows], Sources]
    scratch: Path
    """A folder on the store's file system, for objects that are read as tables."""
    table_bytes: int
    """Of no file is more than that read as a table."""
    dry_run_seconds: float
    backfill_dates: int
    """So many at once."""
    pulse: ports.Pulse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """Services that others of them call."""

    flows: Flows
    outlines: Outlines
    inputs: Inputs
    launches: Launches
    schedules: Schedules
    hands: Hands
    results: Results
    threads: Threads
    drawings: Drawings
    drawn_runs: DrawnRuns
    batches: Batches
    knowledge: Knowledge


def assemble(engine: Engine, runs: Runs, uploads: Uploads, means: Means) -> Services:
    """Every service over the engine; what it starts by itself is not started."""
    world, parts = engine.world, _parts(engine, runs, uploads, means.catalogue)
    flows, drawings, drawn, threads = parts.flows, parts.drawings, parts.drawn_runs, parts.threads
    counted = Counted(engine=engine, schedules=parts.schedules, drawings=drawings, drawn=drawn)
    children = Children(engine=engine, flows=flows, hands=parts.hands)
    followed = Followed(parts.batches)
    scratch = means.scratch
    return Services(
        callers=means.callers,
        runs=runs,
        uploads=uploads,
        callbacks=Callbacks(engine=engine, runs=runs),
        flows=flows,
        schedules=parts.schedules,
        counted=counted,
        backfill=Backfill(flows=flows, ids=world.ids, most_dates=means.backfill_dates),
        feed=Feed(world.feed, runs),
        projects=Projects(flows=world.flows, runs=runs),
        nodes=Nodes(means.catalogue),
        secrets=Secrets(secrets=world.secrets, clock=world.clock),
        credentials=Credentials(engine=engine),
        health=Health(engine, pulse=means.pulse),
        tables=Tables(engine=engine, runs=runs, scratch=scratch, most_bytes=means.table_bytes),
        sources=means.sources(flows),
        dry_runs=DryRuns(engine=engine, runs=runs, flows=flows, scratch=scratch, seconds=means.dry_run_seconds),
        overview=Overview(engine=engine, outlines=parts.outlines),
        lineage=Lineage(engine=engine, runs=runs, flows=flows, outlines=parts.outlines),
        queue=Queue(engine=engine, runs=runs),
        artifacts=Artifacts(engine=engine, runs=runs),
        results=parts.results,
        approvals=Approvals(engine=engine, runs=runs, hands=parts.hands),
        inputs=parts.inputs,
        launches=parts.launches,
        questions=Questions(launches=parts.launches, flows=flows, threads=threads),
        namespaces=Namespaces(engine=engine, flows=flows, schedules=parts.schedules),
        drawings=drawings,
        drawn_runs=drawn,
        executions=Executions(runs=runs, flows=flows),
        threads=threads,
        chat=Chat(drawings=drawings, runs=drawn, threads=threads),
        episodes=Episodes(engine=engine),
        knowledge=parts.knowledge,
        batches=parts.batches,
        consequences=Consequences(engine, children, threads, parts.knowledge, followed, counted),
    )


def _parts(engine: Engine, runs: Runs, uploads: Uploads, catalogue: ports.Catalogue) -> _Parts:
    assert engine.world.threads is not None, "there is a place for what is said"
    flows = Flows(engine=engine, runs=runs)
    inputs = Inputs(engine=engine, runs=runs, uploads=uploads)
    launches = Launches(runs=runs, flows=flows, inputs=inputs, uploads=uploads, catalogue=catalogue)
    hands = Hands(engine=engine, uploads=uploads)
    results = Results(engine=engine, runs=runs)
    drawings = Drawings(engine=engine, catalogue=catalogue)
    return _Parts(
        flows=flows,
        outlines=Outlines(engine, catalogue),
        inputs=inputs,
        launches=launches,
        schedules=Schedules(engine=engine, flows=flows, launches=launches),
        hands=hands,
        results=results,
        threads=Threads(engine=engine, kept=engine.world.threads, results=results),
        drawings=drawings,
        drawn_runs=DrawnRuns(engine=engine, drawings=drawings, flows=flows, inputs=inputs),
        batches=Batches(engine=engine, runs=runs),
        knowledge=Knowledge(engine=engine, hands=hands),
    )
