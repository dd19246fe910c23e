"""Does the built site hold together by itself? `python tests/site_check.py build/site`, as `make docs` does.

Every link and anchor within the site leads somewhere, no page loads anything from another host, and each page of the
navigation was built. Standard library only: it runs in the environment of the documents.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "dns-prefetch", "manifest"}


class Page(HTMLParser):
    """What one page links to, what it loads, and where one can link to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and LOADING_LINKS & set(given.get("rel", "").split()):
            self.loads.append(given["href"])
        if LOADS.get(tag, "") in given:
            self.loads.append(given[LOADS[tag]])
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


def problems_of(site: Path) -> list[str]:
    """What is wrong with a built site, in words."""
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site} holds no page"]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f"{name} loads {url}" for url in page.loads if urlsplit(url).netloc]
        found += [f"{name} has no policy against foreign hosts"] if "default-src 'self'" not in page.policy else []
        for url in dict.fromkeys([*page.links, *page.loads]):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc or (name.name == "404.html" and parts.path.startswith("/")):
                continue
            target = path if not parts.path else (path.parent / unquote(parts.path)).resolve()
            target = target / "index.html" if target.is_dir() else target
            if not target.exists():
                found.append(f"{name} leads to {url}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name} leads to {url}, an anchor that is not there")
    return found


def main() -> int:
    site = Path(sys.argv[1]).resolve()
    found = problems_of(site)
    print("\n".join(found) if found else f"{len(list(site.rglob('*.html')))} pages in {site}: open index.html")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
