"""Who asks, and whether they may: for every route of every surface, however its path is written."""

import asyncio
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError, web
from aiohttp.test_utils import make_mocked_request

from pupload import errors
from pupload.api import access, metrics, pages, surfaces
from pupload.api.web import SERVER, SERVICES, Entry, Route, Server
from pupload.domain.access import ALLOWED, ANYBODY, Permission, Role
from pupload.service import asking
from tests.api.house import House, a_house

ACCOUNTS = {"root": "admin", "vera": "viewer"}

SURFACES = (surfaces.NATIVE, *surfaces.OTHERS)
ROUTES = [(surface, route) for surface in SURFACES for route in surface.routes]
OWN = pages.routes(metrics.Metrics(dict), SURFACES)  # type: ignore[arg-type]

OPEN = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/openapi/{surface}"),
    ("POST", "/api/v1/upload/{flowRunID}/{edge}/receive"),  # proved by a token or a signature of its own
    ("GET", "/api/v1/health"),
    ("GET", "/ws"),  # says no with a reason, which a browser is not told before the connection is one
    ("GET", "/api/health"),
    ("GET", "/health"),
    ("GET", "/api/v1/auth/setup-status"),
    ("POST", "/api/v1/auth/setup"),
    ("POST", "/api/v1/auth/token"),
    ("POST", "/api/v1/auth/mfa/login-verify"),
    ("GET", "/api/v1/flow/setup-status"),
    ("POST", "/api/v1/flow/setup"),
    ("POST", "/api/v1/flow/login"),
    ("POST", "/api/v1/flow/login/code"),
}
"""Everything that nobody need show a token for."""


def _name(value: Any) -> str:
    return f"{value.method} {value.path}" if isinstance(value, Route) else getattr(value, "name", str(value))


def path_of(route: Route) -> str:
    """A path of the route, with something in place of each parameter."""
    return re.sub(r"\{\w+\}", "x", route.path)


def test_the_open_routes_are_these_and_no_others() -> None:
    every = [*OWN, *(route for _, route in ROUTES)]
    assert {(route.method, route.path) for route in every if route.needs is None} == OPEN


def test_what_only_reads_is_for_viewers_and_what_changes_something_is_not() -> None:
    for _, route in ROUTES:
        viewer = route.needs in ALLOWED[Role.VIEWER]
        if route.method in ("PUT", "PATCH", "DELETE") and (route.method, route.path) not in OPEN:
            assert not viewer or route.needs is Permission.OWN_ACCOUNT, _name(route)
        if route.method == "GET" and route.needs is not None and not route.lasting:
            assert viewer or route.needs is Permission.USERS_MANAGE, _name(route)


async def _statuses(house: House, asks: Iterable[str], *, headers: str = "") -> list[int]:
    """The statuses of the answers to requests whose first lines are these, byte for byte: no client tidies them."""
    found = []
    host, port = house.url.removeprefix("http://").split(":")
    for ask in asks:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{ask} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n".encode())
        head = await reader.readline()
        found.append(int(head.split()[1]))
        writer.close()
    return found


def _tricks(path: str) -> Iterator[str]:
    """Other ways to write a path, by which one was let in elsewhere."""
    yield f"{path}/"
    yield f"{path}//"
    yield f"/{path}"
    yield path.replace("/", "//")
    yield path.replace("/", "/./")
    yield f"/healthz/..{path}"
    yield f"/healthz/%2e%2e{path}"
    yield f"/healthz%2f..{path}"
    yield f"{path}/%2e"
    yield f"{path};/healthz"
    yield f"{path}%00"
    yield f"{path}%20"
    yield f"{path}?x=/healthz#/healthz"
    yield path.upper()
    yield f"/%{ord(path[1]):02x}{path[2:]}"
    yield f"http://elsewhere.example{path}"
    yield path.replace("/", "\\")


async def test_nobody_gets_anything_without_a_token(tmp_path: Path) -> None:
    """Every route, written as it is: 401."""
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for surface, route in ROUTES:
            if route.needs is None:
                continue
            asks = [f"{method} {path_of(route)}" for method in ("GET", "HEAD") if route.method == "GET"]
            asks += [f"{route.method} {path_of(route)}", f"{route.method} {path_of(route)}/"]
            for headers in ("", "Authorization: Bearer\r\n", "Authorization: Basic eDp4\r\n", "X-API-Key: x\r\n"):
                statuses = await _statuses(house, asks, headers=headers)
                assert set(statuses) == {401}, (surface.name, asks, statuses)


async def test_no_way_to_write_a_path_gets_past_that(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for surface, route in ROUTES:
            if route.needs is None:
                continue
            asks = [f"{route.method} {trick}" for trick in _tricks(path_of(route))]
            statuses = await _statuses(house, asks)
            assert set(statuses) <= {400, 401, 404, 405}, (surface.name, list(zip(asks, statuses, strict=True)))


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
async def test_no_header_makes_another_method_of_a_request(tmp_path: Path, name: str) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        headers = (
            f"{name}: DELETE\r\nX-Original-URL: /healthz\r\nX-Rewrite-URL: /healthz\r\nX-Forwarded-For: 127.0.0.1\r\n"
        )
        asks = [f"{route.method} {path_of(route)}" for _, route in ROUTES if route.needs is not None]
        assert set(await _statuses(house, asks, headers=headers)) == {401}


async def test_a_key_that_is_for_nothing_opens_nothing(tmp_path: Path) -> None:
    """Every route, by an administrator's key that may do nothing: 403, and what was refused is not told."""
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        root = await house.callers.identify(house.tokens["root"])
        narrow = (await house.callers.make_key(root, "narrow", scopes=())).token
        asks = [
            f"{route.method} {path_of(route)}"
            for _, route in ROUTES
            if route.needs not in (None, Permission.OWN_ACCOUNT)
        ]
        headers = f"Authorization: Bearer {narrow}\r\nContent-Length: 0\r\n"
        assert set(await _statuses(house, asks, headers=headers)) == {403}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.EDITOR])
async def test_a_role_may_do_what_the_table_says(tmp_path: Path, role: Role) -> None:
    async with a_house(tmp_path, accounts={"root": "admin", "other": role}) as house:
        headers = f"Authorization: Bearer {house.tokens['other']}\r\nContent-Length: 0\r\n"
        for surface, route in ROUTES:
            if route.needs is None or route.lasting:
                continue
            (status,) = await _statuses(house, [f"{route.method} {path_of(route)}"], headers=headers)
            assert (status == 403) == (route.needs not in ALLOWED[role]), (surface.name, route.path, status)


async def test_a_token_in_the_url_counts_where_browsers_have_no_other_way(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for _, route in ROUTES:
            if route.needs is None or route.needs is Permission.OWN_ACCOUNT:
                continue
            root = await house.callers.identify(house.tokens["root"])
            narrow = (await house.callers.make_key(root, "narrow", scopes=())).token
            (status,) = await _statuses(house, [f"{route.method} {path_of(route)}?token={narrow}"])
            assert status == (403 if route.token_in_query else 401), route.path
            assert not route.token_in_query or route.lasting


SOCKETS = ("/api/v1/flow/ws", "/api/ws")


@pytest.mark.parametrize("path", SOCKETS)
async def test_a_socket_asks_for_a_token_and_ends_with_it(tmp_path: Path, path: str) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        for shown in ("", "?token=", "?token=pup_0000"):
            with pytest.raises(WSServerHandshakeError) as refused:
                await house.http.ws_connect(house.url + path + shown)
            assert refused.value.status == 401
        root = await house.callers.identify(house.tokens["root"])
        key = await house.callers.make_key(root, "a page's")
        async with house.http.ws_connect(f"{house.url}{path}?token={key.token}") as socket:
            await house.callers.revoke_key(root, key.key.id)
            said = await socket.receive()
            while said.type is WSMsgType.TEXT:
                said = await socket.receive()
            assert (said.type, said.data, said.extra) == (WSMsgType.CLOSE, 1008, access.VOID)


async def test_a_stream_ends_with_the_login_that_opened_it(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        token = house.tokens["vera"]
        async with house.http.get(f"{house.url}/api/v1/flow/events?token={token}") as stream:
            assert stream.status == 200
            await stream.content.readuntil(b"\n\n")
            await house.callers.log_in("vera", "vera's password", address="192.0.2.1")
            rest = await stream.content.read()
        assert rest.endswith(b'event: error\ndata: {"error":"Invalid or missing API key."}\n\n')


async def test_what_was_open_ends_when_there_are_accounts(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house, house.http.get(f"{house.url}/api/v1/flow/events") as stream:
        await stream.content.readuntil(b"\n\n")
        await house.let_in(ACCOUNTS)
        assert b"event: error" in await stream.content.read()


async def test_another_server_s_revocation_ends_a_stream_too(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        vera, kept = await house.callers.identify(house.tokens["vera"]), house.bench.world.accounts
        assert kept is not None
        async with house.http.get(f"{house.url}/api/v1/flow/events", headers=house.shown("vera")) as stream:
            await stream.content.readuntil(b"\n\n")
            await kept.revoke_all(vera.user or 0, house.bench.clock.now())
            assert b"event: error" in await stream.content.read()


# ── While there are no accounts ──────────────────────────────────────────────────────────────────────────────────


async def test_a_surface_that_always_asks_does_so_without_accounts(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        for surface, route in ROUTES:
            if route.needs in (None, Permission.OWN_ACCOUNT) or route.lasting or route.method != "GET":
                continue
            (status,) = await _statuses(house, [f"GET {path_of(route)}"])
            assert (status == 401) == surface.always_asks, route.path


def _from(peer: object, **headers: str) -> web.Request:
    """A request over a connection whose other end is there."""
    transport = Mock()
    transport.get_extra_info = lambda name, default=None: peer if name == "peername" else default
    return make_mocked_request("GET", "/api/v1/flow/list", headers=headers, transport=transport, app=web.Application())


LOCAL = [("127.0.0.1", 5), ("127.8.9.1", 5), ("::1", 5, 0, 0), ("::ffff:127.0.0.1", 5, 0, 0)]
REMOTE = [
    ("192.0.2.1", 5),
    ("2001:db8::1", 5, 0, 0),
    ("::ffff:192.0.2.1", 5, 0, 0),
    ("::", 5, 0, 0),
    "",
    None,
    b"/run/x",
]


@pytest.mark.parametrize("peer", [*LOCAL, *REMOTE])
@pytest.mark.parametrize("insecure", [False, True])
async def test_only_this_machine_may_do_everything_without_accounts(peer: object, insecure: bool) -> None:
    async def who(_: web.Request) -> web.Response:
        return web.Response(text=asking.caller().name or "anybody")

    route = access.guarded(Route(method="GET", path="/", handler=who, needs=Permission.RUNS_START, summary="s"))
    request = _from(peer, **{"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-IP": "127.0.0.1"})
    request.app[SERVICES] = cast(Any, SimpleNamespace(callers=NobodyYet()))
    request.app[SERVER] = Server(version="0", body_seconds=1, heartbeat_seconds=1, entry=Entry(insecure=insecure))
    if insecure or peer in LOCAL:
        assert (await route.handler(request)).status == 200
    else:
        with pytest.raises(errors.TokenMissing):
            await route.handler(request)


class NobodyYet:
    """Callers without accounts."""

    async def are_set_up(self) -> bool:
        return False


@pytest.mark.parametrize("peer", [*LOCAL, *REMOTE])
def test_who_sits_at_the_machine_comes_from_it_and_through_nobody(peer: object) -> None:
    def is_local(*brought: str, resets: bool = True) -> bool:
        request = _from(peer, **dict.fromkeys(brought, "127.0.0.1"))
        entry = Entry(local_resets=resets)
        request.app[SERVER] = Server(version="0", body_seconds=1, heartbeat_seconds=1, entry=entry)
        return access.is_local(request)

    assert is_local() == (peer in LOCAL)
    assert not is_local(resets=False)
    for name in ("Forwarded", "X-Forwarded-For", "x-forwarded-proto", "X-Forwarded-Host", "X-Real-IP", "Via"):
        assert not is_local(name)


async def test_handlers_run_for_whoever_asks_and_nothing_else_does(tmp_path: Path) -> None:
    seen = []

    async def who(request: web.Request) -> web.Response:
        seen.append((asking.caller().name, access.caller(request).name, await asyncio.create_task(_asks())))
        return web.Response()

    async def _asks() -> str:
        return asking.caller().name

    route = Route(method="GET", path="/who", handler=who, needs=Permission.RUNS_VIEW, summary="s")
    surface = replace(surfaces.NATIVE, routes=(route,))
    async with a_house(tmp_path, accounts=ACCOUNTS, served=(surface,)) as house:
        await asyncio.gather(
            *(house.call("GET", "/who", headers=house.shown(name)) for name in ("root", "vera", "root"))
        )
    assert sorted(seen) == [("root",) * 3, ("root",) * 3, ("vera",) * 3]
    assert asking.caller() is ANYBODY


async def test_no_token_is_in_logs_or_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with a_house(tmp_path, accounts=ACCOUNTS) as house:
        token = house.tokens["vera"]
        for path in ("/api/v1/flow/status/x", "/api/v1/flow/nothing", "/api/v1/flow/list"):
            await house.call("GET", f"{path}?token={token}", headers={"X-API-Key": token})
        _, numbers = await house.call("GET", "/metrics", headers=house.shown("root"))
    assert token not in caplog.text
    assert token not in numbers
    assert "/api/v1/flow/list" in caplog.text
