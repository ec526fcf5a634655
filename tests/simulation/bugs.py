"""Bugs that pupload must not have: each can be put in on purpose, and the simulation has to notice."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from pupload.adapters.memory import containers, state
from pupload.domain import branches, collection, events, foreach, handlers, resuming
from pupload.engine import (
    admission,
    arming,
    attempts,
    driver,
    lease,
    logs,
    memory,
    reservations,
    sharing,
    slots,
    staging,
    sweeping,
    uploads,
)

Put = Callable[[pytest.MonkeyPatch], None]


def start_before_commit(patch: pytest.MonkeyPatch) -> None:
    """An attempt goes ahead while its admission is on its way to the database."""

    async def hasty(self: Any, ref: Any, told: Any) -> bool:
        self._driver.tell(ref.run, events.NodeAdmitted(node=ref.node, attempt=ref.number))
        return True

    patch.setattr(attempts.Attempts, "_is_admitted", hasty)


def any_version(patch: pytest.MonkeyPatch) -> None:
    """A save does not ask whether somebody else saved first."""
    careful = state.Runs.save

    async def careless(self: Any, decision: Any, *, if_version: int) -> Any:
        return await careful(self, decision, if_version=self._shelf.books[decision.run.id].head.version)

    patch.setattr(state.Runs, "save", careless)


def sealed_in_place(patch: pytest.MonkeyPatch) -> None:
    """An upload is not copied: whoever has its URL can still change it."""

    async def in_place(self: Any, store: Any, found: Any, target: str, edge: str) -> Any:
        return found

    async def untidy(self: Any, *_: Any) -> None:
        return

    patch.setattr(uploads.Uploads, "_copy", in_place)
    patch.setattr(uploads.Uploads, "_tidy", untidy)


def nothing_removed(patch: pytest.MonkeyPatch) -> None:
    """Containers and directories stay."""

    async def untidy(self: Any, work: Any) -> None:
        return

    patch.setattr(attempts.Attempts, "_clean", untidy)


def room_twice(patch: pytest.MonkeyPatch) -> None:
    """After a restart room is given out that somebody holds."""
    patch.setattr(admission.Admission, "hold", lambda self, ref, tier, *, keeper=None: None)


def room_handed_on_too_soon(patch: pytest.MonkeyPatch) -> None:
    """A node has the room of another of its run, which goes on."""
    careful = reservations.Reservations.reserve
    patch.setattr(
        reservations.Reservations, "reserve", lambda self, run, node, over: careful(self, run, node, run.nodes)
    )


def logs_again(patch: pytest.MonkeyPatch) -> None:
    """A log is read from its beginning after every interruption."""
    careful = logs.LogPump._lines
    patch.setattr(logs.LogPump, "_lines", lambda self, skip: careful(self, 0))


def lost_answers(patch: pytest.MonkeyPatch) -> None:
    """What was saved without our hearing of it is not gone on with."""
    patch.setattr(driver.Driver, "resume", lambda self, run: None)


def silent_stores(patch: pytest.MonkeyPatch) -> None:
    """Nobody remembers that a store was asked to take a file."""
    careful = staging.Staging.store_outputs

    async def careless(self: Any, *args: Any, **named: Any) -> Any:
        return await careful(self, *args, **{**named, "offered": None})

    patch.setattr(staging.Staging, "store_outputs", careless)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """A save does not ask who owns the run."""
    careful = state.Runs.save

    async def careless(self: Any, decision: Any, *, if_version: int) -> Any:
        head = self._shelf.books[decision.run.id].head
        run = replace(decision.run, fence=head.fence)
        me, self._me = self._me, replace(self._me, id=head.owner)
        try:
            return await careful(self, replace(decision, run=run), if_version=head.version)
        finally:
            self._me = me

    patch.setattr(state.Runs, "save", careless)


def sweeps_all(patch: pytest.MonkeyPatch) -> None:
    """What is not seen to here counts as nobody's, whoever owns its run."""

    async def greedy(self: Any, ref: Any, seen: Any, *, here: bool = True) -> bool:
        return bool(self._attempts.has(ref))

    patch.setattr(sweeping.Sweep, "_is_wanted", greedy)


def claims_ignored(patch: pytest.MonkeyPatch) -> None:
    """Each hands out all of the room."""
    patch.setattr(sharing.Sharing, "apply", lambda self, share: self._admission.limit_to(self._admission.room))


def lease_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Whoever was frozen goes on as if nothing had been."""
    patch.setattr(lease.Lease, "valid", property(lambda self: True))


def armed_for_ever(patch: pytest.MonkeyPatch) -> None:
    """What is armed for a run stays when the run is over."""
    patch.setattr(arming.Arming, "_dismiss", lambda self, place: None)

    async def careless(self: Any, run_id: str) -> None:
        return

    patch.setattr(arming.Arming, "gone", careless)


def armed_and_let_go(patch: pytest.MonkeyPatch) -> None:
    """A container that is armed goes on as soon as it is."""
    careful = containers.MemoryExecutor.arm

    async def careless(self: Any, order: Any) -> bool:
        if armed := await careful(self, order):
            await self.ensure_started(order)
        return armed

    patch.setattr(containers.MemoryExecutor, "arm", careless)


def inputs_forgotten(patch: pytest.MonkeyPatch) -> None:
    """Work is known by its node alone, whatever goes in."""
    careful = memory.Memory.components

    def careless(self: Any, *given: Any, **named: Any) -> Any:
        found = careful(self, *given, **named)
        return tuple(one for one in found if not one.name.startswith("input "))

    patch.setattr(memory.Memory, "components", careless)


def items_in_any_order(patch: pytest.MonkeyPatch) -> None:
    """A collection is put together with its items in another order than they lie in."""
    careful = collection.whole

    def careless(made: Any, **about: Any) -> Any:
        return careful([*reversed(made)], **about)

    # Only here: whoever checks puts collections together by the same function.
    patch.setattr(foreach, "collection", SimpleNamespace(**{**vars(collection), "whole": careless}))


def items_miscounted(patch: pytest.MonkeyPatch) -> None:
    """What was skipped is not counted among the items that are over."""
    careful = foreach._counted

    def careless(turn: Any, node: Any, ended: Any) -> Any:
        counted = careful(turn, node, ended)
        assert counted.items is not None
        return turn.change(counted, items=replace(counted.items, skipped=node.items.skipped))

    patch.setattr(foreach, "_counted", careless)


def handlers_too_soon(patch: pytest.MonkeyPatch) -> None:
    """Handlers begin when only they and one more have not ended."""
    careful = handlers.proceed

    def hasty(turn: Any, begin: Any) -> None:
        left = sum(not turn.node(node).status.terminal for node in turn.plan.handlers)
        turn.unfinished -= turn.unfinished == left + 1
        careful(turn, begin)
        turn.unfinished = sum(not node.status.terminal for node in turn.run.nodes.values())

    patch.setattr(handlers, "proceed", hasty)


def handlers_forgotten(patch: pytest.MonkeyPatch) -> None:
    """What ends a run ends its handlers before they began."""

    def careless(turn: Any, begin: Any) -> None:
        for node in turn.plan.handlers:
            if turn.unfinished <= len(turn.plan.handlers) and turn.node(node).status.value == "IDLE":
                branches.leave_out(turn, turn.node(node), "forgotten")

    patch.setattr(handlers, "proceed", careless)


def taken_over_too_much(patch: pytest.MonkeyPatch) -> None:
    """A replay takes over also what lies behind the nodes that run again, whether there is anything or not."""
    careful = resuming.kept

    def careless(old: Any, **asked: Any) -> Any:
        found = careful(old, **asked)
        again = asked.get("from_nodes") or found.left
        behind = [node for node in found.left if node not in again]
        there = {
            node: tuple(old.artifacts[port.edge] for port in old.plan.nodes[node].outputs if port.edge in old.artifacts)
            for node in behind
        }
        return replace(found, nodes={**found.nodes, **there}, left=tuple(again))

    patch.setattr(resuming, "kept", careless)


def slots_given_twice(patch: pytest.MonkeyPatch) -> None:
    """A slot is free again as soon as no attempt of its run holds room, though the run goes on."""
    careful = slots.Slots.see

    def hasty(self: Any, run: Any) -> Any:
        seen = careful(self, run)
        self._begun.discard(run.id)
        return seen

    patch.setattr(slots.Slots, "see", hasty)


BUGS: dict[Put, int] = {
    start_before_commit: 10,
    any_version: 0,
    sealed_in_place: 0,
    nothing_removed: 0,
    room_twice: 0,
    room_handed_on_too_soon: 0,
    logs_again: 0,
    lost_answers: 0,
    silent_stores: 2780,
    no_fence: 0,
    sweeps_all: 320,
    claims_ignored: 0,
    lease_for_ever: 50,
    armed_for_ever: 0,
    armed_and_let_go: 0,
    inputs_forgotten: 0,
    items_in_any_order: 0,
    items_miscounted: 0,
    taken_over_too_much: 0,
    handlers_too_soon: 0,
    handlers_forgotten: 0,
    slots_given_twice: 0,
}
"""Each with a seed from which on it does not take long to be noticed."""
