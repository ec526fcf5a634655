"""
Random flows, random reports in random order: nothing that happens may break a promise.

The world here is a list of what could be reported next. Hypothesis picks from it, and also repeats old reports, makes
up senseless ones, turns the clock and cancels. After every step the promises are checked.
"""

import itertools
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from pupload.domain import collection, commands, deadlines, events, handlers
from pupload.domain.artifact import Artifact
from pupload.domain.decide import begin, decide, decide_all, outstanding
from pupload.domain.flow import Flow
from pupload.domain.nodedef import NodeDef
from pupload.domain.plan import Origin
from pupload.domain.run import Decision, Failure, NodeStatus, Run, Status
from tests import builders, strategies
from tests.builders import NOON

FAILURES = [failure for failure in Failure if failure not in (Failure.CANCELLED, Failure.QUEUE)]


def an_artifact(run: Run, edge: str, *, node: str | None = None, attempt: int | None = None) -> Artifact:
    plan = run.plan.edges[edge]
    return Artifact(
        edge=edge,
        store=plan.store,
        key=plan.key,
        size=1,
        content_type="image/png",
        sha256="00",
        etag="e",
        created_at=NOON,
        node=node,
        attempt=attempt,
    )


class World:
    """A run, everything that was told to it, and the promises it must keep."""

    def __init__(self, decision: Decision, *, items: int = 0) -> None:
        self.now: datetime = NOON
        self.begun = decision
        self.run = decision.run
        self.decided: list[tuple[datetime, events.Report, Decision]] = []
        """What was told when, and what came of it."""
        self.alarm = deadlines.due(decision.run)
        """When a driver would look at the run, that looks only at what changed."""
        self.succeeded: set[str] = set()
        self.starts: dict[str, int] = {}
        self.ended_at: Run | None = None
        self.told: list[events.Report] = []
        self.items = items
        """Of each collection that a node makes."""
        self._take(decision)

    def report(self, report: events.Report) -> None:
        before = self.run
        decision = decide(before, report, now=self.now)
        self.told.append(report)
        self.decided.append((self.now, report, decision))
        if before.status.terminal:
            assert decision.idle
            assert decision.run == before, "terminal states are absorbing"
        for node, state in before.nodes.items():
            if state.status.terminal:
                assert decision.run.nodes[node] == state, "terminal states of nodes are absorbing"
        assert self._unchanged_elsewhere(before, decision)
        self._take(decision)
        self._set_alarm(decision)

    def _set_alarm(self, decision: Decision) -> None:
        due = deadlines.due(decision.run)
        if due is None or decision.run.slot_at == decision.at:
            self.alarm = due
        elif self.alarm is not None:
            self.alarm = deadlines.sooner(decision.run, self.alarm, decision.changed_nodes)
            assert self.alarm <= due, "an alarm never rings late"

    def check_together(self) -> None:
        """Reports that are worked in together come to what they came to one by one."""
        run = self.begun.run
        for now, group in itertools.groupby(self.decided, key=lambda one: one[0]):
            one_by_one = list(group)
            decision, meant = decide_all(run, [one[1] for one in one_by_one], now=now, chance=lambda: 0.5)
            assert decision.run == one_by_one[-1][2].run
            assert meant == [not one[2].idle for one in one_by_one]
            assert decision.events == tuple(event for one in one_by_one for event in one[2].events)
            assert decision.commands == tuple(command for one in one_by_one for command in one[2].commands)
            assert decision.changed_nodes == frozenset().union(*(one[2].changed_nodes for one in one_by_one))
            assert decision.changed_edges == frozenset().union(*(one[2].changed_edges for one in one_by_one))
            run = decision.run

    def _unchanged_elsewhere(self, before: Run, decision: Decision) -> bool:
        """What the decision does not name is not changed: only what it names is saved."""
        after = decision.run
        return (
            all(
                after.nodes[node] is state for node, state in before.nodes.items() if node not in decision.changed_nodes
            )
            and after.artifacts.keys() - before.artifacts.keys() == decision.changed_edges - before.artifacts.keys()
        )

    def _take(self, decision: Decision) -> None:
        self.run = decision.run
        for event in decision.events:
            if isinstance(event, events.NodeSucceeded | events.NodeGathered):
                assert event.node not in self.succeeded, "at most one success for each node"
                self.succeeded.add(event.node)
        for command in decision.commands:
            if isinstance(command, commands.StartNode):
                self._check_start(command)
        self.check()

    def _check_start(self, command: commands.StartNode) -> None:
        for port in self.run.plan.nodes[command.node].inputs:
            may_lack = not port.required and self._will_never_be(port.edge)
            assert port.edge in self.run.artifacts or may_lack, "no start before the commit upstream"
        if self.run.plan.nodes[command.node].runs:
            self._check_handler(command.node)
        self.starts[command.node] = self.starts.get(command.node, 0) + 1
        plan = self.run.plan
        assert self.starts[command.node] <= plan.nodes[command.node].max_attempts + plan.mishaps

    def _will_never_be(self, edge: str) -> bool:
        producer = self.run.plan.edges[edge].producer
        return edge in self.run.absent or (producer is not None and self.run.nodes[producer].status.terminal)

    def _check_handler(self, handler: str) -> None:
        run, plans = self.run, self.run.plan.nodes
        before = {"": 0, "OnFailure": 1, "Finally": 2}
        assert run.outcome is not None
        assert run.outcome.status is Status.ERROR or plans[handler].runs == "Finally"
        for node in run.nodes.values():
            earlier = before[plans[node.id].runs] < before[plans[handler].runs]
            assert node.status.terminal or not earlier, "handlers run when the others have ended"

    def check(self) -> None:
        run = self.run
        nodes = run.nodes.values()
        active = {
            node.id for node in nodes if node.status in (NodeStatus.READY, NodeStatus.RUNNING, NodeStatus.RETRYING)
        }
        assert run.active == active
        assert run.unfinished == sum(not node.status.terminal for node in nodes)
        assert run.status.terminal == (run.unfinished == 0)
        if run.status.terminal:
            assert run.finished_at is not None
            assert run.queued_at is None
            assert deadlines.due(run) is None
            assert outstanding(run) == (commands.CloseRun(),)
        else:
            assert active or deadlines.awaited(run), "a run says what it waits for"
            waits = run.queued_at is not None
            assert waits or deadlines.due(run) is not None, "a run that has not ended has a live deadline"
            assert active or not waits, "who has nothing under way needs no slot"
            assert (run.status is Status.RUNNING) == bool(active)
        if run.status is Status.COMPLETE:
            assert all(handlers.is_well(run.nodes[node]) for node in run.plan.nodes)
        if run.status is Status.ERROR:
            assert run.error
        for edge, artifact in run.artifacts.items():
            if artifact.node is not None:
                assert artifact.node in self.succeeded, f"edge {edge} shows an output that nobody committed"
        live = {
            (command.node, command.attempt) for command in outstanding(run) if isinstance(command, commands.StartNode)
        }
        assert live == {
            (node.id, node.last.number)
            for node in nodes
            if node.status in (NodeStatus.READY, NodeStatus.RUNNING) and node.last is not None
        }, "what a crash interrupted is found again"

    def possible(self) -> list[events.Report]:
        """What the world could report next."""
        reports: list[events.Report] = [
            events.UploadSealed(edge=edge, artifact=an_artifact(self.run, edge)) for edge in deadlines.awaited(self.run)
        ]
        for node in sorted(self.run.active):
            state = self.run.nodes[node]
            attempt = state.last
            if attempt is None:
                assert state.items is not None
                continue
            if state.status is NodeStatus.READY:
                reports.append(events.NodeAdmitted(node=node, attempt=attempt.number))
            elif state.status is NodeStatus.RUNNING:
                reports.append(self.success(node, attempt.number))
                reports.append(events.NodeStarted(node=node, attempt=attempt.number, image="sha256:1"))
        return reports

    def success(self, node: str, number: int) -> events.NodeSucceeded:
        ports = [port for port in self.run.plan.nodes[node].outputs if port.required]
        made = [an_artifact(self.run, port.edge, node=node, attempt=number) for port in ports]
        for port, artifact in zip(ports, [*made], strict=True):
            if port.many:
                made[made.index(artifact)] = replace(artifact, items=self.items)
                edges = [collection.item(port.edge, place) for place in range(self.items)]
                made += [an_artifact(self.run, edge, node=node, attempt=number) for edge in edges]
        return events.NodeSucceeded(node=node, attempt=number, exit_code=0, artifacts=tuple(made))


def draw_report(data: st.DataObject, world: World) -> events.Report:
    kind = data.draw(
        st.sampled_from(
            ["likely", "likely", "likely", "fail", "refuse", "again", "senseless", "time", "cancel", "queue"]
        )
    )
    possible = world.possible()
    if kind == "likely" and possible:
        return data.draw(st.sampled_from(possible))
    if kind == "fail" and (running := sorted(node for node in world.run.active if world.run.nodes[node].attempts)):
        node = data.draw(st.sampled_from(running))
        attempt = world.run.nodes[node].last
        assert attempt is not None
        failure = data.draw(st.sampled_from(FAILURES))
        code = data.draw(st.sampled_from([None, 1, 2, 137]))
        return events.AttemptFailed(node=node, attempt=attempt.number, failure=failure, reason="broke", exit_code=code)
    if kind == "refuse" and (awaited := deadlines.awaited(world.run)):
        return events.UploadRefused(edge=data.draw(st.sampled_from(awaited)), reason="wrong type")
    if kind == "again" and world.told:
        return data.draw(st.sampled_from(world.told))
    if kind == "cancel" and data.draw(st.integers(0, 3)) == 0:
        return events.CancelRequested(mode=data.draw(st.sampled_from(["kill", "drain"])))
    if kind == "queue":
        said: list[events.Report] = [events.RunQueued(), events.RunDequeued(), events.PriorityChanged(priority=3)]
        return data.draw(st.sampled_from(said))
    if kind == "senseless":
        node = data.draw(st.sampled_from([*world.run.nodes, "nobody"]))
        return events.NodeSucceeded(node=node, attempt=data.draw(st.integers(0, 9)) + 100, exit_code=0)
    world.now += timedelta(seconds=data.draw(st.sampled_from([0.1, 5, 400, 4000])))
    return events.TimePassed()


def drive_to_the_end(world: World) -> None:
    """Whatever state it is in, a run comes to its end when its deadlines pass and the world answers."""
    for _ in range(10_000):
        if world.run.status.terminal:
            return
        stopping = [
            node
            for node in world.run.active
            if (last := world.run.nodes[node].last) is not None
            and last.stopping
            and world.run.nodes[node].status is NodeStatus.RUNNING
        ]
        for node in stopping:
            attempt = world.run.nodes[node].last
            assert attempt is not None
            world.report(
                events.AttemptFailed(node=node, attempt=attempt.number, failure=Failure.EXIT, reason="x", exit_code=143)
            )
        due = deadlines.due(world.run)
        if world.run.queued_at is not None:
            world.report(events.RunDequeued())
        elif due is not None:
            world.now = max(world.now, due)
            world.report(events.TimePassed())
    raise AssertionError(f"the run never ended: {world.run}")


@settings(deadline=None)
@given(flow=strategies.flows(), data=st.data())
def test_no_order_of_reports_breaks_a_promise(flow: tuple[Flow, tuple[NodeDef, ...]], data: st.DataObject) -> None:
    plan = replace(builders.a_plan(*flow), mishaps=3)
    world = World(begin(builders.RUN_ID, plan, now=NOON))
    for _ in range(data.draw(st.integers(0, 40))):
        world.report(draw_report(data, world))
    drive_to_the_end(world)
    world.check_together()


@settings(deadline=None)
@given(flow=strategies.flows())
def test_a_world_without_faults_completes_every_flow(flow: tuple[Flow, tuple[NodeDef, ...]]) -> None:
    world = World(begin(builders.RUN_ID, builders.a_plan(*flow), now=NOON))
    while possible := world.possible():
        world.report(possible[0])
    assert world.run.status is Status.COMPLETE
    produced = {name for name, edge in world.run.plan.edges.items() if edge.origin is Origin.NODE}
    assert produced <= world.run.artifacts.keys()
