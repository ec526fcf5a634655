"""How several servers share the room of one container engine."""

from dataclasses import fields, replace

from hypothesis import given
from hypothesis import strategies as st

from pupload.domain.shares import Claim, Share, granted

WHOLE = Share(memory_bytes=1000, cpus=8.0, gpus=2, attempts=10)
NOTHING = Share()

amounts = st.builds(
    Share,
    memory_bytes=st.integers(0, 1200),
    cpus=st.floats(0, 10, allow_nan=False).map(lambda cpus: round(cpus, 2)),
    gpus=st.integers(0, 3),
    attempts=st.integers(0, 12),
)


def names() -> list[str]:
    return [one.name for one in fields(Share)]


def test_the_only_one_has_everything_whatever_it_wants() -> None:
    assert granted(NOTHING, held=NOTHING, hungry=False, of=WHOLE, others=()) == WHOLE


def test_one_that_is_not_hungry_gets_what_it_wants_and_is_left() -> None:
    others = [Claim(share=Share(memory_bytes=900, cpus=1.0), hungry=True)]
    wanted = Share(memory_bytes=500, cpus=2.0, attempts=1)
    expected = Share(memory_bytes=100, cpus=2.0, attempts=1)
    assert granted(wanted, held=NOTHING, hungry=False, of=WHOLE, others=others) == expected


def test_the_hungry_get_even_parts_of_what_the_others_leave_them() -> None:
    others = [Claim(share=NOTHING, hungry=True), Claim(share=Share(memory_bytes=100, attempts=1), hungry=False)]
    expected = Share(memory_bytes=450, cpus=4.0, gpus=1, attempts=4)
    assert granted(WHOLE, held=NOTHING, hungry=True, of=WHOLE, others=others) == expected


def test_what_live_attempts_hold_is_not_taken_away() -> None:
    others = [Claim(share=Share(memory_bytes=200), hungry=True)]
    held = Share(memory_bytes=800, cpus=7.0, gpus=2, attempts=9)
    assert granted(WHOLE, held=held, hungry=True, of=WHOLE, others=others) == held


def test_one_that_has_more_than_there_is_leaves_nothing() -> None:
    """Two servers may have been told different limits."""
    others = [Claim(share=Share(memory_bytes=2000, cpus=9.0, gpus=3, attempts=11))]
    assert granted(WHOLE, held=NOTHING, hungry=True, of=WHOLE, others=others) == NOTHING


@given(st.data(), st.integers(2, 5))
def test_claims_never_add_up_to_more_than_there_is_nor_take_what_is_held(data: st.DataObject, many: int) -> None:
    """However they come, want, hold and let go, in whatever order they ask."""
    claims: dict[int, Claim] = {0: Claim(share=WHOLE)}
    held = dict.fromkeys(range(many), NOTHING)
    for _ in range(data.draw(st.integers(1, 12))):
        who = data.draw(st.integers(0, many - 1))
        mine = claims.get(who, Claim())
        # Nobody holds more than the last claim allowed.
        held[who] = _least(data.draw(amounts), mine.share)
        wanted = _most(data.draw(amounts), held[who])
        hungry = data.draw(st.booleans())
        others = [claim for other, claim in claims.items() if other != who]
        share = granted(wanted, held=held[who], hungry=hungry, of=WHOLE, others=others)
        claims[who] = Claim(share=share, hungry=hungry)
        for name in names():
            assert sum(getattr(claim.share, name) for claim in claims.values()) <= getattr(WHOLE, name) + 1e-9
            assert getattr(share, name) >= getattr(held[who], name) - 1e-9
            assert not others or getattr(share, name) <= getattr(wanted, name)


@given(st.integers(2, 4))
def test_after_everybody_asked_twice_the_hungry_have_the_same(many: int) -> None:
    claims = dict.fromkeys(range(many), Claim())
    claims[0] = Claim(share=WHOLE, hungry=True)
    for _ in range(2):
        for who in claims:
            others = [claim for other, claim in claims.items() if other != who]
            share = granted(WHOLE, held=NOTHING, hungry=True, of=WHOLE, others=others)
            claims[who] = Claim(share=share, hungry=True)
    first = claims[0].share
    assert all(claim.share == replace(first, cpus=claim.share.cpus) for claim in claims.values())
    assert all(abs(claim.share.cpus - first.cpus) < 1e-9 for claim in claims.values())
    assert first.attempts == WHOLE.attempts // many


def _least(one: Share, other: Share) -> Share:
    return Share(**{name: min(getattr(one, name), getattr(other, name)) for name in names()})


def _most(one: Share, other: Share) -> Share:
    return Share(**{name: max(getattr(one, name), getattr(other, name)) for name in names()})
