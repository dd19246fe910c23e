"""A real browser on a real node: which one is found, how it is started, and what it must never report."""

import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Playwright, Request, ViewportSize, async_playwright
from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WANTED = "NEUROSHARD_TEST_BROWSER"  # "must": no test of a browser may be left out
WIDE, PHONE = ViewportSize(width=1280, height=900), ViewportSize(width=390, height=844)
READ = "document.getElementById('chain')?.textContent !== '' && !document.querySelector('main[aria-busy]')"
Scheme = Literal["light", "dark"]
PATIENCE_MS, STEP_MS, CALM_MS = 20_000, 25, 100


def find_browser() -> str | None:
    """A Chromium of this machine, or the one that playwright has installed."""
    for name in NAMES:
        if (path := shutil.which(name)) is not None:
            return path
    with sync_playwright() as tools:
        own = tools.chromium.executable_path
    return own if Path(own).exists() else None


BROWSER = find_browser()


def is_left_out(found: str | None, environment: Mapping[str, str]) -> bool:
    return found is None and environment.get(WANTED) != "must"


needs_browser = pytest.mark.skipif(
    is_left_out(BROWSER, os.environ),
    reason="no Chromium was found: `make test-browser` installs one, or says what to do",
)


@asynccontextmanager
async def started(tools: Playwright) -> AsyncIterator[Browser]:
    assert BROWSER is not None, f"none of {', '.join(NAMES)} was found, nor one of playwright's own"
    browser = await tools.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
    try:
        yield browser
    finally:
        await browser.close()


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    async with async_playwright() as tools, started(tools) as browser:
        yield browser


class Visitor:
    """Who looks at pages of the explorer, and everything that a browser complained of meanwhile."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.open: set[str] = set()
        page.set_default_timeout(PATIENCE_MS)
        self._listeners: dict[Any, Callable[[Any], object]] = {
            "console": self._hear_console,
            "pageerror": lambda error: self.complaints.append(f"error: {error}"),
            "dialog": lambda dialog: self.complaints.append(f"dialog: {dialog.message}"),
            "request": self._hear_request,
            "requestfinished": lambda request: self.open.discard(request.url),
            "requestfailed": lambda request: self.open.discard(request.url),
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)

    async def leave(self) -> None:
        """Nothing of this visit is left for the next one."""
        await self.page.unroute_all(behavior="ignoreErrors")
        await self.page.goto("about:blank")
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _hear_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _hear_request(self, request: Request) -> None:
        self.asked.append(request.url)
        if not request.url.endswith("/v1/events"):  # an answer that does not end
            self.open.add(request.url)

    async def go(self, path: str) -> None:
        """Open a path and wait until the page shows what it has read. Another name behind # alone loads nothing."""
        await self.page.goto("about:blank")
        await self.page.goto(self.url + path)
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until the page has named its chain, was read, and has no question open, for a moment."""
        calm = 0
        for _ in range(PATIENCE_MS // STEP_MS):
            # Not by a function of the page: its rules let nobody evaluate text there.
            is_read = await self.page.evaluate(READ)
            calm = calm + 1 if is_read and not self.open else 0
            if calm * STEP_MS >= CALM_MS:
                return
            await self.page.wait_for_timeout(STEP_MS)
        raise AssertionError(f"{self.page.url} is still asking for {self.open}")

    async def until(self, selector: str, true_of: Callable[[str], bool]) -> str:
        """The text of an element as soon as it fits."""
        element = self.page.locator(selector)
        for _ in range(PATIENCE_MS // STEP_MS):
            text = await element.inner_text()
            if true_of(text):
                return text
            await self.page.wait_for_timeout(STEP_MS)
        raise AssertionError(f"{selector} still says {text!r}")

    async def facts(self, name: str) -> dict[str, str]:
        """A list of facts as the page shows it."""
        pairs = await self.page.locator(f"#{name} > div").all()
        return {await each.locator("dt").inner_text(): await each.locator("dd").inner_text() for each in pairs}

    async def rows(self, name: str) -> list[list[str]]:
        """A table as the page shows it."""
        script = "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
        found: list[list[str]] = await self.page.locator(f"#{name} tbody tr").evaluate_all(script)
        return found

    async def overflow(self) -> int:
        """How far the page can be scrolled sideways."""
        found: int = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return found


@asynccontextmanager
async def visiting(
    browser: Browser, url: str, viewport: ViewportSize = WIDE, color_scheme: Scheme = "light"
) -> AsyncIterator[Visitor]:
    """In the one tab of a browser. Fails if the browser complained, or if anybody but the node was asked."""
    if not browser.contexts:
        await (await browser.new_context(locale="en-GB", timezone_id="UTC")).new_page()
    page = browser.contexts[0].pages[0]
    await page.set_viewport_size(viewport)
    await page.emulate_media(color_scheme=color_scheme)
    visitor = Visitor(page, url)
    try:
        yield visitor
        assert visitor.complaints == []
        assert [each for each in visitor.asked if not each.startswith((url + "/", "about:"))] == []
    finally:
        await visitor.leave()
