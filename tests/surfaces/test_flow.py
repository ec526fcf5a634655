"""Recorded conversations with the native surface, replayed against the real application in memory."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pupload.api.app import make_app
from pupload.api.flow import feeding, routes
from tests.api.house import a_house
from tests.surfaces import replay

HERE = Path(__file__).parent / "flow"
ROOT = Path(__file__).parents[2]
CONVERSATIONS = sorted(HERE.glob("*.yaml"))


@pytest.mark.parametrize("path", CONVERSATIONS, ids=lambda path: path.stem)
async def test_the_answers_are_the_recorded_ones(path: Path, tmp_path: Path) -> None:
    conversation = replay.read(path)
    async with a_house(tmp_path, **conversation.get("server", {})) as house:
        for name, value in conversation.get("store", {}).items():
            setattr(house.bench.store, name, value)
        await replay.replay(house, conversation)


def _asked() -> list[tuple[str, str, int]]:
    """Method, path and status of every step."""
    steps = [step for path in CONVERSATIONS for step in replay.read(path)["steps"]]
    return [(*step["ask"].split(" ", 1), step["status"]) for step in steps]


def _pattern(path: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)) + r"(\?.*)?")


@pytest.mark.parametrize("route", routes.ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_has_a_conversation_in_which_it_does_its_work(route: Any) -> None:
    if route.handler is routes.receive:
        return  # asked at the URL that a run gave out: `webhook.yaml`
    if route in feeding.ROUTES:
        return  # of these there is no end: tests/api/test_feeding.py follows
    pattern = _pattern(route.path)
    assert any(method == route.method and pattern.fullmatch(path) and status < 300 for method, path, status in _asked())


def test_every_documented_refusal_has_a_conversation() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    told = page.partition("## When something goes wrong")[2].partition("\n## ")[0]
    documented = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", told, re.MULTILINE) for code in row.split(",")}
    # Of those that need something broken, or a rate, tests/api has the proof: test_each_error_has_its_status.
    assert documented - {408, 429, 500, 502, 503} <= {status for _, _, status in _asked()}


async def test_every_path_of_the_router_is_described(tmp_path: Path) -> None:
    services = cast(Any, SimpleNamespace(health=SimpleNamespace(counts=None)))
    router = make_app(services, version="0").router
    served = {(route.method, route.resource.canonical) for route in router.routes() if route.resource is not None}
    async with a_house(tmp_path) as house:
        _, description = await house.call("GET", "/api/openapi.json")
    described = {(method.upper(), path) for path, each in description["paths"].items() for method in each}
    assert described <= served
    # Beside those only HEAD of every GET, and every path with a slash at its end.
    assert {("GET" if method == "HEAD" else method, path.rstrip("/") or "/") for method, path in served} == described


# ── The checker itself ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "shape"),
    [
        ({"a": 1, "b": 2}, {"a": 1}),
        ({}, {"a": "<any>"}),
        ([1, 2], [1]),
        ({"a": "x"}, {"a": "<time>"}),
        (True, 1),
        (True, "<number>"),
        ("run_1", "<run>"),
        (None, []),
    ],
)
def test_what_differs_is_noticed(said: Any, shape: Any) -> None:
    with pytest.raises(AssertionError):
        replay.compare(said, shape, "a test")


def test_what_is_alike_is_not() -> None:
    said = {"a": "2026-03-03T10:30:00Z", "b": [1, {"c": None}], "d": 0}
    replay.compare(said, {"a": "<time>", "b": ["<number>", {"...": 0}], "...": 0}, "a test")
