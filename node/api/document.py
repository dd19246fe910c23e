"""The OpenAPI document, made from the table of routes and the schemas."""

from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from node.api import schemas
from node.api.route import JSON, Route
from node.api.routes import ROUTES

VERSION, TOKEN = "1", "operator"
# What any route may answer beside its own statuses: a wrong question, a foreign page, too much at once.
COMMON_REFUSALS = (400, 403, 429, 500, 503)


def openapi() -> dict[str, Any]:
    """OpenAPI 3.1."""
    document = APISpec(
        title="NeuroShard node",
        version=VERSION,
        openapi_version="3.1.0",
        info={"description": "Ledger, rounds and training of one node. Amounts are decimal strings of nanos."},
        plugins=[MarshmallowPlugin(schema_name_resolver=_name)],
    )
    for path in dict.fromkeys(route.path for route in ROUTES):
        routes = [route for route in ROUTES if route.path == path]
        document.path(path, operations={route.method.lower(): operation(route) for route in routes})
    document.components.security_scheme(
        TOKEN,
        {"type": "http", "scheme": "bearer", "description": "what the file api-token of the data directory holds"},
    )
    found: dict[str, Any] = document.to_dict()
    return found


def _name(schema: Any) -> str:
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__


def operation(route: Route) -> dict[str, Any]:
    own = (*route.refusals, *((401,) if route.is_operators else ()))
    refusals = [status for status in (*COMMON_REFUSALS, *own) if status not in route.successes]
    answers = {str(status): success(route) for status in route.successes}
    error = {"description": "refused", "content": {JSON: {"schema": schemas.Error}}}
    found: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "parameters": [{"in": "path", "schema": route.place}, {"in": "query", "schema": route.query}],
        "responses": answers | {str(status): error for status in sorted(set(refusals))},
    }
    if route.is_operators:
        found["security"] = [{TOKEN: []}]
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": {JSON: {"schema": route.body}}}
    return found


def success(route: Route) -> dict[str, Any]:
    kind: Any = {"type": "object"} if route.produces == JSON else {"type": "string"}
    return {"description": "done", "content": {route.produces: {"schema": route.answer or kind}}}
