"""The API described in OpenAPI 3.1, from the tables of routes and the models on the wire: never by hand."""

import functools
from collections.abc import Sequence
from typing import Any, get_args, get_origin

import msgspec
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from pupload.api.web import Parameter, Route, Surface

_REF = "#/components/schemas/{model}"


@functools.lru_cache(maxsize=8)
def render(surface: Surface, *, version: str, pages: tuple[Route, ...] = ()) -> bytes:
    """The description of a surface as JSON, and of these routes beside its own."""
    return msgspec.json.encode(describe(surface, version=version, pages=pages))


def describe(surface: Surface, *, version: str, pages: Sequence[Route] = ()) -> dict[str, Any]:
    """The description as plain values."""
    routes = [*pages, *surface.routes]
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(surface, route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pupload" if pages else f"pupload: {surface.name}",
            "version": version,
            "description": surface.about,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _schemas(surface, routes)},
    }


def _operation(surface: Surface, route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": route.summary,
        "responses": _responses(surface, route),
    }
    in_path = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in route.names]
    parameters = in_path + [_parameter(each) for each in route.parameters]
    if parameters:
        operation["parameters"] = parameters
    if route.form:
        fields = {"type": "object", "properties": {route.form: {"type": "string", "format": "binary"}}}
        content = {"multipart/form-data": {"schema": {**fields, "required": [route.form]}}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.reads is bytes:
        operation["requestBody"] = {"required": True, "content": {"application/octet-stream": {}}}
    elif route.reads is not None:
        schema = {"$ref": _REF.format(model=route.reads.__name__)}
        operation["requestBody"] = {
            "required": not route.optional_body,
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": parameter.type}
    if parameter.choices:
        schema["enum"] = list(parameter.choices)
    return {"name": parameter.name, "in": parameter.place, "description": parameter.about, "schema": schema}


def _responses(surface: Surface, route: Route) -> dict[str, Any]:
    problem = {surface.problem_media: {"schema": {"$ref": _REF.format(model=surface.problem_model.__name__)}}}
    known = "flowRunID" in route.names or any(each.name == "run" for each in route.parameters)
    refused = {**problem, "text/plain": {"schema": {"const": "Flow run does not exist."}}} if known else problem
    if route.refusal:
        refused = {**refused, route.refusal: {"schema": {"type": "string"}}}
    responses: dict[str, Any] = {_success(route): _success_body(route)}
    if route.lasting and "flowRunID" in route.names and any(each.name == "Last-Event-ID" for each in route.parameters):
        responses["204"] = {"description": "The run has ended, and there is nothing that the client was not told."}
    if route.reads is not None or route.form or route.names or route.parameters:
        responses["400"] = {"description": "The request cannot be carried out as it is.", "content": refused}
    responses["default"] = {"description": "Another reason why not.", "content": problem}
    return responses


def _success(route: Route) -> str:
    return str(route.status) if route.answers is not None or route.media != "application/json" else "204"


def _success_body(route: Route) -> dict[str, Any]:
    if route.answers is None and route.media == "application/json":
        return {"description": "Done."}
    schema: dict[str, Any] = {"type": "string"}
    if route.answers is dict:
        schema = {"type": "object"}
    elif route.answers is not None and route.media == "application/json":
        model = _model(route.answers)
        schema = {"type": "string"} if model is str else {"$ref": _REF.format(model=model.__name__)}
        if model is not route.answers:
            schema = {"type": "array", "items": schema}
    content: dict[str, Any] = {route.media: {"schema": schema}}
    if route.lasting and route.method == "GET":
        content.setdefault("text/event-stream", {"schema": {"type": "string"}})
    if any(each.name == "format" and "text" in each.choices for each in route.parameters):
        content["text/plain"] = {"schema": {"type": "string"}}
    return {
        "description": (_model(route.answers).__doc__ or "Done.").strip() if _modelled(route) else "Done.",
        "content": content,
    }


def _modelled(route: Route) -> bool:
    return route.answers is not None and route.answers is not dict and _model(route.answers) is not str


def _model(answers: Any) -> Any:
    """The model, where the answer is a list the model of what is in it."""
    return get_args(answers)[0] if get_origin(answers) is list else answers


def _schemas(surface: Surface, routes: Sequence[Route]) -> dict[str, Any]:
    asked = {each.reads for each in routes if isinstance(each.reads, type) and issubclass(each.reads, BaseModel)}
    _, made = models_json_schema(
        [(model, "validation") for model in sorted(asked, key=lambda model: model.__name__)], ref_template=_REF
    )
    answered = {_model(each.answers) for each in routes if _modelled(each)} | {surface.problem_model, *surface.also}
    _, answers = msgspec.json.schema_components(
        sorted(answered, key=lambda model: model.__name__), ref_template="#/components/schemas/{name}"
    )
    return dict(sorted({**made.get("$defs", {}), **answers}.items()))
