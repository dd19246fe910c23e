"""The explorer's files: text only goes into pages, nobody else is asked, and what they name is there."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from node.api import page_files
from node.api.faults import HEADERS, Refusal
from node.api.page_files import EXPLORER, PAGES, names_of, page, path_of
from tests.node.served import Served, serving

SCRIPTS = {path.name: path.read_text() for path in EXPLORER.glob("*.js")}
STYLES = {path.name: path.read_text() for path in EXPLORER.glob("*.css")}
# A link that a reader may follow, which the licence of the charts asks for. Nothing is asked of it.
FOREIGN = '<a href="https://www.tradingview.com/" rel="noreferrer">https://www.tradingview.com/</a>'
LINES, LINES_OF_FUNCTION = 200, 50


def text_of(name: str) -> str:
    return page(name).body.decode()


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_puts_in_text_only_and_asks_nobody_else(name: str) -> None:
    """What strangers say may hold any markup; and what the page's rules forbid must not be tried either."""
    for way in (
        *("innerHTML", "outerHTML", "insertAdjacentHTML", "setHTML", "document.write", "createContextualFragment"),
        *(
            "DOMParser",
            "srcdoc",
            "eval(",
            "Function(",
            "javascript:",
            ".style",
            "http:",
            "https:",
            'make("script',
            'make("img',
        ),
    ):
        assert way not in SCRIPTS[name], way
    # An element's name is never what somebody has said.
    assert set(re.findall(r"createElement\(([^)]*)\)", SCRIPTS[name])) <= {"name", '"div"', '"dt"', '"dd"'}
    assert len(SCRIPTS[name].splitlines()) <= LINES
    assert max(len(line) for line in SCRIPTS[name].splitlines()) <= 190


def test_styles_ask_nobody() -> None:
    assert STYLES
    for text in STYLES.values():
        assert "url(" not in text and "@import" not in text


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_script_of_its_own_and_names_only_what_is_there(name: str) -> None:
    text = text_of(name)
    assert not re.search(r"\bstyle=|\bon\w+=|<script>|<style", text)
    assert not re.search(r"https?:", text.replace(FOREIGN, ""))
    ids = re.findall(r'id="([\w-]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([\w-]+)"|for="([\w-]+)"', text)) <= {
        pair for found in ids for pair in ((found, ""), ("", found))
    }
    wanted = re.findall(r'(?:place|say|facts|table|growing)\("([\w-]+)"', SCRIPTS[f"{name}.js"] + SCRIPTS["frame.js"])
    assert {each for each in wanted if not each.endswith("-")} <= set(ids), set(wanted) - set(ids)
    assert set(re.findall(r'href="(/[\w./-]*)"', text)) <= {path_of(each) for each in PAGES} | {
        *("/icon.svg", "/explorer/base.css", "/openapi.json", "/metrics", "/v1/status", "/vendor/LICENSE.txt")
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_a_title_a_heading_and_its_place_in_the_navigation(name: str) -> None:
    text = text_of(name)
    assert f"<title>{PAGES[name]} · NeuroShard</title>" in text and text.count("<h1>") in (1, 2)
    in_navigation = f'<li><a href="{path_of(name)}"' in text
    assert text.count('aria-current="page"') == in_navigation
    assert "TITLE" not in text and "BODY" not in text and "SCRIPT" not in text


def test_every_file_belongs_to_a_page_or_is_taken_by_one() -> None:
    assert {path.stem for path in (EXPLORER / "pages").iterdir()} == set(PAGES)
    taken = {found for text in SCRIPTS.values() for found in re.findall(r'from "\./([\w-]+)\.js"', text)}
    assert set(names_of(".js")) == set(PAGES) | taken
    for name, text in SCRIPTS.items():
        for names, module in re.findall(r'import \{([^}]*)\} from "\./([\w-]+\.js)"', text):
            for each in names.split(","):
                assert re.search(rf"export (async )?(const|function|class) {each.strip()}\b", SCRIPTS[module]), (
                    name,
                    each,
                )
                assert len(re.findall(rf"\b{each.strip()}\b", text)) > 1, f"{name} does not use {each.strip()}"


def test_the_libraries_licence_is_told_where_its_charts_are() -> None:
    text = text_of("licences")
    assert "Copyright © 2024 TradingView, Inc." in text and FOREIGN in text and "Apache License" in text
    assert "/licences.html" in SCRIPTS["charts.js"]
    assert "Version 2.0, January 2004" in (EXPLORER / "apache-2.0.txt").read_text()


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "home") as found:
        yield found


async def test_pages_scripts_styles_and_charts_are_served_packed_and_plain(served: Served) -> None:
    paths = [path_of(name) for name in PAGES] + [f"/explorer/{name}" for name in (*SCRIPTS, *STYLES)]
    for path in (*paths, "/vendor/lightweight-charts.js", "/vendor/LICENSE.txt"):
        plain = await served.ask(path, headers={"Accept-Encoding": "identity"})
        packed = await served.ask(path, headers={"Accept-Encoding": "gzip"})
        assert plain.status == packed.status == 200 and plain.body == packed.body  # the client unpacks it
        assert "Content-Encoding" not in plain.headers and packed.headers["Content-Encoding"] == "gzip"
        assert len(plain.body) < 500 or int(packed.headers["Content-Length"]) < len(plain.body) * 0.8
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert packed.headers["Content-Security-Policy"] == HEADERS["Content-Security-Policy"]


@pytest.mark.parametrize(
    "path",
    [
        *("/explorer/nothing.js", "/explorer/nothing.css", "/explorer/..%2Fpage_files.js", "/explorer/%2E%2E/frame.js"),
        *("/explorer/frame.html", "/explorer/apache-2.0.txt", "/nothing.html", "/frame.html", "/vendor/styles.css"),
    ],
)
async def test_no_other_file_is_served(served: Served, path: str) -> None:
    assert (await served.ask(path)).status in (400, 404)


def test_a_missing_chart_library_is_refused_with_words(monkeypatch: pytest.MonkeyPatch) -> None:
    page_files.charts.cache_clear()
    monkeypatch.setattr(page_files, "CHARTS", "no-such-package")
    with pytest.raises(Refusal, match="tables instead of charts"):
        page_files.charts()
    monkeypatch.undo()
    assert len(gzip.decompress(page_files.charts().packed)) == len(page_files.charts().body) > 100_000
