"""The explorer's files: pages, scripts and styles, all our own or of an installed package."""

from pathlib import Path

from aiohttp import web

from node.api.desk import Asked, Desk
from node.api.route import Handler, Route, get

EXPLORER = Path(__file__).parent.parent / "explorer"


def page_of(name: str, content_type: str) -> Handler:
    """One of our own files."""

    async def serve(_: Desk, __: Asked) -> web.StreamResponse:
        # Said here, because what a machine makes of a file's name differs.
        return web.FileResponse(EXPLORER / name, headers={"Content-Type": f"{content_type}; charset=utf-8"})

    return serve


def file(path: str, name: str, content_type: str) -> Route:
    handler = page_of(name, content_type)
    return get(path, name.replace(".", "_"), f"The explorer: {name}.", handler, produces=content_type)


PAGE_ROUTES: tuple[Route, ...] = (
    file("/", "index.html", "text/html"),
    file("/explorer.js", "explorer.js", "text/javascript"),
    file("/explorer.css", "explorer.css", "text/css"),
    file("/proof.html", "proof.html", "text/html"),
    file("/proof.js", "proof.js", "text/javascript"),
)
