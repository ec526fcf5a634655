"""
Two accounts at every route of the surfaces: what is another's is answered for as what never was.

Ids of Anna's are asked for by Ben, beside ids that there are not: nothing may tell the one answer from the other.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import WSMsgType

from pupload.api import surfaces
from pupload.api.web import Route
from pupload.domain import ids
from pupload.domain.access import Permission
from tests.api.house import House, a_house
from tests.api.test_flwd import a_job, writes

ACCOUNTS = {"root": "admin", "anna": "editor", "ben": "editor"}
PROJECT = "01563e3a-b5d3-d676-4c61-efb99302bd5b"

WALKED = ("flow", "flwd", "runs")
"""Surfaces whose every route is tried; others have tests of their own."""

NOT_THEIRS = {
    ("flow", "GET", "/api/v1/flow/sources/{source}"): "the operator's",
    ("flow", "POST", "/api/v1/flow/sources/{source}/sync"): "the operator's",
    ("flow", "POST", "/api/v1/upload/{flowRunID}/{edge}/receive"): "whoever has its token",
    ("flow", "PUT", "/api/v1/secret/{name}"): "makes one of the caller's own",
    ("flow", "POST", "/api/v1/project/{projectID}"): "makes one of the caller's own",
    ("flow", "PUT", "/api/v1/flow/facts/{key}"): "makes one of the caller's own",
    ("flow", "PUT", "/api/v1/flow/drawings/{drawing}"): "makes one of the caller's own",
    ("flow", "POST", "/api/v1/flow/purge/{flowRunID}"): "administrators only",
}

OF_ACCOUNTS = (Permission.USERS_MANAGE, Permission.OWN_ACCOUNT, None)
"""What is asked for with these is an account, or nobody's."""

PARTS = ("node", "node_id", "edge", "flowName")
"""Parameters that are parts of what another one names."""

BODIES: dict[str, Any] = {
    "PUT /api/v1/flow/saved/{flow}": a_job(),
    "POST /api/v1/flow/saved/{flow}/rollback": {"Version": 1},
    "POST /api/v1/flow/saved/{flow}/enable": {"Enabled": False},
    "POST /api/v1/flow/saved/{flow}/backfill": {"Start": "2026-01-01", "End": "2026-01-02"},
    "PUT /api/v1/flow/schedules/{scheduleID}": {"Flow": "own", "Interval": "1h"},
    "POST /api/v1/flow/approve/{flowRunID}/{edge}": {"Approve": True},
    "POST /api/v1/flow/replay/{flowRunID}": {"FromNodes": ["say"]},
    "POST /api/v1/flow/priority/{flowRunID}": {"Priority": 3},
    "POST /api/v1/upload/{flowRunID}/{edge}/abort": {"UploadID": "x"},
    "POST /api/v1/workflows/{slug}/chat": {"text": "x"},
    "POST /api/v1/workflows/{slug}/nodes": {"node_id": "more", "component_type": "acme/shout"},
    "POST /api/v1/workflows/{slug}/edges": {"source_node_id": "in", "target_node_id": "clock"},
    "POST /api/pipelines/{pipeline_id}/backfill": {"start_date": "2026-01-01", "end_date": "2026-01-02"},
}
QUERIES = {
    "GET /api/v1/flow/saved/{flow}/diff": "?from=1&to=1",
    "GET /api/v1/flow/preview/{flowRunID}": "?edge=result",
    "GET /api/v1/flow/profile/{flowRunID}": "?edge=result",
}


@dataclass
class Theirs:
    """Anna's house, and what is hers in it by the names of parameters."""

    house: House
    known: dict[str, str] = field(default_factory=dict)

    async def ask(self, who: str, method: str, path: str, **more: Any) -> tuple[int, str]:
        headers = {**self.house.shown(who), **more.pop("headers", {})}
        async with self.house.http.request(method, self.house.url + path, headers=headers, **more) as answer:
            return answer.status, await answer.text()

    async def made(self, who: str, method: str, path: str, **more: Any) -> Any:
        status, text = await self.ask(who, method, path, **more)
        assert status in (200, 201), text
        return json.loads(text)

    async def run(self, who: str, flow: str) -> str:
        """One that is over."""
        started = await self.made(who, "POST", f"/api/v1/flow/saved/{flow}/run", json={})
        while True:
            found = await self.made(who, "GET", f"/api/v1/flow/status/{started['ID']}")
            if found["Status"] not in ("WAITING", "RUNNING"):
                return str(started["ID"])
            await asyncio.sleep(0.01)

    @property
    def told(self) -> Iterator[str]:
        """What nobody else's answer may hold."""
        return (value for name, value in self.known.items() if name not in PARTS)


@asynccontextmanager
async def annas(root: Path) -> AsyncIterator[Theirs]:
    async with a_house(root, accounts=ACCOUNTS) as house:
        house.bench.image("pupload/resize:latest", writes(b"secret words"))
        found = Theirs(house)
        saved = await found.made("anna", "PUT", "/api/v1/flow/saved/annas", json=a_job())
        await found.made("ben", "PUT", "/api/v1/flow/saved/bens", json=a_job())
        for who in ("anna", "ben"):  # a name that each has a flow of
            await found.made(who, "PUT", "/api/v1/flow/saved/own", json=a_job())
        run = await found.run("anna", "annas")
        schedule = await found.made("anna", "POST", "/api/v1/flow/schedules", json={"Flow": "annas", "Interval": "1h"})
        await found.made("anna", "PUT", "/api/v1/secret/ANNAS", json={"Value": "of Anna"})
        project = {"Flows": [a_job()["Flow"]], "NodeDefs": a_job()["NodeDefs"]}
        status, text = await found.ask("anna", "POST", f"/api/v1/project/{PROJECT}", json=project)
        assert status < 300, text
        artifacts = await found.made("anna", "GET", "/api/v1/artifacts")
        found.known = {
            "flowRunID": run,
            "run_id": ids.uuid_of(run),
            "flow": saved["ID"],
            "job_id": "default/annas",
            "pipeline_id": saved["ID"].removeprefix("flow_"),
            "scheduleID": schedule["ID"],
            "projectID": PROJECT,
            "name": "ANNAS",
            "artifact_id": artifacts["artifacts"][0]["id"],
            "credential": "1",
            "deliveryID": "msg_x",
            "flowName": "say",
            "node": "say",
            "node_id": "say",
            "edge": "result",
        }
        pipelines = await found.made("anna", "GET", "/api/pipelines")
        found.known["pipeline_id"] = next(one["id"] for one in pipelines if one["name"].endswith("annas"))
        credential = {"Name": "annas", "Type": "llm", "Detail": {"api_key": "sk-0123456789abcdef"}}
        made = await found.made("anna", "POST", "/api/v1/flow/credentials", json=credential)
        found.known["credential"] = str(made["ID"])
        fact = await found.made("anna", "PUT", "/api/v1/flow/facts/annas", json={"Value": 7})
        found.known["fact"] = fact["ID"]
        drawing = {"Name": "annas", "Nodes": [{"ID": "in", "Component": "trigger_manual"}]}
        await found.made("anna", "PUT", "/api/v1/flow/drawings/annas-own", json=drawing)
        found.known["drawing"] = "annas-own"
        yield found


def other(value: str) -> str:
    """An id of the same form that there is not."""
    if value.isdigit():
        return str(int(value) + 777)
    return value[:-1] + ("0" if value[-1] != "0" else "1")


def filled(path: str, known: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: quote(known[name[1]], safe=""), path)


ROUTES: list[tuple[str, Route]] = [
    (surface.name, route)
    for surface in (surfaces.NATIVE, *surfaces.OTHERS)
    for route in surface.routes
    if surface.name in (*WALKED, "pipelit")
]


async def compared(theirs: Theirs, surfaces_: tuple[str, ...]) -> int:
    """Ben asks every route for what is Anna's, and for what is not there. Returns how many routes that were."""
    unknown = {name: value if name in PARTS else other(value) for name, value in theirs.known.items()}
    tried = 0
    for surface, route in sorted(ROUTES, key=_as_late_as_it_does_harm):
        if surface not in surfaces_ or not route.names or route.needs in OF_ACCOUNTS:
            continue
        name = f"{route.method} {route.path}"
        if (surface, route.method, route.path) in NOT_THEIRS:
            continue
        more = {"json": BODIES.get(name, {})} if route.method in ("POST", "PUT", "PATCH") else {}
        path = QUERIES.get(name, "")
        asked = [("ben", theirs.known), ("ben", unknown)]
        asked += [] if route.lasting else [("anna", theirs.known)]  # last of all, for it may change something
        answers = []
        for who, known in asked:
            status, text = await theirs.ask(who, route.method, filled(route.path, known) + path, **more)
            for param, value in known.items():
                for spelled in (value, quote(value, safe=""), ids.canonical_run_id(value) or value):
                    text = re.sub(rf"\b{re.escape(spelled)}\b", param, text)
            answers.append((status, re.sub(r"\b(req_)?[0-9a-f]{16}\b", "request", text)))
        assert answers[0][0] in (400, 404) or answers[0][1] == "[]", (name, answers)
        assert answers[0] == answers[1], name
        assert answers[0] != answers[-1] or route.lasting or "deliveryID" in route.path, (name, answers)
        tried += 1
    return tried


def _as_late_as_it_does_harm(one: tuple[str, Route]) -> tuple[bool, bool, int]:
    route = one[1]
    return route.method == "DELETE", route.path.endswith(("{slug}", "{epic_id}")), -route.path.count("/")


async def test_what_is_anothers_is_answered_for_as_what_never_was(tmp_path: Path) -> None:
    async with annas(tmp_path) as theirs:
        assert await compared(theirs, WALKED) > 50


async def test_so_it_is_for_what_is_drawn_and_all_around_it(tmp_path: Path) -> None:
    async with a_house(tmp_path, accounts=ACCOUNTS, shouts=True) as house:
        theirs = Theirs(house)
        theirs.known = await drawn(theirs)
        assert await compared(theirs, ("pipelit",)) > 30


async def drawn(theirs: Theirs) -> dict[str, str]:
    """A workflow of Anna's, run, and what Pipelit has around it."""

    async def post(path: str, **body: Any) -> Any:
        return await theirs.made("anna", "POST", f"/api/v1/{path}/", json=body)

    await post("workflows", name="Loud", slug="annas")
    for node, component in {"in": "trigger_chat", "shout": "acme/shout", "clock": "trigger_schedule"}.items():
        await post("workflows/annas/nodes", node_id=node, component_type=component)
    edge = await post("workflows/annas/edges", source_node_id="in", target_node_id="shout")
    schedule = await post("schedules", name="often", workflow_id=1, interval_seconds=3600)
    await post("workflows/annas/nodes/clock/schedule/start")
    credential = await post("credentials", name="mine", credential_type="llm", detail={"api_key": "sk-0123456789"})
    execution = await post("workflows/annas/execute", text="hello")
    epic = await post("epics", title="All of it")
    task = await post("tasks", epic_id=epic["id"], title="Some of it")
    return {
        "slug": "annas",
        "node_id": "clock",
        "edge_id": str(edge["id"]),
        "execution_id": execution["execution_id"],
        "credential_id": str(credential["id"]),
        "job_id": schedule["id"],
        "epic_id": epic["id"],
        "task_id": task["id"],
    }


async def test_no_list_holds_anything_of_others(tmp_path: Path) -> None:
    async with annas(tmp_path) as theirs:
        every = [route for name, route in ROUTES if name in WALKED and route.method == "GET" and not route.names]
        lists = [route for route in every if route.needs not in OF_ACCOUNTS and not route.lasting]
        assert len(lists) > 15
        for route in lists:
            for query in ("", "?limit=1000", "?q=anna"):
                status, text = await theirs.ask("ben", "GET", route.path + query)
                assert status in (200, 400, 422), (route.path, text)
                for value in theirs.told:
                    assert value not in text or len(value) < 3, (route.path, text)
                assert "annas" not in text, (route.path, text)


async def test_an_administrator_is_shown_what_is_everybodys(tmp_path: Path) -> None:
    """Else the tests above would pass where nobody is shown anything."""
    async with annas(tmp_path) as theirs:
        for path in ("/api/v1/flow/list", "/api/v1/runs", "/api/v1/artifacts", "/api/v1/flow/saved", "/api/pipelines"):
            anna, ben, root = [await theirs.ask(who, "GET", path) for who in ("anna", "ben", "root")]
            assert len(ben[1]) < len(anna[1]) <= len(root[1]), path


@pytest.mark.parametrize("path", ["/api/v1/flow/ws", "/api/ws"])
async def test_a_socket_tells_nothing_of_others(tmp_path: Path, path: str) -> None:
    async with annas(tmp_path) as theirs:
        token = theirs.house.tokens["ben"]
        async with theirs.house.http.ws_connect(f"{theirs.house.url}{path}?token={token}") as socket:
            await asyncio.sleep(0)
            run = await theirs.run("anna", "annas")
            bens = await theirs.run("ben", "bens")
            said = ""
            while not (bens in said or ids.uuid_of(bens) in said):
                message = await socket.receive(timeout=10)
                assert message.type is WSMsgType.TEXT
                said += str(message.data)
        assert run not in said
        assert ids.uuid_of(run) not in said
        assert theirs.known["flow"] not in said


@pytest.mark.parametrize("path", ["/api/v1/flow/events", "/api/v1/events/runs"])
async def test_a_feed_tells_nothing_of_others(tmp_path: Path, path: str) -> None:
    async with annas(tmp_path) as theirs:
        shown = theirs.house.shown("ben")
        async with theirs.house.http.get(theirs.house.url + path, headers=shown) as stream:
            assert stream.status == 200
            run = await theirs.run("anna", "annas")
            bens = await theirs.run("ben", "bens")
            said = ""
            while not (bens in said or ids.uuid_of(bens) in said or bens.removeprefix("run_") in said):
                said += (await asyncio.wait_for(stream.content.readline(), 10)).decode()
        assert run.removeprefix("run_") not in said
        assert ids.uuid_of(run) not in said


async def test_who_has_a_webhook_s_token_is_told_nothing_of_what_is_in_the_run(tmp_path: Path) -> None:
    async with annas(tmp_path) as theirs:
        flow = a_job()
        node = {**flow["Flow"]["Nodes"][0], "Inputs": [{"Name": "image", "Edge": "in"}]}
        flow["Flow"] = {**flow["Flow"], "Nodes": [node], "DataWells": [{"Edge": "in", "Source": "webhook"}]}
        run = await theirs.made("anna", "POST", "/api/v1/flow/test", json={**flow, "Params": {"name": "of Anna"}})
        (waiting,) = run["WaitingURLs"]
        async with theirs.house.http.post(waiting["PutURL"], data=b"a photo") as answer:
            told = await answer.json()
        assert answer.status == 200
        assert (told["ID"], told["NodeState"], told["Artifacts"], told["WaitingURLs"]) == (run["ID"], {}, {}, [])
        assert "of Anna" not in json.dumps(told)
