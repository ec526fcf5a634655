"""
What goes wrong in a schedule, written down before it begins: so that it can be repeated, and tried with less.
"""

import random
from dataclasses import dataclass

PORTS = ("runs", "journal", "store", "executor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """kill -9 at the n-th call of any port, before or after it was carried out."""

    call: int
    after: bool
    down_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The n-th call is carried out, and its answer is lost."""

    call: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A port does not answer; some of what it is asked meanwhile it does all the same."""

    port: str
    at: float
    seconds: float
    done: float
    """How likely an unanswered call was carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaky:
    """A port answers slowly, and every so often not at all."""

    port: str
    at: float
    seconds: float
    pause: float
    failing: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """SIGTERM, and a new process."""

    at: float
    down_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """Somebody removes a container that runs."""

    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaf:
    """The store's news of arrivals break off; what arrives is told late, twice and in no order."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Somebody sets the wall clock."""

    at: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """SIGSTOP, and SIGCONT: a process that knows nothing of the time between."""

    at: float
    seconds: float


Fault = Crash | Lost | Outage | Flaky | Restart | Removed | Deaf | Step | Freeze


def draw(chance: random.Random, *, calls: int, seconds: float, same: bool) -> tuple[Fault, ...]:
    """
    Faults for a scenario that makes about so many calls and takes about so long without them.

    `same`: only those that must not change what runs come to.
    """

    def when() -> float:
        return chance.choice((chance.uniform(0, 5), chance.uniform(0, seconds)))

    def call() -> int:
        return chance.randrange(1, calls + 1)

    def one() -> Fault:
        kind = chance.random()
        if kind < 0.35:
            return Crash(call=call(), after=chance.random() < 0.5, down_seconds=chance.choice((0.0, 1.0, 30.0, 120.0)))
        if kind < 0.5:
            return Lost(call=call())
        if kind < 0.65:
            long = chance.choice((0.5, 10.0, 200.0))
            return Outage(port=chance.choice(PORTS), at=when(), seconds=long, done=chance.choice((0.0, 0.3)))
        if kind < 0.75:
            pause, failing = chance.choice(((0.0, 0.2), (0.3, 0.0), (2.0, 0.1)))
            return Flaky(port=chance.choice(PORTS), at=when(), seconds=60.0, pause=pause, failing=failing)
        if kind < 0.82:
            return Restart(at=when(), down_seconds=chance.choice((0.0, 5.0, 120.0)))
        if kind < 0.92:
            return Removed(at=when())
        if kind < 0.97 or same:
            return Deaf(at=when(), seconds=chance.choice((0.0, 3.0, 30.0)))
        return Step(at=when(), seconds=chance.choice((-3600.0, 3600.0, -5.0, 90.0)))

    return tuple(one() for _ in range(chance.choice((0, 1, 1, 2, 2, 3, 4, 6))))


def draw_for_two(chance: random.Random, *, seconds: float) -> tuple[Fault, ...]:
    """More faults, such as only matter where there is another controller."""

    def one() -> Fault:
        at = chance.choice((chance.uniform(0, 10), chance.uniform(0, seconds)))
        if chance.random() < 0.7:
            return Freeze(at=at, seconds=chance.choice((1.0, 30.0, 100.0, 300.0, 900.0)))
        return Restart(at=at, down_seconds=chance.choice((0.0, 5.0, 120.0, 600.0)))

    return tuple(one() for _ in range(chance.choice((0, 1, 1, 2, 3))))
