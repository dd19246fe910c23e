"""The explorer's pages, scripts and style: our own, and the charts of an installed package."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from marshmallow import fields, validate

from node.api.desk import Asked, Desk
from node.api.fields import Question
from node.api.page_files import PAGES, Content, charts, names_of, own_file, page, path_of
from node.api.route import TEXT, Handler, Route, get

HTML, SCRIPT, STYLE, PICTURE = "text/html", "text/javascript", "text/css", "image/svg+xml"


class ScriptPath(Question):
    script = fields.String(required=True, validate=validate.OneOf(names_of(".js")))


class StylePath(Question):
    style = fields.String(required=True, validate=validate.OneOf(names_of(".css")))


def answered(asked: Asked, found: Content, content_type: str) -> web.Response:
    """Packed if the browser takes that."""
    is_packed = "gzip" in asked.request.headers.get("Accept-Encoding", "").lower()
    headers = {"Content-Type": f"{content_type}; charset=utf-8", "Vary": "Accept-Encoding"}
    if is_packed:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=found.packed if is_packed else found.body, headers=headers)


def handler_of(read: Callable[[Asked], Content], content_type: str) -> Handler:
    """Files are read and packed in a thread, the first time; after that they are in memory."""

    async def serve(_: Desk, asked: Asked) -> web.StreamResponse:
        return answered(asked, await asyncio.to_thread(read, asked), content_type)

    return serve


def page_route(name: str) -> Route:
    handler = handler_of(lambda _: page(name), HTML)
    return get(path_of(name), f"page_{name.replace('-', '_')}", f"The explorer: {PAGES[name]}.", handler, produces=HTML)


PAGE_ROUTES: tuple[Route, ...] = (
    *(page_route(name) for name in PAGES),
    get(
        "/explorer/{script}.js",
        "explorer_script",
        "The explorer: a script of its pages.",
        handler_of(lambda asked: own_file(f"{asked.fields['script']}.js"), SCRIPT),
        place=ScriptPath,
        produces=SCRIPT,
    ),
    get(
        "/explorer/{style}.css",
        "explorer_style",
        "The explorer: the style of its pages.",
        handler_of(lambda asked: own_file(f"{asked.fields['style']}.css"), STYLE),
        place=StylePath,
        produces=STYLE,
    ),
    get(
        "/icon.svg",
        "explorer_icon",
        "The explorer: its picture in a tab.",
        handler_of(lambda _: own_file("icon.svg"), PICTURE),
        produces=PICTURE,
    ),
    get(
        "/vendor/lightweight-charts.js",
        "vendor_charts",
        "The explorer: TradingView Lightweight Charts, as installed.",
        handler_of(lambda _: charts(), SCRIPT),
        produces=SCRIPT,
        refusals=(404,),
    ),
    get(
        "/vendor/LICENSE.txt",
        "vendor_licence",
        "The explorer: the licence of its charts.",
        handler_of(lambda _: own_file("apache-2.0.txt"), TEXT),
        produces=TEXT,
    ),
)
