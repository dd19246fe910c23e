"""What a route is: one method of one path, and all that router, OpenAPI document and `docs/api.md` say of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from marshmallow import Schema

from node.api import questions
from node.api.desk import Asked, Desk

JSON, TEXT, STREAM = "application/json", "text/plain", "text/event-stream"
Handler = Callable[[Desk, Asked], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path. `refusals` are the statuses that belong to it beside those of every route."""

    method: str
    path: str
    name: str
    summary: str
    handler: Handler
    answer: type[Schema] | None = None
    place: type[Schema] = questions.Nothing
    query: type[Schema] = questions.Nothing
    body: type[Schema] | None = None
    produces: str = JSON
    successes: tuple[int, ...] = (200,)
    refusals: tuple[int, ...] = ()
    is_operators: bool = False  # behind the token
    keep: str = ""  # how long an answer stays true: see `node.api.kept`


def get(path: str, name: str, summary: str, handler: Handler, **more: object) -> Route:
    return Route("GET", path, name, summary, handler, **more)  # type: ignore[arg-type]
