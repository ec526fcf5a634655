"""
Who owns which runs, in memory: several controllers over one shelf, each with a view of its own.

What a job of the database does in one transaction is done here in one go, after others had their turn.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace

from pupload import errors, ports
from pupload.adapters.memory.books import NEWS, Book, Lease, Me, Shelf, Subscription
from pupload.domain import shares


class Ownership:
    """`ports.Ownership` of one controller."""

    def __init__(self, shelf: Shelf, me: Me) -> None:
        self._shelf = shelf
        self._me = me
        self._lease_seconds = 0.0
        self._is_new = False
        """Whether the others have not heard yet that there is one more to share with."""

    async def sign_in(self, controller: ports.Controller, *, lease_seconds: float) -> None:
        """See `ports.Ownership.sign_in`. Raises `errors.AnotherStore`."""
        await asyncio.sleep(0)  # a real database lets others go first, so must this one
        for other in self._others(controller.id):
            if other.controller.store != controller.store:
                raise errors.AnotherStore(
                    other=other.controller.name, theirs=other.controller.store, ours=controller.store
                )
        for book in self._books_of(controller.id):
            book.head = replace(book.head, owner="")  # those of our earlier self, which may not write any more
        self._me.id, self._me.controller, self._me.out = controller.id, controller, False
        self._lease_seconds = lease_seconds
        lease = self._shelf.leases.setdefault(controller.id, Lease(controller, 0.0))
        lease.controller, lease.until = controller, self._shelf.seconds() + lease_seconds
        self._is_new = True

    async def renew(self) -> Sequence[ports.Controller]:
        """See `ports.Ownership.renew`."""
        await asyncio.sleep(0)
        controller, until = self._me.signed_in(), self._shelf.seconds() + self._lease_seconds
        others = self._others(controller.id)
        if not self._me.out:
            self._shelf.leases[controller.id].until = until
        return [other.controller for other in others]

    async def sign_out(self) -> None:
        """See `ports.Ownership.sign_out`."""
        await asyncio.sleep(0)
        if self._me.controller is not None and not self._me.out:
            self._me.out = True
            self._shelf.leases[self._me.id].until = self._shelf.seconds()
            self._shelf.wake(NEWS)

    async def take_over(self, *, limit: int = 1000) -> Sequence[str]:
        """See `ports.Ownership.take_over`."""
        await asyncio.sleep(0)
        controller = self._me.signed_in()
        if self._me.out:
            return []
        safe = {controller.id, *(other.controller.id for other in self._others(controller.id))}
        free = [book for book in self._shelf.in_order() if book.unclosed and book.head.owner not in safe][:limit]
        for book in free:
            head = book.head
            book.head = replace(head, owner=controller.id, fence=head.fence + 1, version=head.version + 1)
            self._shelf.wake(head.id)
        return [book.head.id for book in free]

    async def owned(self) -> Sequence[str]:
        """See `ports.Ownership.owned`."""
        await asyncio.sleep(0)
        return [book.head.id for book in self._books_of(self._me.id)]

    async def claim(self, wanted: ports.Share, *, held: ports.Share, hungry: bool, of: ports.Share) -> ports.Share:
        """See `ports.Ownership.claim`."""
        await asyncio.sleep(0)
        controller = self._me.signed_in()
        others = [one.claim for one in self._others(controller.id) if one.controller.engine == controller.engine]
        lease = self._shelf.leases[controller.id]
        if self._me.out:
            return ports.Share()
        live = lease.until > self._shelf.seconds()
        share = shares.granted(wanted, held=held, hungry=hungry, of=of, others=others) if live else ports.Share()
        lease.claim = shares.Claim(share=shares.reserved(share, held=held), hungry=hungry)
        if self._is_new:  # not with signing in: then they would take over what is to be taken up by ourselves
            self._is_new = False
            self._shelf.wake(NEWS)
        return share

    async def post(self, run_id: str, letter: ports.Letter) -> int:
        """See `ports.Ownership.post`."""
        await asyncio.sleep(0)
        book = self._shelf.books.get(run_id)
        if book is None or not book.unclosed:
            return 0
        self._shelf.posted += 1
        number = self._shelf.posted
        self._shelf.letters[number] = ports.Posted(id=number, run=run_id, letter=letter)
        self._shelf.wake(NEWS)
        return number

    async def letters(self) -> Sequence[ports.Posted]:
        """See `ports.Ownership.letters`."""
        await asyncio.sleep(0)
        mine = {book.head.id for book in self._shelf.books.values() if book.head.owner == self._me.id}
        return [one for one in self._shelf.letters.values() if one.run in mine]

    async def take_letters(self, ids: Iterable[int]) -> None:
        """See `ports.Ownership.take_letters`."""
        await asyncio.sleep(0)
        for number in ids:
            if self._shelf.letters.pop(number, None) is not None:
                self._shelf.wake(NEWS)

    async def is_taken(self, letter_id: int) -> bool:
        """See `ports.Ownership.is_taken`."""
        await asyncio.sleep(0)
        letter = self._shelf.letters.get(letter_id)
        book = self._shelf.books.get(letter.run) if letter else None
        return book is None or not book.unclosed

    def news(self) -> ports.Subscription:
        """See `ports.Ownership.news`."""
        return Subscription(self._shelf.listeners, NEWS)

    def _others(self, me: str) -> list[Lease]:
        """The live leases of all but this controller. What others claimed is kept: it counts when they come back."""
        now = self._shelf.seconds()
        return [lease for controller, lease in self._shelf.leases.items() if controller != me and lease.until > now]

    def _books_of(self, owner: str) -> list[Book]:
        return [book for book in self._shelf.in_order() if book.head.owner == owner and book.unclosed]
