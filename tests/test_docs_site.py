"""The pages hold together before anybody builds them: links, anchors, navigation, commands, quoted messages."""

import ast
import re
import shlex
import unicodedata
from collections import Counter
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import click
import pytest

from node.cli import cli
from tests.site_check import problems_of

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
# Drafts are for whoever merges them: no reader sees one.
PAGES = sorted(path for path in DOCS.rglob("*.md") if not path.name.startswith("draft-"))
SHOWN = [ROOT / "README.md", *PAGES]
SITE = (ROOT / "mkdocs.yml").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PACKAGES = ("chain", "consensus", "network", "node", "training", "wallet")

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


# ---- Commands


def blocks_of(page: Path) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [block for language, block in found if language in ("", "sh", "bash", "console")]


def commands_of(page: Path) -> list[list[str]]:
    """The words of each command in a page's blocks that is one of ours, without what a shell does around it."""
    found = []
    for block in blocks_of(page):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.match(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*((?:\.venv/bin/|\./)?(?:neuroshard|make|python)\b.*)", line)
            if command and not command[1].startswith(("neuroshard>", "neuroshard ·")):
                # [WORD] may be left out: that it is known is seen with all of them there.
                words = shlex.split(re.sub(r"[\[\]]", "", command[1]), comments=True)
                found.append(list(until_shell(words)))
    return found


def until_shell(words: list[str]):
    for word in words:
        if word in ("|", ">", ">>", "&&", ";", "&", "<"):
            return
        yield word


def wrong_with(words: list[str]) -> str | None:
    """What the command line has against these words; values of options are not looked at."""
    command: click.Command = cli
    context = click.Context(cli, info_name="neuroshard", **cli.context_settings)
    rest = words
    while True:
        if rest and rest[0] in ("-h", "--help"):
            return None
        try:
            given, rest, _ = command.make_parser(context).parse_args(list(rest))
        except click.UsageError as error:
            return str(error.format_message())
        if not isinstance(command, click.Group):
            missing = [p.name for p in command.params if isinstance(p, click.Argument) and p.required]
            missing = [name for name in missing if not isinstance(given.get(name), str | tuple) or not given[name]]
            return f"{rest} is too much" if rest else f"{missing} is missing" if missing else None
        if not rest:
            return None if command.invoke_without_command else "a command is missing"
        following = command.get_command(context, rest[0])
        if following is None:
            return f"{rest[0]} is no command"
        command, rest = following, rest[1:]
        context = click.Context(command, info_name=command.name, parent=context, **command.context_settings)


def wrong_with_make(words: list[str]) -> str | None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    variables = set(re.findall(r"^([A-Z_]+) :=", MAKEFILE, re.MULTILINE)) | {"PYTHON"}
    named = dict(word.split("=", 1) for word in words if "=" in word)
    wrong = [word for word in words if "=" not in word and word not in targets] + sorted(named.keys() - variables)
    if wrong:
        return f"{wrong} is not in the Makefile"
    return wrong_with(shlex.split(named["ARGS"])) if "run" in words and "ARGS" in named else None


def wrong_with_line(words: list[str]) -> str | None:
    program = words[0].rpartition("/")[2]
    if program == "make":
        return wrong_with_make(words[1:])
    if program == "python":
        module = words[words.index("-m") + 1] if "-m" in words else None
        return None if module is None or find_spec(module) else f"no module {module}"
    return wrong_with(words[1:])


@each_page
def test_every_command_that_a_page_shows_is_understood(page):
    wrong = {" ".join(words): wrong_with_line(words) for words in commands_of(page)}
    assert {line: why for line, why in wrong.items() if why} == {}


def test_commands_are_found_and_wrong_ones_are_told():
    assert sum(len(commands_of(page)) for page in SHOWN) > 30
    assert wrong_with(["status", "--json"]) is None
    assert wrong_with(["--until-round", "3"]) is None
    assert wrong_with(["generate", "The President"]) is None
    for words in (["statsu"], ["status", "--jsno"], ["generate"], ["status", "now"], ["archive"], ["--nothing"]):
        assert wrong_with(words), words
    assert wrong_with_make(["run", "ARGS=--until-round 3"]) is None
    for words in (["runn"], ["run", "ARG=--until-round"], ["run", "ARGS=--until-rond 3"]):
        assert wrong_with_make(words), words
    assert wrong_with_line(["python", "-m", "node.nothing"])


# ---- Messages


@cache
def texts_in_the_code() -> str:
    """All that the packages can say: each text with … for what is put in, one a line."""
    found = [MAKEFILE]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix == ".py":
                found += [text for node in ast.walk(ast.parse(path.read_text())) if (text := text_of(node))]
            elif path.suffix in (".js", ".html"):
                found.append(path.read_text())
    return "\n".join(" ".join(text.split()) for text in found)


def text_of(node: ast.AST) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join((text_of(value) or "") if isinstance(value, ast.Constant) else "…" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (text_of(left) or "…") + (text_of(right) or "…")
    return None


def messages_of(text: str) -> list[str]:
    """The first cells of tables whose head begins with "It says" or "The node says"."""
    found = []
    for table in re.findall(r"^\| (?:It|The node) says \|.*\n\|[-| ]+\n((?:\|.*\n)+)", text, re.MULTILINE):
        found += [row.split("|")[1].strip().strip("`") for row in table.splitlines()]
    return found


def is_said(message: str) -> bool:
    """Whether the code has this text; … stands for whatever is put in."""
    parts = [part.strip() for part in message.split("…")]
    pattern = r"[^\n]*?".join(re.escape(" ".join(part.split())) for part in parts)
    return re.search(pattern, texts_in_the_code()) is not None


QUOTED = [message for name in ("troubleshooting.md", "join.md") for message in messages_of((DOCS / name).read_text())]


@pytest.mark.parametrize("message", QUOTED)
def test_every_message_that_is_explained_is_said_by_the_code(message):
    assert len(message.replace("…", "").strip()) >= 12, "too little to be found by"
    assert is_said(message)


def test_a_message_that_nobody_says_is_told():
    assert len(QUOTED) > 60
    assert not is_said("the node is tired … and needs a rest")


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
