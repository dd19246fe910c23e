"""What the pages tell somebody to type is understood, what they ask of the API is served, what they quote is said."""

import ast
import re
import shlex
from functools import cache
from importlib.util import find_spec
from itertools import takewhile
from pathlib import Path

import click
import pytest

from bench.__main__ import NAMES
from node.api.routes import ROUTES
from node.cli import cli
from tests.test_docs_site import DOCS, ROOT, SHOWN, each_page

MAKEFILE = (ROOT / "Makefile").read_text()
PACKAGES = ("chain", "consensus", "network", "node", "training", "wallet")


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


def options_of(command: click.Command) -> set[str]:
    found = {flag for each in command.params if isinstance(each, click.Option) for flag in each.opts}
    found |= {flag for each in command.params if isinstance(each, click.Option) for flag in each.secondary_opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        below = [command.get_command(context, name) for name in command.list_commands(context)]
        found = found.union(*(options_of(each) for each in below if each))
    return found


# Notebooks of measurements, and tools of developers that have options of their own.
OTHERS_OPTIONS = ("lab.md", "simulator.md")


@each_page
def test_what_a_line_of_text_names_in_code_exists(page):
    """Options of ours, commands of ours as far as they are written out, and benchmarks."""
    codes = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL))
    ours = [code for code in codes if "bench " not in code and "TORCH_ARGS" not in code]
    flags = {flag for code in ours for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)}
    unknown = set() if page.name in OTHERS_OPTIONS else flags - options_of(cli) - {"--help"}
    unknown |= {name for code in codes for name in re.findall(r"-m bench ([a-z_]+)", code)} - NAMES.keys()
    for code in ours:
        if code.startswith("neuroshard "):
            wrong = wrong_with(list(takewhile(re.compile("[a-z][a-z-]*").fullmatch, code.split()[1:])))
            unknown |= {code} if wrong and "missing" not in wrong else set()
    assert unknown == set()


@each_page
def test_every_address_of_the_api_that_a_page_shows_is_served(page):
    patterns = [re.sub(r"\{\w+\}", "[^/]+", route.path) for route in ROUTES]
    shown = re.findall(r"8420(/[\w/{}.-]*)|`(?:GET |POST )?(/v1/[\w/{}.-]+)", page.read_text())
    paths = [path.rstrip(".") for found in shown for path in found if path]
    assert [path for path in paths if not any(re.fullmatch(pattern, path) for pattern in patterns)] == []


@each_page
def test_every_python_block_of_a_page_is_a_program(page):
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        ast.parse(block)


# ---- Messages


@cache
def texts_in_the_code() -> str:
    """All that the packages can say, one text a line: … for what is put in, without the marks of code."""
    found = [MAKEFILE]
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            if path.suffix == ".py":
                found += [text for node in ast.walk(ast.parse(path.read_text())) if (text := text_of(node))]
            elif path.suffix in (".js", ".html"):
                found.append(path.read_text())
    return "\n".join(" ".join(text.replace("`", "").split()) for text in found)


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
