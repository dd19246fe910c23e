"""One table of commands: what may be typed follows from a signature, for the line, the page and help alike."""

import shlex
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from node.cli import cli
from tests.wallet.people import Person, a_session, a_wallet, page_of, typed
from wallet import registry
from wallet.amounts import NANOS_MAXIMUM, neuro, parse_amount, plain_amount
from wallet.commands.parts import words
from wallet.document import DOCUMENT, listing
from wallet.errors import AmountError, BadValue, NodeAway, NoWallet, WalletError
from wallet.exit_codes import AWAY, PASSWORD, REFUSED, USAGE, exit_code_of
from wallet.kinds import ALL, AMOUNT, AMOUNT_OR_ALL, COUNT, FEE, NODE, PAYEE, ROUND, TRANSACTION, Count, Flag
from wallet.line import read
from wallet.registry import SEVERAL, Answer, Command, commands, find, meant

pytestmark = pytest.mark.usefixtures("cheap")

NAMES = sorted(commands())
KINDS = sorted({type(each.kind).__name__: each.kind for one in commands().values() for each in one.parameters}.items())
PLACES = {"alice": bytes([0, *range(1, 21)])}


@pytest.fixture
def session(tmp_path):
    """A folder with names in it, and no node."""
    folder = a_wallet(tmp_path)
    for name, address in PLACES.items():
        folder.add_name(name, address)
    folder.add_name("bob", bytes([0, *range(2, 22)]))
    return a_session(tmp_path)


@pytest.fixture
def nowhere(tmp_path):
    return a_session(tmp_path / "nothing")


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself_with_examples_that_can_be_typed(name, session):
    command = find(name)
    assert command.summary.endswith(".") and command.group in registry.GROUPS
    assert all(each.meaning for each in command.parameters)
    for example in command.examples:
        first, *words = shlex.split(example)
        raw = read(command, words)
        try:
            command.bound(raw, session)
        except BadValue as error:
            # What only this reader's wallet knows: its accounts and what waits.
            assert first in ("speed-up", "cancel", "export", "send", "receive", "accounts"), error
            assert (
                "there is no account" in str(error) or "no waiting transaction" in str(error) or "savings" in str(error)
            )


@pytest.mark.parametrize("name", NAMES)
def test_every_command_has_its_help_on_the_command_line_and_in_the_terminal(name, nowhere):
    shown = CliRunner().invoke(cli, ["wallet", name, "--help"])
    assert shown.exit_code == 0 and f"Example: neuroshard wallet {find(name).examples[0]}" in shown.output
    assert "--json" in shown.output and "--api" in shown.output
    content, page = typed(nowhere, f"help {name}")
    assert content["usage"] == find(name).usage and find(name).examples[0] in page


def test_the_list_of_commands_is_the_registrys_everywhere(nowhere):
    shown = CliRunner().invoke(cli, ["wallet", "--help"]).output
    content, page = typed(nowhere, "help")
    assert [each["name"] for each in content["commands"]] == list(commands())
    assert all(name in page and f"\n  {name} " in shown for name in NAMES)


def test_the_page_of_commands_is_the_registrys():
    assert listing() in DOCUMENT.read_text(), "run .venv/bin/python -m wallet.document"


def test_a_shell_completes_commands_names_and_labels(session):
    shell = ShellComplete(cli, {}, "neuroshard", "_NEUROSHARD_COMPLETE")
    folder = ["--data-dir", str(session.directory)]

    def offered(words, prefix):
        return [each.value for each in shell.get_completions(words, prefix)]

    assert offered(["wallet"], "se") == ["send", "send-many", "settings"]
    assert offered(["wallet", "send", *folder], "al") == ["alice"]
    assert offered(["wallet", "receive", *folder, "--account"], "m") == ["main"]
    assert offered(["wallet", "help"], "spe") == ["speed-up"]
    assert "--max-fee" in offered(["wallet", "send"], "--m")


def test_a_mistyped_command_is_refused_with_what_may_have_been_meant(nowhere):
    with pytest.raises(BadValue, match="did you mean send"):
        find("sned")
    assert meant("xyzzy", commands()) == ""
    refused = CliRunner().invoke(cli, ["wallet", "sned"])
    assert refused.exit_code == USAGE and "did you mean send" in refused.output


# ---- Signatures


@dataclass(frozen=True, slots=True)
class Wishes:
    loud: Flag = False
    times: Annotated[Count | None, COUNT, "how often"] = None


def shout(session, first: Count, rest: Annotated[tuple[int, ...], COUNT, SEVERAL] = (), *, wishes: Wishes) -> Answer:
    return Answer({"first": first, "rest": rest, "loud": wishes.loud, "times": wishes.times}, lambda _: None)


SHOUT = Command("shout", "Shout.", "tools", ("shout 1",), shout)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("1", {"first": 1, "rest": (), "loud": False, "times": None}),
        ("1 2 3 --loud", {"first": 1, "rest": (2, 3), "loud": True, "times": None}),
        ("--times 9 1", {"first": 1, "rest": (), "loud": False, "times": 9}),
    ],
)
def test_a_line_is_read_as_the_signature_says(words, wanted, nowhere):
    assert SHOUT.call(read(SHOUT, words.split()), nowhere).content == wanted


@pytest.mark.parametrize("words", ["", "0", "1001", "x", "1 --times", "1 --times x", "1 --quiet", "1 --times 1 2 x"])
def test_a_line_that_does_not_fit_is_refused_in_words(words, nowhere):
    with pytest.raises(BadValue) as refused:
        SHOUT.call(read(SHOUT, words.split()), nowhere)
    assert str(refused.value)


def test_usage_tells_what_may_be_left_out():
    assert SHOUT.usage == "shout N [N...] [--loud] [--times N]"


# ---- Kinds


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_no_word_does_anything_but_be_read_or_refused(name, kind, session):
    @settings(max_examples=60, deadline=None)
    @given(st.one_of(st.text(max_size=80), st.from_regex(r"[0-9a-z.=~/-]{0,70}", fullmatch=True)))
    def check(text):
        with suppress(BadValue, NotImplementedError):
            kind.parse(text, session)
        assert all(isinstance(each.text, str) for each in kind.complete(text, session))

    check()


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (AMOUNT, "1", 10**9),
        (AMOUNT, "0.000000001", 1),
        (AMOUNT_OR_ALL, "all", ALL),
        (AMOUNT_OR_ALL, "1.5", 1_500_000_000),
        (COUNT, "1", 1),
        (COUNT, "1000", 1000),
        (FEE, "0", 0),
        (ROUND, "1", 1),
        (NODE, "ABCD", "abcd"),
        (NODE, "a" * 64, "a" * 64),
        (TRANSACTION, "b" * 64, "b" * 64),
    ],
)
def test_words_within_the_bounds_are_read(kind, text, value, session):
    assert kind.parse(text, session) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(
            (AMOUNT, text)
            for text in ("0", "0.0", "-1", "+1", "1e3", "1,5", ".5", "5.", "1.0000000001", " 1", "١", "", "NaN")
        ),
        (AMOUNT, "all"),
        *((COUNT, text) for text in ("0", "1001", "1.0", "-1", "٣")),
        (ROUND, "0"),
        *((NODE, text) for text in ("abc", "a" * 65, "xyzw", "")),
        *((TRANSACTION, text) for text in ("b" * 63, "b" * 65, "bbbb")),
        *((PAYEE, text) for text in ("carol", "", "neuro1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs5aqt5x")),
    ],
)
def test_words_beyond_the_bounds_are_refused(kind, text, session):
    with pytest.raises(BadValue):
        kind.parse(text, session)


def test_a_payee_is_an_address_or_a_name_and_a_mistyped_name_has_a_hint(session):
    own = session.account()
    assert PAYEE.parse("alice", session).address == PLACES["alice"] == PAYEE.parse("ALICE", session).address
    assert PAYEE.parse("main", session).address == own.address
    assert PAYEE.parse(own.address_text.upper(), session) == PAYEE.parse(own.address_text, session)
    with pytest.raises(BadValue, match="did you mean alice"):
        PAYEE.parse("alcie", session)
    assert [each.text for each in PAYEE.complete("a", session)] == ["alice"]


@given(st.integers(0, NANOS_MAXIMUM))
def test_an_amount_that_is_shown_is_read_back_to_the_last_nano(nanos):
    assert parse_amount(plain_amount(nanos)) == nanos
    assert parse_amount(neuro(nanos).removesuffix(" NEURO").replace(",", "")) == nanos


def test_the_greatest_amount_is_read_and_one_nano_more_is_not():
    assert parse_amount(plain_amount(NANOS_MAXIMUM)) == NANOS_MAXIMUM
    with pytest.raises(AmountError):
        parse_amount(plain_amount(NANOS_MAXIMUM + 1))


# ---- Without a wallet, without a node


@pytest.mark.parametrize("line", ["receive", "balance", "send alice 1", "bond 1", "accounts", "backup-check", "sign x"])
def test_without_a_wallet_it_says_how_to_get_one(line, tmp_path):
    nobody = a_session(tmp_path, Person("", "", ""))
    with pytest.raises(WalletError) as refused:
        typed(nobody, line.replace("alice", "neuro1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs5aqt5l"))
    assert isinstance(refused.value, NoWallet) and "create" in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line", ["balance", "status", "send alice 1", "pending", "watch", "earnings", "nodes", "validator"]
)
def test_a_node_that_is_away_is_told_with_what_to_do(line, session):
    if line == "pending":
        session.folder.remember_chain("127.0.0.1:2", bytes(32))
    with pytest.raises(NodeAway, match=r"start one with `neuroshard`, or name another's with --api") as away:
        typed(session, line)
    assert exit_code_of(away.value) == AWAY


def test_exit_codes_tell_kinds_of_faults_apart():
    from wallet.errors import CommandError, PasswordNeeded, WrongPassword

    wanted = {BadValue: USAGE, NodeAway: AWAY, PasswordNeeded: PASSWORD, WrongPassword: PASSWORD, CommandError: REFUSED}
    assert {kind: exit_code_of(kind("x")) for kind in wanted} == wanted


def test_hostile_names_stay_text_on_every_page():
    hostile = Answer({}, words("[red]x[/red] :smile:"))
    assert page_of(hostile) == "[red]x[/red] :smile:\n"
