"""The pages hold together before anybody builds them: links, anchors, lists, navigation, and what is built."""

import re
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests.site_check import problems_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Drafts are for whoever merges them: no reader sees one.
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.name.startswith("draft-"))
SHOWN = [ROOT / "README.md", *PAGES]
SITE = (ROOT / "mkdocs.yml").read_text()

each_page = pytest.mark.parametrize("page", SHOWN, ids=lambda path: str(path.relative_to(ROOT)))


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


# ---- Links and anchors


def words_of_heading(heading: str) -> str:
    """What of a heading is read: its text without code marks, bold and links."""
    return re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip()


def anchor_on_the_site(heading: str) -> str:
    plain = unicodedata.normalize("NFKD", words_of_heading(heading)).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def anchor_in_a_repository(heading: str) -> str:
    kept = re.sub(r"[^\w\s-]", "", words_of_heading(heading)).strip().lower()
    return kept.replace(" ", "-")


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Anchors that are the same on the site and where the file is read in a repository, each there once."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    times = Counter(map(anchor_on_the_site, headings))
    both = {anchor_on_the_site(each) for each in headings if anchor_on_the_site(each) == anchor_in_a_repository(each)}
    return frozenset(anchor for anchor in both if times[anchor] == 1)


@each_page
def test_every_link_leads_to_a_page_and_an_anchor(page):
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"https?:|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_no_page_of_the_site_leads_out_of_it(page):
    links = re.findall(r"\]\(((?!https?:)[^)#\s]+)", without_code(page.read_text()))
    assert [link for link in links if not (page.parent / link).resolve().is_relative_to(DOCS)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(DOCS)))
def test_a_list_stands_apart_from_the_paragraph_before_it(page):
    """The site's Markdown makes a list only after an empty line, where others need none."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    lines = text.splitlines()
    listed = re.compile(r"(?:[-*]|\d+\.) ")
    stuck = [
        line
        for before, line in pairwise(lines)
        if listed.match(line) and before.strip() and not listed.match(before) and not before.startswith(" ")
    ]
    assert stuck == []


@pytest.mark.parametrize("heading", ["A node's round", "5. Sizes: `--peer`", "Über *alles* [there](x.md)"])
def test_anchors_have_no_marks(heading):
    assert not set(anchor_on_the_site(heading)) & set("`*[]()':.")


# ---- Navigation


def pages_in_navigation() -> list[str]:
    return re.findall(r":\s+(\S+\.md)$", SITE, re.MULTILINE)


def test_every_page_stands_in_the_navigation_once():
    assert sorted(pages_in_navigation()) == sorted(str(page.relative_to(DOCS)) for page in PAGES)


def test_every_page_of_ours_begins_with_its_one_title():
    for page in PAGES:
        text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert "results" in page.parts or text.startswith("# "), page
        assert len(re.findall(r"^# ", text, re.MULTILINE)) <= 1, page


# ---- The built site


@pytest.mark.parametrize(
    ("page", "wrong"),
    [
        ('<a href="b.html#there">b</a>', []),
        ('<a href="c.html">c</a>', ["leads to c.html"]),
        ('<a href="b.html#nowhere">b</a>', ["an anchor that is not there"]),
        ('<a href="https://example.org/">out</a>', []),
        ('<script src="https://example.org/x.js"></script>', ["loads https://example.org/x.js"]),
        ('<link rel="stylesheet" href="//example.org/x.css">', ["loads //example.org/x.css"]),
        ('<link rel="preconnect" href="https://example.org">', ["loads https://example.org"]),
    ],
)
def test_what_is_wrong_with_a_built_site_is_told(tmp_path, page, wrong):
    policy = """<meta http-equiv="Content-Security-Policy" content="default-src 'self'">"""
    (tmp_path / "a.html").write_text(policy + page)
    (tmp_path / "b.html").write_text(policy + '<p id="there">')
    found = problems_of(tmp_path)
    assert len(found) == len(wrong)
    assert all(part in each for part, each in zip(wrong, found, strict=True))


def test_a_built_page_without_a_policy_or_no_page_at_all_is_told(tmp_path):
    assert problems_of(tmp_path)
    (tmp_path / "a.html").write_text("<p>text")
    assert "policy" in problems_of(tmp_path)[0]


def test_the_theme_asks_for_nothing_from_other_hosts():
    assert re.search(r"^  font: false$", SITE, re.MULTILINE)
    assert "default-src 'self'" in (DOCS / "theme" / "main.html").read_text()
