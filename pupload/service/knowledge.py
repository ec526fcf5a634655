"""
Known facts: given to runs that ask for them, taken from nodes that tell some, listed and forgotten.

A run asks with a well whose source is `facts`: what it knows is put there as one object of JSON when it starts. A node
tells with an output of the type `domain.knowledge.MEDIA`: what is in it counts once the node has succeeded, for only
then is there such an artifact. A dry run is given what is known and tells nobody anything.
"""

import json
import logging
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress

from pupload import errors, ports
from pupload.domain import deadlines, knowledge
from pupload.domain.artifact import Artifact
from pupload.domain.knowledge import Fact, Saying, Scope
from pupload.domain.plan import Origin
from pupload.domain.run import Run
from pupload.engine.engine import Engine
from pupload.service import asking, owned
from pupload.service.handing import Hands

log = logging.getLogger(__name__)

_REMEMBERED = 10_000
"""Artifacts of which it is remembered that they were read: they are looked at anew whenever the run moves."""


class Knowledge:
    """What can be asked about facts, and what follows from runs that ask for some or tell some."""

    def __init__(self, *, engine: Engine, hands: Hands) -> None:
        assert engine.world.knowledge is not None, "there is a place for it"
        self._engine = engine
        self._kept = engine.world.knowledge
        self._hands = hands
        self._clock = engine.world.clock
        self._read: OrderedDict[tuple[str, str], None] = OrderedDict()

    # ── For people ───────────────────────────────────────────────────────────────────────────────────────────────

    async def list(
        self, *, scope: Scope | None = None, kind: str | None = None, limit: int = 100, offset: int = 0
    ) -> ports.FactPage:
        """The caller's, the last said first."""
        return await self._kept.list(account=owned.shown(), scope=scope, kind=kind, limit=limit, offset=offset)

    async def get(self, fact_id: str) -> Fact:
        """Raises `errors.UnknownFact`."""
        found = await self._kept.get(fact_id)
        if not owned.sees(found):
            raise errors.UnknownFact(name=fact_id[:64])
        return found

    async def say(self, saying: Saying) -> Fact:
        """
        What the caller's runs know from now on, or everybody's.

        Raises `errors.Forbidden` where it is global and the caller no administrator, `errors.Malformed` for a scope
        that means a run, or a flow.
        """
        if saying.scope not in (Scope.USER, Scope.GLOBAL):
            raise errors.Malformed(reason="a fact of a run or a flow is told by its nodes")
        if saying.scope is Scope.GLOBAL and not asking.caller().sees_all:
            raise errors.Forbidden(reason="what everybody knows is told by administrators")
        fact = self._fact(saying, account=owned.mine())
        await self._kept.say([fact])
        return next(each for each in await self._kept.known([fact.place]) if each.key == fact.key)

    async def forget(self, fact_ids: Sequence[str]) -> None:
        """They are known no more; those that are not there for the caller are passed over."""
        there = []
        for fact_id in fact_ids:
            with suppress(errors.UnknownFact):
                there.append((await self.get(fact_id)).id)
        await self._kept.remove(there)

    # ── For runs ─────────────────────────────────────────────────────────────────────────────────────────────────

    def concerns(self, run: Run) -> bool:
        """See `engine.consequences.Consequence`."""
        asks = any(edge.origin is Origin.FACTS for edge in run.plan.edges.values())
        return asks or (not run.plan.ephemeral and bool(_telling(run)))

    async def see_to(self, run: Run) -> None:
        """See `engine.consequences.Consequence`."""
        for edge in deadlines.awaited(run):
            if run.plan.edges[edge].origin is Origin.FACTS:
                await self._give(run, edge)
        for edge in () if run.plan.ephemeral else _telling(run):
            found = run.artifacts.get(edge)
            if found is not None and edge not in run.gone and (run.id, edge) not in self._read:
                await self._take(run, found)
                self._read[run.id, edge] = None
                if len(self._read) > _REMEMBERED:
                    self._read.popitem(last=False)

    async def known(self, run: Run, *, count: bool = False) -> Mapping[str, Fact]:
        """Of each key the fact that is nearest to the run."""
        order = knowledge.places(account=run.plan.account, flow=run.plan.flow_id, run=run.id)
        return knowledge.nearest(await self._kept.known(order, count=count), order)

    async def _give(self, run: Run, edge: str) -> None:
        found = await self.known(run, count=not run.plan.ephemeral)
        written = ",".join(f"{json.dumps(key)}:{fact.written}" for key, fact in found.items())
        await self._hands.put(run, edge, f"{{{written}}}".encode(), content_type="application/json")

    async def _take(self, run: Run, found: Artifact) -> None:
        """What the artifact tells. Where that is nothing that can be understood, the log says so."""
        try:
            sayings = knowledge.read(await self._text(run, found))
        except (errors.Malformed, errors.ObjectAbsent) as error:
            log.warning("run %s tells no facts on edge %s: %s", run.id, found.edge, error)
            return
        if not run.plan.flow_id and any(saying.scope is Scope.AGENT for saying in sayings):
            log.info("run %s is of no saved flow: what it tells of its flow only it knows", run.id)
        await self._kept.say([self._of_run(run, saying, found.edge) for saying in sayings])

    async def _text(self, run: Run, found: Artifact) -> str:
        if found.items is not None or found.size > knowledge.MOST_BYTES:
            raise errors.Malformed(reason=f"one file of {knowledge.MOST_BYTES} bytes at most is read")
        await self._engine.staging.prepare(run)
        store = self._engine.staging.store(run, found.store)
        data = await store.read(found.key, length=found.size) if found.size else b""
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise errors.Malformed(reason="it is not UTF-8") from None

    def _of_run(self, run: Run, saying: Saying, edge: str) -> Fact:
        """What a node may say of everybody it says of its account."""
        scope = Scope.USER if saying.scope is Scope.GLOBAL and run.plan.account is not None else saying.scope
        if scope is Scope.AGENT and not run.plan.flow_id:
            scope = Scope.SESSION
        return self._fact(
            saying,
            scope=scope,
            account=None if scope is Scope.GLOBAL else run.plan.account,
            flow=run.plan.flow_id if scope is Scope.AGENT else "",
            run=run.id if scope is Scope.SESSION else "",
            said_by=f"{run.id}/{edge}",
        )

    def _fact(
        self,
        saying: Saying,
        *,
        account: int | None,
        scope: Scope | None = None,
        flow: str = "",
        run: str = "",
        said_by: str = "",
    ) -> Fact:
        now, scope = self._clock.now(), scope or saying.scope
        return Fact(
            id=str(uuid.UUID(self._engine.world.ids.token())),
            scope=scope,
            account=None if scope is Scope.GLOBAL else account,
            flow=flow,
            run=run,
            key=saying.key,
            written=saying.written,
            type=saying.type,
            confidence=saying.confidence,
            said_by=said_by,
            created_at=now,
            updated_at=now,
        )


def _telling(run: Run) -> Sequence[str]:
    """The edges on which nodes tell facts."""
    return [port.edge for node in run.plan.nodes.values() for port in node.outputs if port.types == (knowledge.MEDIA,)]
