"""
What was remembered last, by type of node: what comes nearest to work that has to be done is looked for among it.

That is told, and nothing follows from it. So the database is not asked for every node: what it told holds for a moment,
and what is remembered here meanwhile is put before it. What another controller remembers is heard of a moment later,
and work of a run that was purged is named for a moment more.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pupload.domain import memo
from pupload.ports import Clock, Memo

MOMENT_SECONDS = 1.0

MOST = 8
"""Works of each type that are compared."""

TYPES = 32
"""Types of nodes whose works are held, of all scopes together."""


@dataclass(slots=True)
class _Kin:
    until: float
    """By the monotonic clock."""
    latest: list[memo.Entry]
    """First."""


class Kin:
    """Work of the same type, and of one scope."""

    def __init__(self, memo_: Memo, *, clock: Clock) -> None:
        self._memo = memo_
        self._clock = clock
        self._found: OrderedDict[tuple[str, str], _Kin] = OrderedDict()

    async def latest(self, scope: str, uses: str) -> Sequence[memo.Entry]:
        """What was remembered of the type, latest first. Raises what `ports.Memo.kin` raises."""
        now, where = self._clock.monotonic(), (scope, uses)
        found = self._found.get(where)
        if found is None or found.until <= now:
            read = await self._memo.kin(scope, uses, limit=MOST)
            found = self._found[where] = _Kin(now + MOMENT_SECONDS, list(read))
            while len(self._found) > TYPES:
                self._found.popitem(last=False)
        self._found.move_to_end(where)
        return found.latest

    def kept(self, entries: Iterable[memo.Entry]) -> None:
        """These were remembered now, the latest last."""
        for entry in entries:
            if (found := self._found.get(_where(entry))) is not None:
                found.latest = [entry, *(one for one in found.latest if one.key != entry.key)][:MOST]

    def forget(self, entry: memo.Entry) -> None:
        """It is not remembered any more."""
        self._found.pop(_where(entry), None)


def _where(entry: memo.Entry) -> tuple[str, str]:
    return memo.scope(entry.key), entry.uses
