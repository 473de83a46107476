"""The OpenAPI document of an application: what FastAPI derives, and what it cannot know.

Routes read bodies themselves, so each names the model of its body. Every route may answer with a problem, and what the
middleware refuses is the same for every route.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from migration_sidecar.http_server.own_sidecar import ROUTES
from migration_sidecar.http_server.problem_response import MEDIA_TYPE, ProblemDocument

PATH = "/openapi.json"
VERSION = "1"  # of the interface, not of the release; it changes when callers must change
REFERENCE = "#/components/schemas/{model}"
BODY_METHODS = frozenset({"post", "put", "patch", "delete"})


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route: the statuses of its own problems."""
    return {status: _problem(status) for status in statuses}


def answer(model: type[BaseModel], **more: Any) -> dict[str, Any]:
    """One entry of `responses`, for a route that writes its answer itself."""
    return {"content": {"application/json": {"schema": _reference(model, "serialization")}}, **more}


def json_body(model: type[BaseModel], example: Any) -> dict[str, Any]:
    """The `openapi_extra` of a route that reads its body itself."""
    content = {"schema": _reference(model, "validation"), "example": example}
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


def query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """The `parameters` of a route that forwards its query. `model` is what the receiver reads it with."""
    schema = model.model_json_schema(ref_template=REFERENCE)
    definitions = schema.get("$defs", {})
    return [
        {"name": name, "in": "query", "required": False, "schema": {**part, "$defs": definitions}}
        for name, part in schema.get("properties", {}).items()
    ]


def document(app: FastAPI) -> dict[str, Any]:
    """The document. Call it once per application, after the last route was added."""
    schema = app.openapi()
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for address, path in schema["paths"].items():
        for method, operation in path.items():
            refused = [403, 415, 500] if method in BODY_METHODS else [403, 500]
            refused += [401] if address.startswith(ROUTES) else []
            operation["responses"] |= {str(status): _problem(status) for status in refused}
            operation["responses"] = dict(sorted(operation["responses"].items()))
    _move_definitions(schema["paths"], components)
    schema["components"]["schemas"] = dict(sorted(components.items()))
    return schema


def serve_document(app: FastAPI) -> None:
    """Adds GET /openapi.json, for development. It is not in the document itself."""

    async def show_document() -> dict[str, Any]:
        return document(app)

    app.add_api_route(PATH, show_document, include_in_schema=False)


def _problem(status: int) -> dict[str, Any]:
    schema = _reference(ProblemDocument, "serialization")
    return {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: {"schema": schema}}}


def _reference(model: type[BaseModel], mode: JsonSchemaMode) -> dict[str, Any]:
    """A reference and the schemas it needs, in `$defs`; `document` moves those to `components`."""
    schema = model.model_json_schema(mode=mode, ref_template=REFERENCE)
    definitions = schema.pop("$defs", {})
    name = model.__name__
    return {"$ref": REFERENCE.format(model=name), "$defs": {**definitions, name: schema}}


def _move_definitions(part: Any, components: dict[str, Any]) -> None:
    if isinstance(part, dict):
        components.update(part.pop("$defs", {}))
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _move_definitions(inner, components)
