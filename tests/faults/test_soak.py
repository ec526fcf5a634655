"""A minute of everything at once. Longer, and with other seeds: `scripts/torture`."""

import pytest

from tests.checker import describe
from tests.torture.soak import Options, Soak

SECONDS = 40
SEED = 50
"""Always the same: a test tells of the change at hand, and new seeds are for who goes looking."""

pytestmark = [pytest.mark.system, pytest.mark.engine]


@pytest.mark.timeout(900)
async def test_f50_a_short_soak_breaks_no_promise(capsys: pytest.CaptureFixture[str]) -> None:
    """F50: flows and faults from a seed; see `tests/torture`."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end="")

    soak = Soak(Options(seconds=SECONDS, seed=SEED), say)
    await soak.run()
    assert not soak.broken, (
        f"{describe(soak.broken)}\nagain: scripts/torture --minutes {SECONDS / 60:.2f} --seed {SEED}"
    )
    assert soak.found is not None
    assert soak.found.statuses["COMPLETE"]
    assert soak.faults is not None
    assert soak.faults.done
