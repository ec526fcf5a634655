"""Recorded conversations with the flwd surface, replayed against the real application in memory."""

import re
from pathlib import Path
from typing import Any

import pytest

from pupload.api.flwd import problems, routes
from tests.api.house import a_house
from tests.surfaces import replay

HERE = Path(__file__).parent / "flwd"
CONVERSATIONS = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
async def test_the_answers_are_the_recorded_ones(path: Path, tmp_path: Path) -> None:
    conversation = replay.read(path)
    async with a_house(tmp_path, **conversation.get("server", {})) as house:
        await replay.replay(house, conversation)


def _asked() -> list[tuple[str, str, int]]:
    """Method, path and status of every step."""
    steps = [step for path in CONVERSATIONS for step in replay.read(path)["steps"]]
    return [(*step["ask"].split(" ", 1), step["status"]) for step in steps]


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_has_a_conversation_in_which_it_does_its_work(route: Any) -> None:
    pattern = re.compile(re.sub(r"\\\{\w+\\\}", "[^?]+", re.escape(route.path)) + r"(\?.*)?")
    assert any(method == route.method and pattern.fullmatch(path) and status < 300 for method, path, status in _asked())


def test_every_slug_is_a_title_when_its_words_begin_with_capitals() -> None:
    assert problems.title("job-not-found") == "Job Not Found"
    page = (Path(__file__).parents[2] / "docs" / "reference" / "flwd-api.md").read_text(encoding="utf-8")
    slugs = {*problems.SLUGS.values(), *(slug for _, slug, _ in problems._OF_ERRORS)}
    assert not [slug for slug in slugs if f"`{slug}`" not in page]
