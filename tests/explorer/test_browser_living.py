"""The explorer while its node goes on, stops and comes back; by keyboard, and by its search."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Route

from node.api.server import Api
from tests.explorer.browser import PHONE, needs_browser, visiting
from tests.node.lone_node import IDENTITY
from tests.node.served import WIDE, Served, serving

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]

FOCUSED = """(() => {
  const at = document.activeElement, look = getComputedStyle(at), box = at.getBoundingClientRect();
  return [at.outerHTML.slice(0, 90), look.outlineStyle, parseFloat(look.outlineWidth), box.width];
})()"""


@pytest_asyncio.fixture(loop_scope="module")
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path / "home") as found:
        yield found


async def test_blocks_come_by_themselves_and_leave_the_keyboard_where_it_was(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/")
        await visitor.until("#state", lambda text: text == "The node is running; live.")
        before = int((await visitor.facts("ledger"))["Height"])
        link = visitor.page.locator("#rounds tbody tr:nth-child(2) a")
        name = await link.get_attribute("href")
        await link.focus()
        questions = len(visitor.asked)
        async with served.blocks():
            await visitor.until("#blocks tbody tr:first-child td:first-child", lambda text: int(text) > before)
        # By the stream: the page itself was not loaded again, and the list was.
        later = visitor.asked[questions:]
        assert f"{served.url}/" not in later and f"{served.url}/v1/blocks?limit=10" in later
        assert await visitor.page.evaluate("document.activeElement.getAttribute('href')") == name


async def test_a_node_that_stops_is_told_and_so_is_its_return(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/validators.html")
        await visitor.until("#state", lambda text: text.endswith("live."))
        await served.api.stop()
        await visitor.until("#state", lambda text: text == "The node does not answer. Is it running?")
        assert await visitor.page.locator("#state").get_attribute("data-live") == "no"
        # What was read stays on the page.
        assert len(await visitor.rows("validators")) == 1
        again = Api(served.node, served.node.home.directory, served.api.desk.control, WIDE)
        await again.start(served.address)
        try:
            await visitor.until("#state", lambda text: text.endswith("live."))
        finally:
            await visitor.page.goto("about:blank")
            await again.stop()
        assert all("Failed to load" in each or "net::" in each for each in visitor.complaints)
        visitor.complaints.clear()


async def test_the_way_past_the_navigation_and_every_stop_of_the_keyboard_can_be_seen(
    served: Served, browser: Browser
) -> None:
    block = "/block.html#3"
    async with visiting(browser, served.url) as visitor:
        await visitor.go(block)
        keyboard, page = visitor.page.keyboard, visitor.page
        await keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.id") == "skip"
        box = await page.locator("#skip").bounding_box()
        assert box is not None and box["y"] >= 0
        await keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        # The name of what is shown has not become another.
        assert page.url.endswith(block)
        seen = set()
        for _ in range(25):
            await keyboard.press("Tab")
            found = await page.evaluate(FOCUSED)
            if found[0].startswith("<body"):
                break
            assert found[1] == "solid" and found[2] >= 2 and found[3] > 0, found
            seen.add(found[0])
        assert len(seen) >= 8


async def test_a_search_leads_to_what_it_can_only_mean_and_else_asks_which(served: Served, browser: Browser) -> None:
    own, node = served.node.address_text, IDENTITY.node.hex()
    height = (await served.get("/v1/status"))["height"]
    async with visiting(browser, served.url, viewport=PHONE) as visitor:
        for word, path in (
            (own, f"/wallet.html#{own}"),
            (f"  {height} ", f"/block.html#{height}"),
            ((await served.get("/v1/blocks/2"))["hash"], "/block.html#2"),
        ):
            await visitor.go("/parameters.html")
            await visitor.page.locator("#wanted").fill(word)
            await visitor.page.keyboard.press("Enter")
            await visitor.page.wait_for_url(served.url + path)
            await visitor.quiet()
        await visitor.go("/")
        await visitor.page.locator("#wanted").fill("2")
        await visitor.page.get_by_role("button", name="Find").click()
        await visitor.until("#found", lambda text: "block 2" in text and "round 2" in text)
        await visitor.page.locator("#wanted").fill("no such thing")
        await visitor.page.keyboard.press("Enter")
        assert await visitor.until("#found", lambda text: "2" not in text)
        await visitor.page.locator("#wanted").fill(node[:8])
        await visitor.page.keyboard.press("Enter")
        await visitor.page.wait_for_url(lambda url: url.startswith(served.url + "/") and "#" in url)
        await visitor.quiet()
        assert all("400" in each for each in visitor.complaints), visitor.complaints
        visitor.complaints.clear()


async def test_another_name_behind_the_address_shows_another_thing_without_loading_the_page(
    served: Served, browser: Browser
) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/block.html#3")
        await visitor.page.get_by_role("link", name="block 4").click()
        await visitor.until("#name", lambda text: text == "4")
        await visitor.page.go_back()
        await visitor.until("#name", lambda text: text == "3")
        await visitor.page.get_by_role("link", name="All blocks").click()
        await visitor.until("h1:visible", lambda text: text == "Blocks")


async def test_a_page_that_nobody_looks_at_leaves_its_stream_to_others(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/validators.html")
        await visitor.until("#state", lambda text: text.endswith("live."))
        assert served.api.desk.streams.present == 1
        hide = """is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});
            document.dispatchEvent(new Event('visibilitychange')); }"""
        await visitor.page.evaluate(hide, True)
        # The node learns of it when it next writes.
        async with served.blocks():
            while served.api.desk.streams.present:
                await visitor.page.wait_for_timeout(50)
            # Seen twice, it has one stream.
            for _ in range(2):
                await visitor.page.evaluate(hide, False)
                await visitor.until("#state", lambda text: text.endswith("live."))
            while served.api.desk.streams.present != 1:
                await visitor.page.wait_for_timeout(50)


async def test_an_answer_that_comes_late_does_not_cover_what_is_asked_for_since(
    served: Served, browser: Browser
) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/round.html#2")
        await visitor.until("#name", lambda text: text == "2")

        async def late(route: Route) -> None:
            answer = await route.fetch()
            await asyncio.sleep(0.5)
            await route.fulfill(response=answer)

        await visitor.page.route("**/v1/rounds/3", late)
        await visitor.page.evaluate("location.hash = '#3'")
        await visitor.page.wait_for_timeout(100)
        await visitor.page.evaluate("location.hash = '#1'")
        await visitor.page.wait_for_timeout(1_000)
        await visitor.until("#name", lambda text: text == "1")


async def test_a_node_of_another_chain_at_the_same_address_is_shown_afresh(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/block.html#3")
        await visitor.until("#state", lambda text: text.endswith("live."))
        await visitor.until("#chain", lambda text: len(text) == 12)
        # Another chain has been here before, as far as this page knows.
        change = "showChain({chain_id: 'ab'.repeat(32)})"
        async with visitor.page.expect_event("load"):
            await visitor.page.evaluate(f"() => {{ import('/explorer/frame.js').then(made => made.{change}); }}")
        await visitor.until("#name", lambda text: text == "3")


async def test_what_has_not_changed_stays_as_it_is_and_can_be_marked_and_copied(
    served: Served, browser: Browser
) -> None:
    own = served.node.address_text
    async with visiting(browser, served.url) as visitor:
        await visitor.go(f"/wallet.html#{own}")
        await visitor.until("#state", lambda text: text.endswith("live."))
        marked = "getSelection().selectAllChildren(document.getElementById('address')), String(getSelection())"
        assert await visitor.page.evaluate(f"({marked})") == own
        before = (await visitor.facts("facts"))["As of height"]
        async with served.blocks():
            while (await visitor.facts("facts"))["As of height"] == before:
                await visitor.page.wait_for_timeout(50)
        assert await visitor.page.evaluate("String(getSelection())") == own
