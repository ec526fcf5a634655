"""
F43: no trick in a request's target or headers reaches what the plain request would not.

The table is made of the router's own routes, so that a route added tomorrow is tried as well. Requests are written by
hand, byte by byte: clients tidy paths up before they send them.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import web

from pupload.api import origins, surfaces
from pupload.api.web import Route, Surface
from tests.api.house import House, a_house

REACHED = "X-Reached"
"""Says in an answer which route's handler was called."""

HOST = "127.0.0.1"


def marked(route: Route) -> Route:
    """The route with a handler that only tells that it was reached, and with what."""

    async def tell(request: web.Request) -> web.StreamResponse:
        given = ",".join(f"{name}={value}" for name, value in sorted(request.match_info.items()))
        return web.Response(headers={REACHED: ascii(f"{route.method} {route.path} {given}")})

    return replace(route, handler=tell)


@pytest.fixture(params=(surfaces.NATIVE, *surfaces.OTHERS), ids=lambda surface: surface.name)
def surface(request: pytest.FixtureRequest) -> Surface:
    found: Surface = request.param
    return replace(found, routes=tuple(marked(route) for route in found.routes))


def accounts(surface: Surface) -> dict[str, str]:
    """An administrator, where the surface asks for one."""
    return {"root": "admin"} if surface.always_asks else {}


def filled(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "x", path)


def fits(template: str, path: str) -> bool:
    """Whether the path is one of those that the route's stands for."""
    return re.fullmatch(re.sub(r"\\\{[^}]*\\\}", "[^/]+", re.escape(template)), path) is not None


def tricks(path: str) -> Iterator[tuple[str, str]]:
    """Other ways to write the path, by a name; none of them is the path."""
    head, _, last = path.rpartition("/")
    yield "upper case", path.upper()
    yield "a double slash in front", f"/{path}"
    yield "a double slash within", f"{head}//{last}"
    yield "two slashes at the end", f"{path}//"
    yield "an encoded slash", f"{head}%2f{last}"
    yield "a doubly encoded slash", f"{head}%252f{last}"
    yield "a backslash", f"{head}\\{last}"
    yield "a dot segment", f"{head}/./{last}"
    yield "an encoded dot segment", f"{head}/%2e/{last}"
    yield "two dots through another place", f"{head}/y/../{last}"
    yield "two encoded dots", f"{head}/y/%2e%2e/{last}"
    yield "a parameter", f"{path};a=b"
    yield "a parameter within", f"{head};a=b/{last}"
    yield "a suffix", f"{path}.json"
    yield "a suffix behind a slash", f"{path}/.json"
    yield "a NUL", f"{path}%00"
    yield "a NUL and a suffix", f"{path}%00.png"
    yield "a new line", f"{path}%0a"
    yield "a space", f"{path}%20"
    yield "a full-width letter", f"/{quote(chr(ord(path[1]) + 0xFEE0))}{path[2:]}"
    yield "an overlong slash", f"{head}%c0%af{last}"
    yield "more steps", f"{path}/x/y/z"
    yield "a query that looks like a path", f"/nowhere?{path}"
    yield "a fragment", f"/nowhere#{path}"


async def asked(house: House, method: str, target: str, *headers: str, host: str | None = None) -> tuple[int, str, str]:
    """Status, the handler that was reached (empty: none), and the type of the answer."""
    port = house.url.rpartition(":")[2]
    reader, writer = await asyncio.open_connection(HOST, int(port))
    shown = [f"Authorization: Bearer {token}" for token in house.tokens.values()]
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host or f'{HOST}:{port}'}", "Connection: close", *shown, *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    said = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    head = said.partition(b"\r\n\r\n")[0].decode("latin-1")
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.split("\r\n")[1:])
    }
    return int(head.split()[1]), fields.get(REACHED.lower(), ""), fields.get("content-type", "").partition(";")[0]


async def test_f43_another_way_to_write_a_path_reaches_nothing_else(tmp_path: Path, surface: Surface) -> None:
    tried = 0
    async with a_house(tmp_path, served=[surface], accounts=accounts(surface)) as house:
        for route in surface.routes:
            plain = filled(route.path)
            _, own, _ = await asked(house, route.method, plain)
            assert own.startswith(f"'{route.method} {route.path} ")
            for name, target in tricks(plain):
                assert target != plain, name
                status, reached, media = await asked(house, route.method, target)
                tried += 1
                where = f"{name}: {route.method} {target}"
                assert status < 500, where
                if reached:
                    # A parameter takes any one step, whatever is in it; the route is the one that is asked for, or that
                    # of what is below it, or the one that would be asked for if this one were not there; or the one
                    # above it, where what looks like two steps is one.
                    found = reached.split()[1]
                    assert "{" in found, where
                    spelled_out = fits(found, plain) or fits(found, target) or found.startswith(f"{route.path}/{{")
                    assert "{" in route.path or spelled_out, where
                elif target.startswith("/api/") and status != 400:
                    assert media in ("application/json", "application/problem+json"), where
    assert tried > 20 * len(surface.routes)


async def test_f43_the_method_is_the_one_of_the_request_line(tmp_path: Path, surface: Surface) -> None:
    async with a_house(tmp_path, served=[surface], accounts=accounts(surface)) as house:
        for route in surface.routes:
            path = filled(route.path)
            # A step that one route spells out may be what another takes for a name, with another method.
            known = {one.method for one in surface.routes if fits(one.path, path)}
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"):
                for header in ("X-Nothing: 1", f"X-HTTP-Method-Override: {route.method}", f"X-Method: {route.method}"):
                    status, reached, _ = await asked(house, method, path, header)
                    plain = "GET" if method == "HEAD" else method
                    assert status < 500, (method, path)
                    assert bool(reached) is (plain in known), (method, path, header, reached)
                    assert not reached or reached.startswith(f"'{plain} "), (method, path, reached)


async def test_f43_a_rewritten_target_or_forwarded_header_changes_nothing(tmp_path: Path, surface: Surface) -> None:
    async with a_house(tmp_path, served=[surface], accounts=accounts(surface)) as house:
        for route in surface.routes:
            path = filled(route.path)
            for header in ("X-Original-URL", "X-Rewrite-URL", "X-Forwarded-Path", "X-Forwarded-Prefix", "Forwarded"):
                status, reached, _ = await asked(house, route.method, "/nowhere", f"{header}: {path}")
                assert (status in (404, 405), reached) == (True, ""), header


async def test_f43_a_foreign_name_is_turned_away_on_every_route_however_it_is_written(
    tmp_path: Path, surface: Surface
) -> None:
    policy = origins.Policy(hosts=origins.LOOPBACK)
    async with a_house(tmp_path, served=[surface], policy=policy) as house:
        port = house.url.rpartition(":")[2]
        for route in surface.routes:
            path = filled(route.path)
            for host in (
                "evil.example",
                f"evil.example:{port}",
                f"127.0.0.1.evil.example:{port}",
                f"localhost.evil.example:{port}",
                f"evil.example@localhost.evil:{port}",
                "0.0.0.0",
                "2130706433",
                "[::ffff:7f00:1]",
            ):
                status, reached, _ = await asked(house, route.method, path, host=host)
                assert (status in (400, 421), reached) == (True, ""), (route.method, path, host)
                # An absolute target names a host as well: it is the one that counts, and it is not ours.
                status, reached, _ = await asked(house, route.method, f"http://{host}{path}")
                assert reached == "" or status in (400, 421), (route.method, path, host)


async def test_f43_a_page_from_elsewhere_changes_nothing_on_any_route(tmp_path: Path, surface: Surface) -> None:
    async with a_house(tmp_path, served=[surface], accounts=accounts(surface)) as house:
        for route in surface.routes:
            if route.method in ("GET", "HEAD"):
                continue
            for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1:1"):
                status, reached, _ = await asked(house, route.method, filled(route.path), f"Origin: {origin}")
                assert (status, reached) == (403, ""), (route.path, origin)
