"""What an audit of a web page asks, offline: each page of the explorer in a real browser, on a phone and on a desk.

`python -m bench.people_checks [--url http://127.0.0.1:8420]`: for each check how many pages fail it, and which. The
bounds of time are Lighthouse's for a good mark. The home page is also loaded as on a slow phone far away.
"""

import argparse
import re
import sys
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Response, sync_playwright

from bench.figure import report
from bench.people_page import a_node, ask
from node.api.page_files import PAGES, path_of
from tests.explorer.browser import PHONE, WIDE, find_browser

SETTLED_MS = 1_500
SMALL_BYTES = 1_400  # one packet: packing would save nothing
ANSWERS = ("/v1/", "/openapi.json")  # of the API; everything else is a file
PAINT_MS, LARGEST_MS, BLOCKING_MS, SHIFT, ELEMENTS, SMALLEST_PX = 1_800, 2_500, 200, 0.1, 1_400, 12
# As Lighthouse does to measure for phones: a fast 3G network at a distance, a processor a quarter as fast.
SLOW_NET = {"offline": False, "latency": 562.5, "downloadThroughput": 184_320, "uploadThroughput": 84_375}
SLOW_PROCESSOR = 4
SLOW_LOADS, SLOW_SETTLED_MS = 3, 15_000
SEEN = """async () => {
  const seen = kind => new Promise(done => {
    const all = [];
    new PerformanceObserver(list => all.push(...list.getEntries())).observe({type: kind, buffered: true});
    setTimeout(() => done(all), 50);
  });
  const kinds = ["paint", "layout-shift", "longtask", "largest-contentful-paint"];
  const [paints, shifts, tasks, largest] = await Promise.all(kinds.map(seen));
  const sum = (list, of) => list.reduce((total, each) => total + of(each), 0);
  const attribute = (selector, name) => document.querySelector(selector)?.getAttribute(name) ?? "";
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let letters = 0, small = 0;
  while (texts.nextNode()) {
    const {textContent, parentElement} = texts.currentNode;
    if (!textContent.trim() || !parentElement.checkVisibility()) continue;
    letters += textContent.trim().length;
    if (parseFloat(getComputedStyle(parentElement).fontSize) < SMALLEST) small += textContent.trim().length;
  }
  return {
    paint: paints.find(each => each.name === "first-contentful-paint")?.startTime ?? Infinity,
    largest: largest.at(-1)?.startTime ?? 0,
    blocking: sum(tasks, each => Math.max(0, each.duration - 50)),
    shift: sum(shifts, each => each.hadRecentInput ? 0 : each.value),
    elements: document.getElementsByTagName("*").length,
    small: letters ? small / letters : 0,
    sideways: document.documentElement.scrollWidth - innerWidth,
    title: document.title, lang: document.documentElement.lang, doctype: document.doctype?.name ?? "",
    charset: document.characterSet, viewport: attribute("meta[name=viewport]", "content"),
    headings: [...document.querySelectorAll("h1")].filter(each => each.checkVisibility()).length,
    mute: [...document.querySelectorAll("a, button, input, select")].filter(each => each.checkVisibility() &&
      !(each.textContent.trim() || each.labels?.length || each.getAttribute("aria-label"))).length,
  };
}""".replace("SMALLEST", str(SMALLEST_PX))
Found = dict[str, Any]


class Visit:
    """One page, loaded cold, and what came over the network meanwhile."""

    def __init__(self, browser: Browser, url: str, path: str, phone: bool) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.answers: list[Response] = []
        touch = {"has_touch": True, "is_mobile": True, "device_scale_factor": 3} if phone else {}
        self.context = browser.new_context(viewport=PHONE if phone else WIDE, **touch)  # type: ignore[arg-type]
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda each: self.complaints.append(each.text) if each.type != "log" else None)
        self.page.on("response", self._hear)
        self.page.goto(url + path)
        self.page.wait_for_timeout(SETTLED_MS)
        self.found: Found = self.page.evaluate(SEEN)

    def _hear(self, answer: Response) -> None:
        self.answers.append(answer)

    def axe(self, scheme: str) -> list[str]:
        self.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        options = {"rules": {"target-size": {"enabled": True}}}
        return [each["id"] for each in Axe().run(self.page, options=options).response["violations"]]


def of_document(found: Found, title_is_new: bool) -> dict[str, bool]:
    """What must be true of the page itself."""
    viewport = found["viewport"].replace(" ", "")
    return {
        "doctype": found["doctype"] == "html",
        "charset": found["charset"] == "UTF-8",
        "lang": found["lang"] != "",
        "title": found["title"] != "" and title_is_new,
        "viewport": "width=device-width" in viewport and not re.search("user-scalable=no|maximum-scale", viewport),
        "one_heading": found["headings"] == 1,
        "named_controls": found["mute"] == 0,
        "no_sideways_scrolling": found["sideways"] <= 0,
        "legible_text": found["small"] <= 0.4,
        "few_elements": found["elements"] <= ELEMENTS,
        "first_paint": found["paint"] <= PAINT_MS,
        "largest_paint": found["largest"] <= LARGEST_MS,
        "blocking_time": found["blocking"] <= BLOCKING_MS,
        "layout_shift": found["shift"] <= SHIFT,
    }


def of_network(visit: Visit) -> dict[str, bool]:
    """What must be true of everything that was loaded. An answer has a word on keeping it, be it that nobody may."""
    heads = [each.headers for each in visit.answers]
    large = [each for each in visit.answers if int(each.headers.get("content-length", 0)) > SMALL_BYTES]
    unpacked = [each.url.removeprefix(visit.url) for each in large if each.headers.get("content-encoding") != "gzip"]
    first = heads[0] if heads else {}
    return {
        "no_external_request": all(each.url.startswith(visit.url + "/") for each in visit.answers),
        "no_failed_request": all(each.status < 400 for each in visit.answers),
        "files_compressed": all(path.startswith(ANSWERS) for path in unpacked),
        "answers_compressed": not any(path.startswith(ANSWERS) for path in unpacked),
        "cache_rule": all("cache-control" in head for head in heads),
        "content_policy": "default-src" in first.get("content-security-policy", ""),
        "no_sniffing": all(head.get("x-content-type-options") == "nosniff" for head in heads),
        "no_complaint": visit.complaints == [],
    }


def checked(visit: Visit, title_is_new: bool) -> dict[str, bool]:
    faults = {scheme: visit.axe(scheme) for scheme in ("light", "dark")}
    every = [fault for found in faults.values() for fault in found]
    return {
        **of_document(visit.found, title_is_new),
        **of_network(visit),
        "contrast_light": "color-contrast" not in faults["light"],
        "contrast_dark": "color-contrast" not in faults["dark"],
        "tap_targets": "target-size" not in every,
        "axe_otherwise": not set(every) - {"color-contrast", "target-size"},
    }


def places(url: str) -> Iterator[tuple[str, str]]:
    """Every page, with something that is there behind its #."""
    status = ask(url, "/v1/status")
    own, last = status["address"], max(1, status["closed_rounds"])
    [newest, *_] = ask(url, f"/v1/accounts/{own}/transactions?limit=1")["transactions"]
    [node, *_] = ask(url, f"/v1/accounts/{own}/nodes")["nodes"]
    names = {
        "round": last,
        "block": status["height"],
        "transaction": newest["id"],
        "proof": f"{last}/{node['node']}",
        "wallet": own,
        "node": node["node"],
    }
    for name in PAGES:
        yield name, path_of(name) + (f"#{names[name]}" if name in names else "")


def all_checks(browser: Browser, url: str) -> None:
    """How many loads fail each check; a load is a page on a phone, or on a desk."""
    failed: dict[str, list[str]] = defaultdict(list)
    titles: set[str] = set()
    worst: dict[str, float] = defaultdict(float)
    loads = 0
    for name, path in places(url):
        for phone in (True, False):
            visit = Visit(browser, url, path, phone)
            where = f"{name} on a {'phone' if phone else 'desk'}"
            for check, holds in checked(visit, not phone or visit.found["title"] not in titles).items():
                failed[check] += [] if holds else [where]
            titles.add(visit.found["title"])
            for key in ("paint", "largest", "blocking", "shift"):
                worst[key] = max(worst[key], visit.found[key])
            visit.context.close()
            loads += 1
    for check, where in failed.items():
        report(f"check_{check}", len(where), "loads that fail", note=", ".join(where) or f"none of {loads}")
    passed = sum(not where for where in failed.values())
    report("checks_passed", passed, "checks", len(failed), f"{loads} loads, {len(PAGES)} pages")
    for key, name, unit, bound in (
        ("paint", "first_paint", "ms", PAINT_MS),
        ("largest", "largest_paint", "ms", LARGEST_MS),
        ("blocking", "blocking_time", "ms", BLOCKING_MS),
        ("shift", "layout_shift", "layout shift", SHIFT),
    ):
        report(f"worst_{name}", worst[key], unit, bound, f"worst of {loads} cold loads")


def icon(url: str) -> None:
    """Browsers ask for it on their own; headless ones do not."""
    try:
        with urllib.request.urlopen(f"{url}/favicon.ico", timeout=10) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    report("check_icon_status", status, "HTTP status", note="of /favicon.ico; 404 is a line in the browser's console")


def slow_phone(browser: Browser, url: str) -> None:
    """The home page on Lighthouse's slow phone."""
    seen: list[Found] = []
    for _ in range(SLOW_LOADS):
        context = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True)  # type: ignore[arg-type]
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW_NET)
        session.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_PROCESSOR})
        page.goto(url, wait_until="commit")
        page.wait_for_timeout(SLOW_SETTLED_MS)
        seen.append(page.evaluate(SEEN))
        context.close()
    for key, name, bound in (("paint", "first_paint", PAINT_MS), ("largest", "largest_paint", LARGEST_MS)):
        middle = sorted(each[key] for each in seen)[len(seen) // 2]
        report(f"slow_phone_{name}", middle, "ms", bound, f"home, 563 ms a request, 1.5 Mbit/s; middle of {SLOW_LOADS}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.people_checks", description=__doc__)
    parser.add_argument("--url", help="of a node that runs, for example http://127.0.0.1:8420")
    options = parser.parse_args(arguments)
    found = find_browser()
    if found is None:
        sys.exit("no Chromium was found: `make test-browser` installs one")
    if options.url:
        run(options.url.rstrip("/"), found)
    else:
        with a_node() as url:
            run(url, found)


def run(url: str, executable: str) -> None:
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        all_checks(browser, url)
        icon(url)
        slow_phone(browser, url)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
