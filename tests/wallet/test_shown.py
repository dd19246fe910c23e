"""What commands print: whole where it is copied, harmless wherever it comes from."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from wallet.commands.parts import facts, table, verbatim, words
from wallet.folder import WalletFolder
from wallet.messages import read_block, sign_message
from wallet.registry import find
from wallet.session import Session
from wallet.terminal import Terminal

EVIL = "\x1b]0;evil\x07\x1b[2J\x1b[31mred\x9b31m\u202e\u200b"


def printed(show, width=80):
    page = StringIO()
    show(Console(file=page, width=width, force_terminal=False, highlight=False, markup=False, emoji=False))
    return page.getvalue()


def is_harmless(page):
    return all(line.isprintable() for line in page.split("\n"))


@given(st.text(max_size=200) | st.text(st.sampled_from(EVIL), max_size=50), st.integers(20, 100))
def test_no_text_steers_the_terminal_whatever_shows_it(text, width):
    shows = (words(text), facts([(text, text)], text), table(("a",), [(text,)], text), table(("a",), [], empty=text))
    for show in shows:
        assert is_harmless(printed(show, width))


def test_what_is_copied_is_not_broken_by_the_program():
    assert printed(verbatim("x" * 500), width=40) == "x" * 500 + "\n"


@pytest.fixture
def session(tmp_path, cheap):
    WalletFolder(tmp_path).create(None, "hunter2 hunter2")
    return Session(tmp_path, Terminal(), password=lambda: "hunter2 hunter2")


def test_a_signed_text_can_be_copied_from_a_narrow_terminal(session):
    page = printed(find("sign").call({"text": "I hold this address."}, session).show, width=40)
    assert read_block(page).text == "I hold this address."


def test_a_strangers_signed_text_steers_nothing_when_it_is_verified(session, tmp_path):
    (tmp_path / "letter").write_text(sign_message(EVIL, b"\x01" * 32).to_block(), newline="")
    answer = find("verify").call({"file": str(tmp_path / "letter")}, session)
    assert is_harmless(printed(answer.show)) and answer.content["text"] == EVIL


def test_a_text_that_would_steer_the_terminal_is_signed_for_programs_only(session):
    answer = find("sign").call({"text": EVIL}, session)
    assert "--json" in printed(answer.show) and is_harmless(printed(answer.show))
    assert read_block(answer.content["block"]).text == EVIL
