"""
Who owns which runs, in the database.

A lease is a time in the controller's row, by the database's own clock; a run names its owner and a fencing token in
its row, where every save asks for both. What changes hands or is claimed does so under row locks. None of them is
waited for while another controller goes about its business: one that stands still in the middle of a transaction
keeps nobody but itself from renewing a lease.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any

from pupload import errors, ports
from pupload.adapters.db import codec, statements
from pupload.adapters.db import lease_statements as leases
from pupload.adapters.db.hub import Hub
from pupload.adapters.db.me import Me
from pupload.adapters.db.session import Readers, Session, Writer
from pupload.domain import shares

NEWS = "*"
"""What those listen to who wait for letters: no run is called so."""
KEPT_MICROS = 24 * 3600 * 1_000_000
"""How long a controller is remembered whose lease ran out."""
_LIST = "instance"
"""The row of `meta` that stands for the list of controllers."""
_NOTHING = codec.CLAIM.encode(shares.Claim())

log = logging.getLogger(__name__)


class Ownership:
    """`ports.Ownership` in a database."""

    def __init__(self, writer: Writer, readers: Readers, hub: Hub, me: Me, *, alone: bool) -> None:
        """`alone`: no other controller can be on this database."""
        self._writer = writer
        self._readers = readers
        self._hub = hub
        self._me = me
        self._alone = alone
        self._is_new = False
        """Whether the others have not heard yet that there is one more to share with."""

    async def sign_in(self, controller: ports.Controller, *, lease_seconds: float) -> None:
        """See `ports.Ownership.sign_in`. Raises `errors.AnotherStore`."""
        lease = round(lease_seconds * 1_000_000)
        await self._writer.do(lambda session: _sign_in(session, controller, lease, alone=self._alone))
        self._is_new = True
        self._me.controller, self._me.lease_micros, self._me.out = controller, lease, False

    async def renew(self) -> Sequence[ports.Controller]:
        """See `ports.Ownership.renew`."""
        controller, lease = self._me.signed_in(), self._me.lease_micros
        if self._alone:
            return []  # nobody is there to be told, and a server with nothing to do leaves the disk alone
        if self._me.out:
            return await self._readers.do(lambda session: _others(session, controller))
        return await self._writer.do(lambda session: _renew(session, controller, lease))

    async def sign_out(self) -> None:
        """See `ports.Ownership.sign_out`."""
        if self._me.controller is not None:
            self._me.out = True
            mine = {"me": self._me.id}
            await self._writer.do(lambda session: _write(session, leases.SIGN_OUT, mine), run_id=NEWS)

    async def take_over(self, *, limit: int = 1000) -> Sequence[str]:
        """See `ports.Ownership.take_over`."""
        me = self._me.signed_in().id
        return [] if self._me.out else await self._writer.do(lambda session: _take_over(session, me, limit))

    async def owned(self) -> Sequence[str]:
        """See `ports.Ownership.owned`."""
        mine = {"me": self._me.id}
        return await self._readers.do(lambda session: [row[0] for row in session.run(leases.OWNED, mine)])

    async def claim(self, wanted: ports.Share, *, held: ports.Share, hungry: bool, of: ports.Share) -> ports.Share:
        """See `ports.Ownership.claim`."""
        controller = self._me.signed_in()
        if self._me.out:
            return ports.Share()
        if self._alone:
            return shares.granted(wanted, held=held, hungry=hungry, of=of, others=())

        def granted(others: Sequence[shares.Claim]) -> ports.Share:
            return shares.granted(wanted, held=held, hungry=hungry, of=of, others=others)

        def claim(session: Session) -> ports.Share:
            others, most = _claims(session, controller)
            share = _at_most(granted(others), most)
            reserved = shares.reserved(share, held=held)
            blob = codec.CLAIM.encode(shares.Claim(share=reserved, hungry=hungry))
            session.run(leases.PUT_CLAIM, {"me": controller.id, "new_claim": blob})
            return share

        # Not with signing in: then they would take over what is to be taken up by ourselves.
        share = await self._writer.do(claim, run_id=NEWS if self._is_new else "")
        self._is_new = False
        return share

    async def post(self, run_id: str, letter: ports.Letter) -> int:
        """See `ports.Ownership.post`. Returns 0 for a letter that nobody needs to work in."""
        blob = codec.encode_letter(letter)

        def post(session: Session) -> int:
            if session.run(leases.ADDRESSEE, {"run": run_id}).fetchone() is None:
                return 0
            number: int = session.run(leases.POST, {"run_id": run_id, "blob": blob}).fetchone()[0]
            return number

        return await self._writer.do(post, run_id=NEWS)

    async def letters(self) -> Sequence[ports.Posted]:
        """See `ports.Ownership.letters`. One that cannot be read is said in the log, and taken."""
        mine = {"me": self._me.id}
        found, unreadable = await self._readers.do(lambda session: _sorted_out(session.run(leases.LETTERS, mine)))
        for number, error in unreadable.items():
            log.error("a letter is thrown away: %s", error)
            await self.take_letters([number])
        return found

    async def take_letters(self, ids: Iterable[int]) -> None:
        """See `ports.Ownership.take_letters`."""
        rows = [{"letter": number} for number in ids]
        if rows:
            await self._writer.do(lambda session: session.run_many(leases.REMOVE, rows), run_id=NEWS)

    async def is_taken(self, letter_id: int) -> bool:
        """See `ports.Ownership.is_taken`."""
        values = {"letter": letter_id}
        return await self._readers.do(lambda session: session.run(leases.WAITS, values).fetchone() is None)

    def news(self) -> ports.Subscription:
        """See `ports.Ownership.news`."""
        return self._hub.subscribe(NEWS)


# ── Leases ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _sign_in(session: Session, controller: ports.Controller, lease: int, *, alone: bool) -> None:
    mine = {"me": controller.id}
    session.run(leases.LOCK_NAME, {"name": _LIST}).fetchone()  # of two that come at once, one sees the other
    if alone:
        session.run(leases.END_OTHERS, mine)
    for other in _others(session, controller):
        if other.store != controller.store:
            raise errors.AnotherStore(other=other.name, theirs=other.store, ours=controller.store)
    session.run(leases.SWEEP, {"kept": KEPT_MICROS})
    session.run(leases.DISOWN, mine | {"nobody": ""})
    session.run(statements.INSERT_META, {"key": _room(controller), "value": ""})
    # What its earlier self claimed others leave alone: attempts of it may go on.
    earlier = session.run(leases.LOCK_MINE, mine).fetchone()
    _put(session, controller, lease, earlier[1] if earlier is not None else _NOTHING)


def _renew(session: Session, controller: ports.Controller, lease: int) -> list[ports.Controller]:
    # Locked before the clock is asked: who takes us for dead has the row, or sees that we are not.
    mine = session.run(leases.LOCK_MINE, {"me": controller.id}).fetchone()
    _put(session, controller, lease, mine[1] if mine is not None else _NOTHING)
    return _others(session, controller)


def _put(session: Session, controller: ports.Controller, lease: int, claim: bytes) -> None:
    row = {one.name: getattr(controller, one.name) for one in fields(controller)}
    session.run(leases.PUT_CONTROLLER, row | {"lease": lease, "claim": claim})


def _others(session: Session, controller: ports.Controller) -> list[ports.Controller]:
    rows = session.run(leases.OTHERS, {"me": controller.id})
    return [ports.Controller(id=row[0], name=row[1], engine=row[2], store=row[3]) for row in rows]


def _write(session: Session, statement: Any, values: dict[str, Any]) -> None:
    session.run(statement, values)


# ── Runs that change hands ───────────────────────────────────────────────────────────────────────────────────────


def _take_over(session: Session, me: str, limit: int) -> list[str]:
    free = session.run(leases.FREE, {"me": me, "limit": max(limit, 0)}).fetchall()
    # Asked again now that the rows are ours: somebody may have come, and taken one, while they were looked for.
    living = {row[0] for row in session.run(leases.OTHERS, {"me": me})}
    taken = [run_id for run_id, owner in free if owner not in living]
    session.run_many(leases.TAKE, [{"run": run_id, "new_owner": me} for run_id in taken])
    return taken


# ── Claims ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _room(controller: ports.Controller) -> str:
    """The row of `meta` that stands for the room of a container engine."""
    return f"room {controller.engine}"


def _claims(session: Session, controller: ports.Controller) -> tuple[list[shares.Claim], ports.Share | None]:
    """The claims of the live controllers on this engine, and the most that this one may have now (None: anything)."""
    me = {"me": controller.id}
    alone = session.run(leases.TRY_NAME, {"name": _room(controller)}).fetchone() is not None
    mine = session.run(leases.LOCK_MINE, me).fetchone()
    if mine is None or not mine[0]:
        return [], ports.Share()
    dead = {row[0] for row in session.run(leases.LOCK_DEAD, me)}
    rows = session.run(leases.CLAIMS, me | {"engine": controller.engine})
    others = [codec.CLAIM.decode(blob, f"the claim of controller {who}") for who, blob in rows if who not in dead]
    # While another claims room, or stands still at it, nobody's claim grows.
    return others, None if alone else codec.CLAIM.decode(mine[1], f"the claim of controller {controller.id}").share


def _at_most(share: ports.Share, most: ports.Share | None) -> ports.Share:
    if most is None:
        return share
    return ports.Share(**{one.name: min(getattr(share, one.name), getattr(most, one.name)) for one in fields(share)})


# ── Letters ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _sorted_out(rows: Iterable[Sequence[Any]]) -> tuple[list[ports.Posted], dict[int, errors.Damaged]]:
    found, unreadable = [], {}
    for number, run_id, blob in rows:
        try:
            letter = codec.decode_letter(blob, f"letter {number} to run {run_id}")
        except errors.Damaged as error:
            unreadable[number] = error
        else:
            found.append(ports.Posted(id=number, run=run_id, letter=letter))
    return found, unreadable
