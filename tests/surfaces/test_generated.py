"""Requests that nobody wrote: made from the API's own description, each answered without a bug."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from pupload.api import surfaces
from tests.api.house import EXAMPLE, House, a_house

Headers = dict[str, str]

EXAMPLES = 10
"""Requests for each operation."""

ANSWER_SECONDS = 10

ENDLESS = {"/api/v1/flow/events", "/api/v1/events/runs"}
"""Of what goes on in all runs there is no end."""

DESCRIPTIONS = {"flow": "/api/openapi.json"} | {each.name: f"/api/openapi/{each.name}.json" for each in surfaces.OTHERS}

CHECKS = [not_a_server_error, content_type_conformance]

SETTINGS = hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


async def runs(house: House, by: Headers) -> dict[str, str]:
    """A run that waits, and one that has ended: ids that are made up lead nowhere."""
    await house.call("PUT", "/api/v1/flow/saved/shrink", json=EXAMPLE, headers=by)
    _, waiting = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE, headers=by)
    _, ended = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE, headers=by)
    await house.call("POST", f"/api/v1/flow/cancel/{ended['ID']}", headers=by)
    return {"POST": waiting["ID"], "GET": ended["ID"]}


async def drawn(house: House, by: Headers) -> dict[str, str]:
    """A workflow and what may be about one, by the names of parameters."""

    async def made(path: str, told: str = "id", **body: Any) -> str:
        status, answer = await house.call("POST", f"/api/v1/{path}", json=body, headers=by)
        assert status in (200, 201), answer
        return str(answer[told])

    number = int(await made("workflows/", name="Greet", slug="greet"))
    await made("workflows/greet/nodes/", node_id="in", component_type="trigger_chat")
    await made("workflows/greet/nodes/", node_id="out", component_type="acme/shout")
    epic = await made("epics/", title="An epic")
    return {
        "slug": "greet",
        "node_id": "out",
        "edge_id": await made("workflows/greet/edges/", source_node_id="in", target_node_id="out"),
        "execution_id": await made("workflows/greet/chat/", told="execution_id", text="hello"),
        "credential_id": await made("credentials/", name="key", credential_type="llm"),
        "job_id": await made("schedules/", name="often", workflow_id=number, interval_seconds=60),
        "epic_id": epic,
        "task_id": await made("tasks/", epic_id=epic, title="A task"),
    }


def check(operation: Any, known: dict[str, str], statuses: set[int], by: Headers) -> None:
    """Asks one operation many things. Raises `AssertionError` with the request that shows a bug."""

    @SETTINGS
    @hypothesis.given(case=operation.as_strategy(), real=strategies.booleans())
    def ask(case: Any, real: bool) -> None:
        if real and "flowRunID" in case.path_parameters:
            case.path_parameters["flowRunID"] = known[operation.method.upper()]
            if "edge" in case.path_parameters:
                case.path_parameters["edge"] = "input-image"
        if real and "run_id" in case.path_parameters:
            case.path_parameters["run_id"] = known[operation.method.upper()]
        if real and "execution_id" in case.path_parameters:
            case.path_parameters["execution_id"] = known["GET"]
        for name in ("flow", "pipeline_id", "name"):
            if real and name in case.path_parameters and operation.method not in ("delete", "patch"):
                case.path_parameters[name] = "shrink"
        for name in case.path_parameters if real and operation.method != "delete" else ():
            case.path_parameters[name] = known.get(name, case.path_parameters[name])
        response = case.call(timeout=ANSWER_SECONDS, headers=by)
        statuses.add(response.status_code)
        # A stream's schema is of all its text; schemathesis would hold each event against it.
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        case.validate_response(response, checks=[*CHECKS, *([response_schema_conformance] if is_json else [])])
        assert response.status_code < 400 or response.text, case.as_curl_command()

    ask()


@pytest.mark.filterwarnings("default")  # what schemathesis and its libraries warn of is theirs
@pytest.mark.parametrize("surface", DESCRIPTIONS)
async def test_no_request_that_the_description_allows_shows_a_bug(tmp_path: Path, surface: str) -> None:
    threads = ThreadPoolExecutor(1)
    asks = next((each.always_asks for each in surfaces.OTHERS if each.name == surface), False)
    async with a_house(tmp_path, accounts={"root": "admin"} if asks else None, shouts=True) as house:
        by = {"Authorization": f"Bearer {house.tokens['root']}"} if asks else {}
        known = await runs(house, by) | (await drawn(house, by) if asks else {})
        _, description = await house.call("GET", DESCRIPTIONS[surface])
        schema = schemathesis.openapi.from_dict(description)
        schema.config.update(base_url=house.url)
        operations: list[Any] = [cast(Any, found).ok() for found in schema.get_all_operations()]
        assert operations
        operations = [each for each in operations if each.path not in ENDLESS]
        statuses: set[int] = set()
        for operation in operations:
            # In a thread of its own: the bench has one, which it needs itself.
            await asyncio.get_running_loop().run_in_executor(threads, check, operation, known, statuses, by)
        assert {200, 422 if asks else 400} <= statuses
        assert (await house.call("GET", "/healthz"))[0] == 200
