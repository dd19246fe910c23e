"""How soon the explorer is there and what it weighs, in a real browser on a real node.

`python -m bench.people_page`: a node of one trains on one thread until a curve can be drawn; each page is loaded in a
fresh browser context, so that nothing is cached. `--url` looks at a node that runs already.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright

from bench.figure import report
from tests.explorer.browser import find_browser

ROOT = Path(__file__).parents[1]
ROUNDS, PATIENCE_S = 3, 300.0
WEIGHT_GOAL = 500_000  # bytes of the home page as they are sent, charts included
SETTLED_MS = 1_500
# Everything that was loaded, when it was painted, how far it jumped, and the longest time that it did not listen.
MEASURED = """async () => {
  const seen = kind => new Promise(done => {
    const all = [];
    new PerformanceObserver(list => all.push(...list.getEntries())).observe({type: kind, buffered: true});
    setTimeout(() => done(all), 50);
  });
  const kinds = ["paint", "layout-shift", "longtask", "largest-contentful-paint"];
  const [paints, shifts, tasks, largest] = await Promise.all(kinds.map(seen));
  const loaded = ["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind));
  const files = loaded.filter(each => !each.name.includes("/v1/"));
  const sum = (list, of) => list.reduce((total, each) => total + of(each), 0);
  return {
    first_paint: paints.filter(each => each.name === "first-contentful-paint")[0].startTime,
    largest_paint: largest.length ? largest[largest.length - 1].startTime : null,
    sent: sum(loaded, each => each.transferSize), files: sum(files, each => each.transferSize),
    unpacked: sum(files, each => each.decodedBodySize), requests: loaded.length,
    shift: sum(shifts, each => each.hadRecentInput ? 0 : each.value),
    longest: Math.max(0, ...tasks.map(each => each.duration)),
  };
}"""


@contextmanager
def a_node() -> Iterator[str]:
    """A node of one that has trained some rounds; it goes on."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        command = [sys.executable, "-m", "node", "--data-dir", str(home), "--profile", "lab", "--threads", "1"]
        command += ["--device", "cpu", "--api", "127.0.0.1:0"]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not (url := _ready(home)):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the node has not trained: start one by hand and name it with --url")
                time.sleep(0.5)
            yield url
        finally:
            process.terminate()
            process.wait()


def _ready(home: Path) -> str | None:
    try:
        url = "http://" + str(json.loads((home / "api.json").read_text())["address"])
        return url if ask(url, "/v1/status")["closed_rounds"] > ROUNDS else None
    except (OSError, ValueError):
        return None


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(url + path, timeout=10) as answer:
        return json.load(answer)


def load(browser: Browser, address: str) -> dict[str, Any]:
    """One cold load."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, complaints = context.new_page(), 0

    def complained(_: object) -> None:
        nonlocal complaints
        complaints += 1

    page.on("pageerror", complained)
    page.on("console", lambda message: complained(message) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_timeout(SETTLED_MS)
    found: dict[str, Any] = page.evaluate(MEASURED)
    context.close()
    return found | {"complaints": complaints}


def faults_of(browser: Browser, address: str) -> int:
    """Violations that axe-core finds, of any weight, in both colour schemes."""
    count = 0
    for scheme in ("light", "dark"):
        page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(address)
        page.wait_for_timeout(SETTLED_MS)
        count += len(Axe().run(page).response["violations"])
        page.close()
    return count


def measure(browser: Browser, url: str, name: str, path: str, loads: int) -> None:
    seen = [load(browser, url + path) for _ in range(loads)]

    def middle(key: str) -> float:
        return statistics.median(float(each[key] or 0) for each in seen)

    is_home = name == "home"
    note = f"{middle('requests'):.0f} requests; {middle('unpacked'):.0f} bytes of files unpacked"
    report(f"page_{name}_first_paint", middle("first_paint"), "ms", note=f"middle of {loads} cold loads on loopback")
    report(f"page_{name}_largest_paint", middle("largest_paint"), "ms")
    report(f"page_{name}_weight", middle("sent"), "bytes sent", WEIGHT_GOAL if is_home else None, note)
    report(f"page_{name}_files", middle("files"), "bytes sent", note="without answers of the API")
    report(f"page_{name}_shift", middle("shift"), "layout shift", 0.1 if is_home else None)
    report(f"page_{name}_longest_task", middle("longest"), "ms")
    report(f"page_{name}_complaints", max(each["complaints"] for each in seen), "errors of the browser")
    report(f"page_{name}_faults", faults_of(browser, url + path), "violations found by axe-core")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench people_page", description=__doc__)
    parser.add_argument("--url", help="of a node that runs, for example http://127.0.0.1:8420")
    parser.add_argument("--loads", type=int, default=5)
    options = parser.parse_args(arguments)
    found = find_browser()
    if found is None:
        sys.exit("no Chromium was found: `make test-browser` installs one")
    if options.url:
        run(options.url.rstrip("/"), found, options.loads)
    else:
        with a_node() as url:
            run(url, found, options.loads)


def run(url: str, executable: str, loads: int) -> None:
    status = ask(url, "/v1/status")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        for name, path in (("home", "/"), ("wallet", f"/wallet.html#{status['address']}"), ("blocks", "/block.html")):
            measure(browser, url, name, path, loads)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
