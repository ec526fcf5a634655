"""Recorded conversations with every surface, replayed against the real application in memory."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pupload.api import surfaces
from pupload.api.app import make_app
from pupload.api.web import Route, Surface
from tests.api.house import a_house
from tests.surfaces import replay

HERE = Path(__file__).parent
"""Each surface has a folder of its name."""
ROOT = Path(__file__).parents[2]

SURFACES = (surfaces.NATIVE, *surfaces.OTHERS)
CONVERSATIONS = {surface.name: sorted((HERE / surface.name).glob("*.yaml")) for surface in SURFACES}

ELSEWHERE = {
    "/api/v1/upload/{flowRunID}/{edge}/receive",  # asked at the URL that a run gave out: `webhook.yaml`
    "/api/v1/flow/login/code",  # what an authenticator shows cannot be recorded: tests/api has one
    "/api/v1/flow/me/code/enable",
    "/api/v1/flow/me/code/disable",
    "/api/v1/auth/mfa/login-verify",
    "/api/v1/auth/mfa/verify",
    "/api/v1/auth/mfa/disable",
    "/api/v1/flow/events",  # of these there is no end: tests/api follows them
    "/api/v1/flow/ws",
    "/ws",
    "/api/v1/events",
    "/api/ws",
    "/ws/execution",
    "/api/projects/{name}/upload",  # takes a form
}
BROKEN = {408, 429, 500, 502, 503}
"""Of those that need something broken, or a rate, tests/api has the proof: test_each_error_has_its_status."""


def _name(value: Any) -> str:
    if isinstance(value, Path):
        return f"{value.parent.name}/{value.stem}"
    return f"{value.method} {value.path}" if isinstance(value, Route) else str(getattr(value, "name", value))


@pytest.mark.parametrize("path", [path for each in CONVERSATIONS.values() for path in each], ids=_name)
async def test_the_answers_are_the_recorded_ones(path: Path, tmp_path: Path) -> None:
    conversation, folders = replay.read(path), tmp_path / "sources"
    sources = replay.sources(conversation, folders)
    async with a_house(tmp_path, sources=sources, **conversation.get("server", {})) as house:
        for name, value in conversation.get("store", {}).items():
            setattr(house.bench.store, name, value)
        await replay.replay(house, conversation, folders)


def _asked(surface: Surface) -> list[tuple[str, str, int]]:
    """Method, path and status of every step of its conversations."""
    steps = [step for path in CONVERSATIONS[surface.name] for step in replay.read(path)["steps"]]
    return [(*step["ask"].split(" ", 1), step["status"]) for step in steps]


def _pattern(route: Route) -> re.Pattern[str]:
    step = "[^?]+" if route.deep else "[^/]+"
    return re.compile(re.sub(r"\\\{\w+\\\}", step, re.escape(route.path)) + r"/?(\?.*)?")


@pytest.mark.parametrize(
    ("surface", "route"), [(surface, route) for surface in SURFACES for route in surface.routes], ids=_name
)
def test_every_route_has_a_conversation_in_which_it_does_its_work(surface: Surface, route: Route) -> None:
    if route.path in ELSEWHERE:
        return
    pattern, asked = _pattern(route), _asked(surface)
    assert any(method == route.method and pattern.fullmatch(path) and status < 300 for method, path, status in asked)


@pytest.mark.parametrize("surface", SURFACES, ids=_name)
def test_every_documented_refusal_has_a_conversation(surface: Surface) -> None:
    name = "api.md" if surface is surfaces.NATIVE else f"{surface.name}-api.md"
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    told = page.partition("## When something goes wrong")[2].partition("\n## ")[0]
    # The column of the status is the first, or comes after that of the problem's type.
    cells = re.findall(r"^\|(?: `[a-z-]+` \|)? (\d{3}(?:, \d{3})*) \|", told, re.MULTILINE)
    documented = {int(code) for cell in cells for code in cell.split(",")}
    assert documented >= {400, 404, 405, 413}
    assert documented - BROKEN <= {status for _, _, status in _asked(surface)}


async def test_every_path_of_the_router_is_described(tmp_path: Path) -> None:
    services = cast(Any, SimpleNamespace(health=SimpleNamespace(counts=None)))
    router = make_app(services, version="0").router
    served = {(route.method, route.resource.canonical) for route in router.routes() if route.resource is not None}
    async with a_house(tmp_path) as house:
        answers = [await house.call("GET", "/api/openapi.json")]
        answers += [await house.call("GET", f"/api/openapi/{each.name}.json") for each in surfaces.OTHERS]
    paths = [item for _, description in answers for item in description["paths"].items()]
    described = {(method.upper(), path) for path, each in paths for method in each}
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
