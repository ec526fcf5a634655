"""
Known facts: values under keys that a run leaves behind for later ones.

A fact is known to one run (session), to all runs of an account (user), to an account's runs of one flow (agent), or to
everybody (global); a run that looks for a key finds the nearest, in that order. Nodes write facts as lines of JSON,
which count once their node has succeeded.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from pupload import errors

MEDIA = "application/vnd.pupload.facts+jsonl"
"""The type of what a node writes: an object in each line."""

MOST_KEY = 255
"""Letters of a key."""
MOST_VALUE_BYTES = 64 * 1024
"""Of a value as JSON."""
MOST_AT_ONCE = 1000
"""Facts that one artifact tells."""
MOST_BYTES = 4 * 1024 * 1024
"""Of such an artifact."""


class Scope(StrEnum):
    """To whom a fact is known; the nearest first."""

    SESSION = "session"
    USER = "user"
    AGENT = "agent"
    GLOBAL = "global"


TYPES = ("user_preference", "world_knowledge", "self_knowledge", "correction", "relationship")
"""Of facts, as the Pipelit contract has them."""
USUAL_TYPE = "world_knowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is known under a key."""

    id: str
    """A UUID."""
    scope: Scope
    account: int | None = None
    """Whose it is; None: nobody's."""
    flow: str = ""
    """The saved flow whose runs know it, of the scope `agent`."""
    run: str = ""
    """The run that knows it, of the scope `session`."""
    key: str
    written: str
    """The value, as JSON."""
    type: str = USUAL_TYPE
    confidence: float = 1.0
    times_confirmed: int = 1
    """How often it was said."""
    access_count: int = 0
    """How many runs were given it."""
    said_by: str = ""
    """The artifact that said it last, as run and edge: it counts once."""
    created_at: datetime
    updated_at: datetime

    @property
    def value(self) -> Any:
        """What is known."""
        return json.loads(self.written)

    @property
    def place(self) -> str:
        """Where there is one fact of each key."""
        return place(self.scope, account=self.account, flow=self.flow, run=self.run)


def place(scope: Scope, *, account: int | None, flow: str = "", run: str = "") -> str:
    """Where facts of this scope are known; what does not matter to the scope is left out."""
    match scope:
        case Scope.SESSION:
            return f"session/{run}"
        case Scope.USER:
            return f"user/{account or 0}"
        case Scope.AGENT:
            return f"agent/{account or 0}/{flow}"
    return "global"


def places(*, account: int | None, flow: str, run: str) -> Sequence[str]:
    """All that a run knows, the nearest first."""
    scopes = [scope for scope in Scope if flow or scope is not Scope.AGENT]
    return [place(scope, account=account, flow=flow, run=run) for scope in scopes]


def nearest(found: Iterable[Fact], order: Sequence[str]) -> Mapping[str, Fact]:
    """Of each key the fact that is nearest, by key."""
    rank = {name: number for number, name in enumerate(order)}
    best: dict[str, Fact] = {}
    for fact in found:
        there = best.get(fact.key)
        if there is None or rank[fact.place] < rank[there.place]:
            best[fact.key] = fact
    return dict(sorted(best.items()))


def said_again(before: Fact, now: Fact) -> Fact:
    """The fact that was known, as it is said now; said by the same artifact once more it stays as it is."""
    if now.said_by and now.said_by == before.said_by:
        return before
    return replace(
        now,
        id=before.id,
        times_confirmed=before.times_confirmed + 1,
        access_count=before.access_count,
        created_at=before.created_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Saying:
    """What somebody says that is known."""

    key: str
    written: str
    """The value, as JSON."""
    scope: Scope = Scope.AGENT
    type: str = USUAL_TYPE
    confidence: float = 1.0


def read(text: str) -> Sequence[Saying]:
    """
    What the lines say; of several with one key and scope the last.

    Raises `errors.Malformed` with the number of the line that cannot be.
    """
    found: dict[tuple[Scope, str], Saying] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                saying = checked(json.loads(line, parse_constant=_refuse))
            except (ValueError, RecursionError) as error:
                said = "" if isinstance(error, json.JSONDecodeError | RecursionError) else f": {error}"
                raise errors.Malformed(reason=f"line {number} tells no fact{said}") from None
            found[saying.scope, saying.key] = saying
    if len(found) > MOST_AT_ONCE:
        raise errors.Malformed(reason=f"{MOST_AT_ONCE} facts may be told at once, not {len(found)}")
    return list(found.values())


def checked(said: Any) -> Saying:
    """The saying that an object is. Raises ValueError with why it is none."""
    if not isinstance(said, dict) or "key" not in said or "value" not in said:
        raise ValueError("an object with key and value is expected")
    key, kind, confidence = said["key"], said.get("fact_type", USUAL_TYPE), said.get("confidence", 1.0)
    if not isinstance(key, str) or not 0 < len(key) <= MOST_KEY:
        raise ValueError(f"a key has 1 to {MOST_KEY} letters")
    if kind not in TYPES:
        raise ValueError(f"fact_type is one of {', '.join(TYPES)}")
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0 <= confidence <= 1:
        raise ValueError("confidence is a number from 0 to 1")
    written = json.dumps(
        said["value"], separators=(",", ":"), allow_nan=False
    )  # in ASCII: half of a character is text, too
    if len(written) > MOST_VALUE_BYTES:
        raise ValueError(f"a value has {MOST_VALUE_BYTES} bytes at most")
    if said.get("scope", Scope.AGENT) not in tuple(Scope):
        raise ValueError(f"scope is one of {', '.join(Scope)}")
    scope = Scope(said.get("scope", Scope.AGENT))
    return Saying(key=key, written=written, scope=scope, type=kind, confidence=float(confidence))


def _refuse(name: str) -> None:
    raise ValueError(f"JSON has no {name}")
