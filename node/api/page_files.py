"""The explorer's files, in memory: pages put into their one frame, and all packed once for browsers that take gzip."""

import gzip
import html
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from node.api.faults import Refusal

EXPLORER = Path(__file__).parent.parent / "explorer"
CHARTS, CHARTS_FILE = "lightweight-charts", "lightweight_charts/js/lightweight-charts.js"
# Every page with its title; the words behind `#` in its address name what it shows.
PAGES = {
    "index": "Home",
    "round": "Rounds",
    "block": "Blocks",
    "transaction": "A transaction",
    "proof": "A proof of work",
    "validators": "Validators",
    "wallet": "A wallet",
    "node": "A node",
    "rich-list": "Rich list",
    "parameters": "Parameters",
    "api": "API",
    "licences": "Licences",
}


@dataclass(frozen=True, slots=True)
class Content:
    body: bytes
    packed: bytes


def content(body: bytes) -> Content:
    return Content(body, gzip.compress(body, mtime=0))


def names_of(ending: str) -> tuple[str, ...]:
    """Our own files of a kind, without their ending: what may be asked for."""
    return tuple(sorted(path.stem for path in EXPLORER.glob(f"*{ending}")))


@cache
def own_file(name: str) -> Content:
    return content((EXPLORER / name).read_bytes())


@cache
def page(name: str) -> Content:
    """A page in its frame, with its own place in the navigation marked."""
    frame = (EXPLORER / "frame.html").read_text("utf-8")
    body = (EXPLORER / "pages" / f"{name}.html").read_text("utf-8")
    path = path_of(name)
    frame = frame.replace(f'<li><a href="{path}">', f'<li><a href="{path}" aria-current="page">')
    filled = frame.replace("TITLE", html.escape(PAGES[name])).replace("SCRIPT", name).replace("BODY", body.rstrip())
    return content(filled.encode())


def path_of(name: str) -> str:
    return "/" if name == "index" else f"/{name}.html"


@cache
def charts() -> Content:
    """The chart library of the installed package. Raises Refusal: pages then show their tables alone."""
    try:
        return content(Path(str(distribution(CHARTS).locate_file(CHARTS_FILE))).read_bytes())
    except (PackageNotFoundError, OSError) as error:
        raise Refusal(404, f"the package {CHARTS} is not installed here: there are tables instead of charts") from error
