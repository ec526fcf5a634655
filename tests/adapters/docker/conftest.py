from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.adapters.docker import lab as labs


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[labs.Lab]:
    async with labs.opened(tmp_path) as found:
        yield found
