"""A line while it is typed: what its words are taken for, their colours, and what may come next."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from chain.address import to_text
from wallet import line as typed
from wallet.kinds import FLAG, Amount, AmountOrAll, ChoiceKind, Payee, TextKind
from wallet.registry import Answer, Command, commands
from wallet.repl.completer import LineCompleter
from wallet.repl.lexer import LineLexer
from wallet.repl.reading import read
from wallet.repl.words import split
from wallet.session import Session
from wallet.terminal import Terminal

ADDRESS = to_text(bytes([0, *[7] * 20]))
NAMES = {"alice": bytes([0, *[1] * 20]), "old savings": bytes([0, *[2] * 20])}


class Named(Session):
    """A session with names."""

    def names(self):
        return NAMES


def send(
    session: Session,
    payee: Payee,
    amount: AmountOrAll,
    *,
    tip: Amount | None = None,
    dry: Annotated[bool, FLAG] = False,
) -> Answer:
    raise AssertionError


def note(session: Session, texts: Annotated[tuple[str, ...], TextKind("TEXT", "words"), "several"]) -> Answer:
    raise AssertionError


def switch(session: Session, state: Annotated[str | None, ChoiceKind("on", "off")] = None) -> Answer:
    raise AssertionError


KNOWN = {
    run.__name__: Command(run.__name__, f"What {run.__name__} does.", "money", (run.__name__,), run)
    for run in (send, note, switch)
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    found = Named(tmp_path_factory.mktemp("lines"), Terminal())
    found.seen.balance_nanos = 3_000_000_000
    return found


def offered(session, before, after=""):
    document = Document(before + after, len(before))
    found = LineCompleter(session, KNOWN).get_completions(document, CompleteEvent())
    return [before[: len(before) + each.start_position] + each.text for each in found]


def coloured(session, line):
    fragments = LineLexer(session, KNOWN).lex_document(Document(line))(0)
    assert "".join(text for _, text, *_ in fragments) == line
    return [(style.removeprefix("class:line."), text) for style, text, *_ in fragments if text.strip()]


# ---- Completion


def test_commands_are_offered_with_their_summary(session):
    found = list(LineCompleter(session, KNOWN).get_completions(Document("s"), CompleteEvent()))
    assert [(each.text, each.display_meta_text) for each in found] == [
        ("send", "What send does."),
        ("switch", "What switch does."),
    ]


def test_names_and_amounts_are_offered_at_their_places(session):
    assert offered(session, "send al") == ["send alice"]
    assert offered(session, "send alice ") == ["send alice all", "send alice 1.5"]
    assert offered(session, "send alice a") == ["send alice all"]
    assert offered(session, "switch o") == ["switch on", "switch off"]


def test_a_name_with_a_blank_is_offered_in_quotes(session):
    assert offered(session, "send o") == ['send "old savings"']
    assert offered(session, 'send "old s') == ['send "old savings"']


def test_an_address_that_is_known_is_completed_to_its_end(session):
    assert offered(session, "send " + to_text(NAMES["alice"])[:12]) == ["send " + to_text(NAMES["alice"])]


def test_options_are_offered_once_and_their_values_behind_them(session):
    assert offered(session, "send alice 1 ") == ["send alice 1 --tip", "send alice 1 --dry"]
    assert offered(session, "send alice 1 --dry --") == ["send alice 1 --dry --tip"]
    assert offered(session, "send --tip ") == []
    assert offered(session, "send alice 1 -- -") == []


def test_the_rest_of_the_line_is_left_alone(session):
    assert offered(session, "send al", " 5") == ["send alice"]


def test_nothing_is_offered_where_nothing_may_stand(session):
    assert offered(session, "sned al") == []
    assert offered(session, "switch on o") == []


# ---- Colours


def test_a_whole_line_has_the_colours_of_what_its_words_are(session):
    line = f"send {ADDRESS} 1.5 --tip 0.1 --dry"
    assert coloured(session, line) == [
        ("command", "send"),
        ("address", ADDRESS),
        ("amount", "1.5"),
        ("option", "--tip"),
        ("amount", "0.1"),
        ("option", "--dry"),
    ]


@pytest.mark.parametrize(
    "wrong", ["sned", "switch maybe ", "send alice 1 2 ", "send alice 1,5 ", "send alice 1 --tipp "]
)
def test_a_word_that_is_wrong_is_shown_so(session, wrong):
    assert coloured(session, wrong)[-1][0] == "wrong"


def test_an_address_is_wrong_as_soon_as_it_is_whole(session):
    assert coloured(session, f"send {ADDRESS}")[-1] == ("address", ADDRESS)
    mistyped = ADDRESS[:-1] + ("q" if ADDRESS[-1] != "q" else "p")
    assert coloured(session, f"send {mistyped}")[-1] == ("wrong", mistyped)
    assert coloured(session, f"send {ADDRESS[:-5]}")[-1] == ("open", ADDRESS[:-5])
    assert coloured(session, f"send {ADDRESS[:-5]} ")[-1] == ("wrong", ADDRESS[:-5])


def test_what_is_being_typed_is_not_called_wrong_yet(session):
    assert coloured(session, "se") == [("open", "se")]
    assert coloured(session, "se ") == [("wrong", "se")]
    assert coloured(session, "send ali")[-1] == ("open", "ali")
    assert coloured(session, "send alice 1 --ti")[-1] == ("open", "--ti")


# ---- The registry


EVERY = commands()


@pytest.mark.parametrize("line", [line for each in EVERY.values() for line in each.examples])
def test_every_example_of_the_registry_can_be_typed(line):
    words = split(line)
    found = read(line, EVERY)
    typed.read(EVERY[words[0].text], [word.text for word in words[1:]])
    assert found.places[0].is_command and all(place.parameter or place.is_command for place in found.places[1:])


def test_a_command_within_a_command_is_completed_too(session):
    assert offered_of(session, "draft rent.json sen") == ["draft rent.json send", "draft rent.json send-many"]
    assert offered_of(session, "draft rent.json send ali") == ["draft rent.json send alice"]
    assert "draft rent.json send alice 1 --tip" in offered_of(session, "draft rent.json send alice 1 --")
    assert "draft rent.json send alice 1 --nonce" not in offered_of(session, "draft rent.json send alice 1 --")
    assert not any("help" in line for line in offered_of(session, "draft rent.json "))


@pytest.mark.parametrize("name", EVERY)
def test_everything_that_a_command_takes_is_offered(session, name):
    for place in range(len(name)):
        assert name in offered_of(session, name[:place])
    wanted = {each.typed for each in EVERY[name].parameters if each.is_option}
    assert wanted <= {line.split(" ")[-1] for line in offered_of(session, f"{name} -")}


def offered_of(session, before):
    found = LineCompleter(session, EVERY).get_completions(Document(before), CompleteEvent())
    return [before[: len(before) + each.start_position] + each.text for each in found]


# ---- Anything


LETTERS = st.text(st.sampled_from("sendotwich alice 1.5-='\"\\\x1b\n\u202e😀"), max_size=40)
LINES = LETTERS | LETTERS.map("send ".__add__) | st.text(max_size=40)


@given(LINES)
def test_any_line_can_be_typed(session, line):
    document = Document(line)
    lexed = LineLexer(session, KNOWN).lex_document(document)
    for number, text in enumerate(document.lines):
        assert "".join(part for _, part, *_ in lexed(number)) == text
    for each in LineCompleter(session, KNOWN).get_completions(document, CompleteEvent()):
        assert each.text.isprintable()


@given(LINES)
def test_every_word_has_one_place(line):
    assert [place.word for place in read(line, KNOWN).places] == split(line)
