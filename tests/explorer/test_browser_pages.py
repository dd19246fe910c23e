"""Every page of the explorer in a real browser on a real node: facts, both colour schemes, a phone, assistive tools."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from axe_playwright_python.base import AXE_SCRIPT
from playwright.async_api import Browser, Route, ViewportSize

from chain.address import to_text
from node.api.page_files import PAGES
from tests.explorer.browser import PHONE, WANTED, WIDE, Scheme, needs_browser, visiting
from tests.explorer.paths import LISTS, named_paths
from tests.node.lone_node import IDENTITY
from tests.node.served import PAYEE, Served, address_of_secret, make_past, serving

pytestmark = [needs_browser, pytest.mark.asyncio(loop_scope="module")]
SERIOUS = ("serious", "critical")
# What another width and other colours can change.
QUICK = {"resultTypes": ["violations"], "iframes": False}
ON_A_PHONE = QUICK | {
    "runOnly": {"type": "rule", "values": ["color-contrast", "scrollable-region-focusable", "target-size"]}
}
# `make test-browser` looks at whole pages; `make test` takes the first rows of a long table for all, as one line of a
# script makes them.
FIRST_ROWS = json.dumps({"exclude": [["tbody tr:nth-child(n+5)"], ["main li:nth-child(n+5)"]]})
SEEN = "document" if os.environ.get(WANTED) == "must" else FIRST_ROWS
VIEWS: list[tuple[ViewportSize, Scheme, dict[str, Any]]] = [(WIDE, "light", QUICK), (PHONE, "dark", ON_A_PHONE)]
ROUNDS = 8  # more than a page of blocks


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    past = partial(make_past, rounds=ROUNDS)
    async with serving(tmp_path_factory.mktemp("explorer") / "home", past=past) as found:
        yield found


EVERY = [*PAGES, *(f"{name} list" for name in LISTS)]


@pytest.mark.parametrize("name", EVERY)
async def test_a_page_shows_no_fault_fits_a_phone_and_serves_assistive_tools(
    served: Served, browser: Browser, name: str
) -> None:
    path = (await named_paths(served, ROUNDS))[name]
    async with visiting(browser, served.url) as visitor:
        await visitor.go(path)
        page = visitor.page
        assert await page.locator("#trouble").is_hidden(), await page.locator("#trouble").inner_text()
        assert await page.locator("h1:visible").count() == 1
        opened = "list => list.slice(0, 4).forEach(each => { each.open = true; })"
        await page.locator("main details").evaluate_all(opened)
        await page.evaluate(AXE_SCRIPT)
        for viewport, scheme, rules in VIEWS:
            await page.set_viewport_size(viewport)
            await page.emulate_media(color_scheme=scheme)
            assert await visitor.overflow() <= 0, (name, viewport)
            found = await page.evaluate(f"axe.run({SEEN}, {json.dumps(rules)}).then(found => found.violations)")
            told = [(each["impact"], each["id"], each["nodes"][0]["html"]) for each in found]
            assert [each for each in told if each[0] in SERIOUS] == [], scheme


async def test_the_home_page_tells_what_the_status_says(served: Served, browser: Browser) -> None:
    status = await served.get("/v1/status")
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/")
        told = await visitor.facts("ledger")
        assert told["Height"] == f"{status['height']:,}" and told["Phase"].startswith(status["phase"])
        for name in ("minted", "burned", "circulating"):
            assert told[name.title()] == in_neuro(status[f"{name}_nanos"])
        assert told["This node's wallet"] == in_neuro(status["balance_nanos"])
        assert await visitor.page.locator("#chain").inner_text() == status["chain_id"][:12]
        assert (await visitor.facts("round-facts"))["Round"] == str(status["round"])
        assert await visitor.page.locator('#phases [aria-current="step"]').inner_text() == status["round_phase"]
        rounds = (await served.get("/v1/rounds?limit=10"))["rounds"]
        assert [row[0] for row in await visitor.rows("rounds")] == [str(each["round"]) for each in rounds]
        layers = (await served.get("/v1/layers"))["layers"]
        assert [row[0] for row in await visitor.rows("layers")] == [each["name"] for each in layers]


def in_neuro(nanos: str) -> str:
    whole, rest = divmod(int(nanos), 10**9)
    digits = f"{rest:09}"
    return f"{whole:,}.{digits[:2]}{digits[2:].rstrip('0')} NEURO"


async def test_the_loss_curve_is_drawn_and_its_numbers_are_there_as_a_table(served: Served, browser: Browser) -> None:
    losses = (await served.get("/v1/losses"))["losses"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/")
        drawing = visitor.page.locator("#curve .drawing")
        await drawing.locator("canvas").first.wait_for()
        name = await drawing.get_attribute("aria-label")
        assert name is not None and name.startswith(f"{losses[0]['validation_loss']:.3f} after round 0")
        assert await visitor.rows("curve details") == [
            [str(each["round"]), f"{each['validation_loss']:.3f}"] for each in losses
        ]
        # What is drawn is more than an empty sheet.
        shot = await drawing.screenshot()
        await visitor.page.emulate_media(color_scheme="dark")
        assert len(shot) > 2_000 and await drawing.screenshot() != shot


async def test_without_the_chart_library_the_numbers_are_open_as_a_table(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.page.route("**/vendor/**", lambda route: route.fulfill(status=404, body="{}"))
        await visitor.go("/")
        await visitor.page.locator("#curve table").wait_for()
        assert await visitor.page.locator("#curve .drawing").is_hidden()
        assert all("404" in each for each in visitor.complaints)
        visitor.complaints.clear()


async def test_a_transaction_is_told_in_words_and_leads_to_its_block_and_wallets(
    served: Served, browser: Browser
) -> None:
    own = served.node.address_text
    [newest] = (await served.get(f"/v1/accounts/{own}/transactions?limit=1"))["transactions"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go(f"/transaction.html#{newest['id']}")
        told = await visitor.facts("facts")
        assert told["What it does"] == "pays" and told["Amount"] == in_neuro(newest["action"]["amount_nanos"])
        await visitor.page.locator("#facts").get_by_role("link", name=str(newest["height"]), exact=True).click()
        await visitor.until("#name", lambda text: text == f"{newest['height']:,}")
        assert (await visitor.rows("transactions"))[0][0] == newest["id"][:10]


async def test_older_blocks_come_when_they_are_asked_for(served: Served, browser: Browser) -> None:
    height = (await served.get("/v1/status"))["height"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/block.html")
        assert [row[0] for row in await visitor.rows("blocks")] == [str(height - place) for place in range(20)]
        await visitor.page.get_by_role("button", name="Older blocks").click()
        # By the first column: other numbers of a row may be the same.
        await visitor.until(
            "#blocks", lambda text: any(line.split()[:1] == [str(height - 20)] for line in text.splitlines())
        )
        assert len(await visitor.rows("blocks")) == min(40, height)


async def test_older_blocks_stay_when_the_beginning_of_the_list_comes_late(served: Served, browser: Browser) -> None:
    height = (await served.get("/v1/status"))["height"]
    async with visiting(browser, served.url) as visitor:
        asked, goes_on = asyncio.Event(), asyncio.Event()

        async def late(route: Route) -> None:
            answer = await route.fetch()
            asked.set()
            await goes_on.wait()
            await route.fulfill(response=answer)

        await visitor.go("/block.html")
        await visitor.page.route("**/v1/blocks?limit=20", late)
        # As after an event: the newest are asked for again.
        await visitor.page.evaluate("dispatchEvent(new Event('hashchange'))")
        await asked.wait()
        await visitor.page.get_by_role("button", name="Older blocks").click()
        while len(await visitor.rows("blocks")) < min(40, height):
            await visitor.page.wait_for_timeout(50)
        goes_on.set()
        await visitor.quiet()
        assert len(await visitor.rows("blocks")) == min(40, height)


async def test_what_is_not_there_is_said_in_the_nodes_words(served: Served, browser: Browser) -> None:
    for path, words in (
        ("/block.html#99999", "there is no finalized block 99999"),
        ("/block.html#nonsense", "Which block?"),
        ("/round.html#99999", "round 99999 has not opened"),
        ("/transaction.html#" + 64 * "0", "no transaction"),
        ("/proof.html", "Which proof?"),
        (f"/proof.html#{ROUNDS}/ffff", "no node whose id begins with ffff"),
        ("/wallet.html#neuro1qqqqqqqq", "address"),
    ):
        async with visiting(browser, served.url) as visitor:
            await visitor.go(path)
            assert words in await visitor.until("#trouble", bool), path
            visitor.complaints = [each for each in visitor.complaints if "Failed to load resource" not in each]


async def test_without_scripts_a_page_says_where_the_facts_are(served: Served, browser: Browser) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(served.url)
    assert "/v1/status" in await page.locator("noscript").inner_text()
    await context.close()


async def test_a_wallet_shows_what_it_owns_and_earned_by_day_and_kind(served: Served, browser: Browser) -> None:
    own = served.node.address_text
    account = await served.get(f"/v1/accounts/{own}")
    total = (await served.get(f"/v1/accounts/{own}/earnings?days=30"))["total"]
    entries = (await served.get(f"/v1/accounts/{own}/history?limit=20"))["entries"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go(f"/wallet.html#{own}")
        told = await visitor.facts("facts")
        assert told["Balance"] == in_neuro(account["balance_nanos"])
        assert told["Vesting rewards"] == in_neuro(account["vesting_nanos"])
        assert [row[0] for row in await visitor.rows("vesting")] == [
            f"{each['round']:,}" for each in account["vesting"]
        ]
        for row in await visitor.rows("vesting"):
            assert re.fullmatch(r"\d+, in about ([369]0 s|[2-5] min [03]0? s)", row[3])
        earned = await visitor.facts("earned")
        assert earned["By training"] == in_neuro(total["training_nanos"])
        assert earned["Burned in fees"] == in_neuro(total["burned_nanos"])
        assert [row[2] for row in await visitor.rows("history")] == [each["kind"].replace("_", " ") for each in entries]
        assert len(await visitor.rows("earnings details")) == 30
        await visitor.page.get_by_role("button", name="90 days").click()
        await visitor.until("#days button[aria-pressed=true]", lambda text: text == "90 days")
        await visitor.quiet()
        assert len(await visitor.rows("earnings details")) == 90
        await visitor.page.locator("#earnings canvas").first.wait_for()


async def test_a_wallet_that_earned_nothing_is_told_so_without_a_chart(served: Served, browser: Browser) -> None:
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/")
        await visitor.page.locator("#ledger a").last.click()  # to one that has a chart
        await visitor.page.locator("#earnings canvas").first.wait_for()
        await visitor.page.evaluate(f"location.hash = '#{to_text(address_of_secret(PAYEE))}'")
        await visitor.until("#earned-from", lambda text: text == "Nothing was earned in these 30 days.")
        assert await visitor.page.locator("#earnings").is_hidden()
        await visitor.page.go_back()
        await visitor.page.locator("#earnings canvas").first.wait_for()


async def test_the_rich_list_tells_who_owns_most_first(served: Served, browser: Browser) -> None:
    accounts = (await served.get("/v1/rich-list"))["accounts"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/rich-list.html")
        rows = await visitor.rows("list")
        assert len(accounts) > 1 and [row[0] for row in rows] == [f"{each['rank']:,}" for each in accounts]
        for row, account in zip(rows, accounts, strict=True):
            assert row[2].replace(",", "").replace(".", "").lstrip("0") == account["total_nanos"].lstrip("0")
        await visitor.page.locator("#list a").first.click()
        await visitor.until("#address", lambda text: text == accounts[0]["address"])


async def test_a_node_is_known_by_the_first_digits_of_its_id(served: Served, browser: Browser) -> None:
    node = IDENTITY.node.hex()
    found = await served.get(f"/v1/nodes/{node}")
    async with visiting(browser, served.url) as visitor:
        await visitor.go(f"/node.html#{node[:6]}")
        assert (await visitor.facts("names"))["Wallet"] == found["wallet"]
        assert (await visitor.facts("facts"))["Proofs of work"] == f"{found['proofs']:,}"
        assert len(await visitor.rows("work")) == min(20, found["proofs"])


async def test_the_numbers_of_the_genesis_and_the_api_are_all_there(served: Served, browser: Browser) -> None:
    parameters = (await served.get("/v1/parameters"))["parameters"]
    paths = (await served.get("/openapi.json"))["paths"]
    async with visiting(browser, served.url) as visitor:
        await visitor.go("/parameters.html")
        rows = await visitor.rows("numbers")
        assert [row[0] for row in rows] == [each["name"] for each in parameters]
        assert [row[1].split(" = ")[0].replace(",", "") for row in rows] == [each["value"] for each in parameters]
        await visitor.go("/api.html")
        told = await visitor.page.locator(".operation > summary > .code").all_inner_texts()
        assert told == [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
        await visitor.page.get_by_text("GET /v1/status", exact=True).click()
        await visitor.page.get_by_role("cell", name="circulating_nanos").wait_for()
