"""What was acknowledged is there after the process was killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pupload.adapters.db.database import Database
from tests import postgres
from tests.adapters.db import storm

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("lines_before_death", [1, 1500])
@pytest.mark.parametrize("home", ["sqlite", "postgresql"])
async def test_every_acknowledged_save_survives_kill_9(home: str, tmp_path: Path, lines_before_death: int) -> None:
    where = str(tmp_path / "p.db") if home == "sqlite" else await postgres.shared().new()
    acknowledged = _saved_until_killed(where, lines_before_death)
    assert sum(acknowledged.values()) >= lines_before_death
    database = await Database.open(where)  # the dead one's lock is gone with it
    try:
        for name, version in acknowledged.items():
            found = await database.runs.load(name)
            assert found.version >= version
            entries = await database.journal.read(name, limit=100_000)
            assert [entry.seq for entry in entries] == list(range(1, found.version + 2))  # creating wrote two
            records = await database.journal.read_logs(name, limit=100_000)
            assert [record.number for record in records] == list(range(1, len(records) + 1))
            assert len(records) >= (version - 1) // 5
        assert all(line.ok for line in await database.check())
    finally:
        await database.close()


def _saved_until_killed(where: str, lines: int) -> dict[str, int]:
    """The last version of every run that the process had told before it was killed in the middle of its work."""
    told: dict[str, int] = {}
    process = subprocess.Popen([sys.executable, "-m", storm.__name__, where], cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, start=1):
            if line.endswith(b"\n"):  # the last words may be cut short
                name, version = line.decode().split()
                told[name] = int(version)
            if count == lines:
                process.kill()
    return told
