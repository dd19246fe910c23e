"""Whatever strangers put into names and numbers stays text; whatever a node answers, a page says something.

The answers are those of a real node, whose texts are replaced on the way to a real browser.
"""

import json
from collections.abc import AsyncIterator
from functools import partial
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route

from node.api.page_files import PAGES
from tests.explorer.browser import PHONE, Visitor, needs_browser, visiting
from tests.explorer.paths import named_paths
from tests.node.served import Served, make_past, serving

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
TEXTS = (
    '<img src="x" onerror="window.hacked=1">',
    '"><script>window.hacked=1</script>',
    "javascript:window.hacked=1",
    "</td></tr></table><iframe srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "//evil.example/#",
    "\u202egnp.exe \x1b[31m \x00 \ufeff",
    "x" * 3_000,
    "'\"`&lt;b&gt;${window.hacked=1}{{hacked}}",
    "<svg onload=window.hacked=1>",
)
LOADING = [name for name in PAGES if name != "licences"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(tmp_path_factory.mktemp("explorer") / "home", past=partial(make_past, rounds=3)) as found:
        yield found


def poisoned(content: Any, turns: Any, keeps_numbers: bool, name: str = "") -> Any:
    """The same answer with other texts; amounts may stay, so that pages come further."""
    if isinstance(content, dict):
        return {key: poisoned(value, turns, keeps_numbers, key) for key, value in content.items()}
    if isinstance(content, list):
        return [poisoned(each, turns, keeps_numbers, name) for each in content]
    is_number = name.endswith("_nanos") or name in ("value", "day", "last_day")
    if not isinstance(content, str) or (keeps_numbers and is_number):
        return content
    return TEXTS[next(turns) % len(TEXTS)]


async def poison(route: Route, turns: Any, keeps_numbers: bool) -> None:
    if "/v1/events" in route.request.url:
        answer = await route.fetch(url=route.request.url.replace("events", "status"))
        status = json.dumps(poisoned(await answer.json(), turns, keeps_numbers))
        change = json.dumps({"height": 1, "changes": [{"kind": TEXTS[0]}, {"kind": "jailed", "wallet": TEXTS[1]}]})
        events = (("status", status), ("stake", change), ("block", "<b>"))
        body = "retry: 60000\n\n" + "".join(f"event: {kind}\ndata: {data}\n\n" for kind, data in events)
        await route.fulfill(content_type="text/event-stream", body=body)
        return
    answer = await route.fetch()
    await route.fulfill(response=answer, body=json.dumps(poisoned(await answer.json(), turns, keeps_numbers)))


LOOK = """() => ({
  hacked: window.hacked === undefined ? null : window.hacked,
  elements: document.querySelectorAll("body :is(img, script, iframe, svg, object, embed, style, link)").length,
  handlers: document.querySelectorAll("[onerror], [onload], [onclick], [style*='url']").length,
  targets: [...document.querySelectorAll("a")].map(link => link.href),
})"""


async def check_tame(visitor: Visitor, url: str) -> None:
    seen = await visitor.page.evaluate(LOOK)
    assert (seen["hacked"], seen["elements"], seen["handlers"]) == (None, 0, 0)
    foreign = [each for each in seen["targets"] if not each.startswith(url + "/")]
    assert foreign == [], foreign
    assert await visitor.overflow() <= 0


# The description of the API has no amounts.
@pytest.mark.parametrize(
    ("name", "keeps_numbers"),
    [
        *(pytest.param(name, True, id=f"{name}-texts") for name in LOADING),
        *(pytest.param(name, False, id=f"{name}-texts and amounts") for name in LOADING if name != "api"),
    ],
)
async def test_hostile_texts_stay_text(served: Served, browser: Browser, name: str, keeps_numbers: bool) -> None:
    path = (await named_paths(served, 3))[name]
    turns = count(len(name))
    async with visiting(browser, served.url, viewport=PHONE) as visitor:
        pattern = "**/openapi.json" if name == "api" else "**/v1/**"
        await visitor.page.route(pattern, lambda route: poison(route, turns, keeps_numbers))
        await visitor.go(path)
        await check_tame(visitor, served.url)
        # The markup was there, as text, unless the page could not show the answer, and said so.
        text = await visitor.page.locator("main").inner_text()
        assert any(each[:8] in text for each in TEXTS) or "cannot be shown" in text, text
        await visitor.page.locator("main details").evaluate_all("all => all.forEach(each => { each.open = true; })")
        await check_tame(visitor, served.url)
        # A node's id that is none cannot be asked for: the node refuses that.
        visitor.complaints = [each for each in visitor.complaints if "status of 400" not in each]


@pytest.mark.parametrize("body", ["[]", "null", "{}", '"x"', "<html>", '{"error": 5}', '{"error": {"message": {}}}'])
async def test_an_answer_of_another_form_is_told_in_words(served: Served, browser: Browser, body: str) -> None:
    paths = await named_paths(served, 3)
    status = 500 if "error" in body else 200
    async with visiting(browser, served.url) as visitor:
        await visitor.page.route("**/v1/**", lambda route: route.fulfill(status=status, body=body))
        await visitor.page.route("**/openapi.json", lambda route: route.fulfill(status=status, body=body))
        for name in ("index", "wallet", "validators", "api"):
            await visitor.page.goto(served.url + paths[name])
            assert await visitor.until("#trouble", bool)
            await visitor.page.goto("about:blank")
        known = ("Failed to load resource", "EventSource's response")
        visitor.complaints = [each for each in visitor.complaints if not any(words in each for words in known)]
