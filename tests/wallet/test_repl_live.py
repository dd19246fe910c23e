"""What the thread behind the prompt makes of a node's events."""

import pytest

from chain.address import to_text
from wallet.answered import Answered
from wallet.errors import BadAnswer, NodeAway, OtherChain
from wallet.folder import WalletFolder
from wallet.repl.facts import Link
from wallet.repl.live import LINES_MAXIMUM, Live
from wallet.session import Session
from wallet.terminal import Terminal

PAYER, PAYEE = (to_text(bytes([0, *[number] * 20])) for number in (1, 2))
CHAIN, OTHER = "ab" * 32, "cd" * 32
STATUS = {"chain_id": CHAIN, "phase": "bootstrap", "round": 3, "round_phase": "training", "height": 12}


@pytest.fixture
def live(tmp_path):
    return Live(Session(tmp_path, Terminal(), "127.0.0.1:1"))


def hear(live, kind, **content):
    live._hear(kind, Answered(content, "an event"))


def test_a_status_becomes_the_facts_of_the_bar(live):
    assert live.facts.link is Link.ASKED
    hear(live, "status", **STATUS)
    facts = live.facts
    assert (facts.link, facts.height, facts.round, facts.round_phase) == (Link.THERE, 12, 3, "training")
    assert facts.network == "chain abababab" and live.session.seen.round == 3


def test_a_flood_is_told_in_few_lines_and_counted(live):
    for number in range(LINES_MAXIMUM + 7):
        hear(live, "round_closed", round=number)
    assert live.has_news
    lines = live.take()
    assert len(lines) == LINES_MAXIMUM + 1 and "7 more" in lines[-1]
    assert live.take() == [] and not live.has_news


def test_what_a_command_has_called_final_is_not_told_once_more(live):
    ours, theirs = "aa" * 32, "bb" * 32
    for identity in (ours, theirs):
        hear(live, "payment", id=identity, **{"from": PAYER, "to": PAYEE}, amount_nanos="5")
    live.session.seen.final.add(bytes.fromhex(ours))
    hear(live, "payment", id=ours, **{"from": PAYER, "to": PAYEE}, amount_nanos="5")
    [line] = live.take()
    assert "Received: 0.000000005 NEURO" in line


def test_quiet_tells_nothing_and_the_bar_goes_on(live):
    live.is_watching = False
    hear(live, "round_closed", round=1)
    hear(live, "status", **STATUS)
    assert live.take() == [] and live.facts.height == 12


def test_that_a_node_is_away_is_told_once_and_that_it_is_back(live):
    hear(live, "status", **STATUS)
    for _ in range(3):
        live._away(NodeAway("the node is away"))
    assert live.facts.link is Link.AWAY and live.facts.height == 12  # the last that is known
    [line] = live.take()
    assert "the node is away" in line
    hear(live, "status", **STATUS)
    [line] = live.take()
    assert live.facts.link is Link.THERE and "answers again" in line


def test_a_node_of_another_network_is_not_shown_as_connected(live):
    WalletFolder(live.session.directory).create(None, "hunter2 hunter2")
    live._own = live._addresses()
    WalletFolder(live.session.directory).remember_chain("127.0.0.1:1", bytes.fromhex(OTHER))
    with pytest.raises(OtherChain) as caught:
        hear(live, "status", **STATUS)
    live._away(caught.value)
    assert live.facts.link is Link.OTHER and live.facts.height is None
    [line] = live.take()
    assert "settings forget-chain" in line


def test_a_wallet_that_is_made_meanwhile_is_noticed(live):
    hear(live, "status", **STATUS)
    wallet = WalletFolder(live.session.directory).create(None, "hunter2 hunter2")
    with pytest.raises(NodeAway):  # nobody tells its balance here
        hear(live, "status", **STATUS)
    assert live._follower.addresses() == [to_text(wallet.address())]


def test_an_event_without_sense_ends_the_connection(live):
    with pytest.raises(BadAnswer):
        hear(live, "status", **STATUS | {"height": "\x1b[2J"})
    with pytest.raises(BadAnswer):
        hear(live, "round_closed", round=None)


def test_trouble_with_the_folder_is_told_once_and_ends_nothing(live):
    WalletFolder(live.session.directory).create(None, "hunter2 hunter2")
    (live.session.directory / "wallet.json").write_text("{")
    for _ in range(3):
        hear(live, "status", **STATUS)
    assert len([line for line in live.take() if "wallet.json" in line]) == 1
