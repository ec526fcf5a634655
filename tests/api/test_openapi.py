"""The description of the API, and the page about it, tell of every route and break no rule of OpenAPI."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from pupload.api import metrics, openapi, pages
from pupload.api.flow import routes
from pupload.service import views
from tests.api.house import EXAMPLE, a_house

ROOT = Path(__file__).parents[2]


def every_route() -> list[Any]:
    numbers = metrics.Metrics(lambda: views.Counts(runs={}, containers=0, queued=0, capacity={}, used={}, totals={}))
    return [*pages.routes(numbers, ()), *routes.ROUTES]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    own = tuple(route for route in every_route() if route not in routes.ROUTES)
    return openapi.describe(routes.SURFACE, version="1.0", pages=own)


def test_every_route_is_described(description: dict[str, Any]) -> None:
    described = {(method.upper(), path) for path, each in description["paths"].items() for method in each}
    assert described == {(route.method, route.path) for route in every_route()}
    ids = [each["operationId"] for path in description["paths"].values() for each in path.values()]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    known = {f"#/components/schemas/{name}" for name in description["components"]["schemas"]}
    used = set(references(description))
    assert used <= known
    assert known <= used | {
        "#/components/schemas/StreamEnd",
        "#/components/schemas/JournalEntry",
        "#/components/schemas/FeedEntry",
    }


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for each in value.values() for found in references(each)]
    return [found for each in value for found in references(each)] if isinstance(value, list) else []


def test_schemathesis_can_read_it(description: dict[str, Any]) -> None:
    schema = schemathesis.openapi.from_dict(description)
    operations = list(schema.get_all_operations())
    assert all(type(operation).__name__ == "Ok" for operation in operations)
    assert len(operations) == len(every_route())


def test_each_schema_is_one(description: dict[str, Any]) -> None:
    for schema in description["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def validator(description: dict[str, Any], name: str) -> Any:
    schema = {"$ref": f"#/components/schemas/{name}", "components": description["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


async def test_what_is_answered_is_what_is_described(tmp_path: Path) -> None:
    async with a_house(tmp_path) as house:
        _, description = await house.call("GET", "/api/openapi.json")
        assert description["openapi"] == "3.1.0"
        assert validator(description, "TestFlow").is_valid(EXAMPLE)
        assert not validator(description, "TestFlow").is_valid({"Flow": []})
        _, run = await house.call("POST", "/api/v1/flow/test", json=EXAMPLE)
        validator(description, "FlowRun").validate(run)
        _, page = await house.call("GET", "/api/v1/flow/list")
        validator(description, "RunList").validate(page)
        _, problem = await house.call("POST", "/api/v1/flow/test", json={"Flow": {}})
        validator(description, "Problem").validate(problem)
        _, health = await house.call("GET", "/healthz")
        validator(description, "Health").validate(health)
        _, ticket = await house.call("POST", f"/api/v1/upload/{run['ID']}/input-image", json={"Size": 3})
        validator(description, "Upload").validate(ticket)


def test_the_page_has_every_route_and_object(description: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    for route in every_route():
        assert f"{route.method} `{route.path}`" in page or f"`{route.method} {route.path}`" in page
    for name in openapi.describe(routes.SURFACE, version="")["components"]["schemas"]:
        assert f"### {name}\n" in page
