"""Whatever a node answers, or does not: nobody is led to pay twice, and what was signed is never out of sight."""

import json

import pytest

from chain.address import to_text
from tests.wallet.hostile_node import Reply, answering, http
from tests.wallet.people import Person, a_session, a_wallet, typed
from wallet import client
from wallet.errors import ApiError, CommandError, NotConfirmed, Refused
from wallet.session import Session

pytestmark = pytest.mark.usefixtures("cheap")

STATUS = http(json.dumps({"chain_id": "ab" * 32, "round": 1, "height": 2}).encode())
PAYEE = to_text(bytes(21))
PAY = f"send {PAYEE} 0.0001 --max-fee 10 --tip 0"


def account(nonce: int = 0) -> bytes:
    stake = {"bonded_nanos": "0"}
    whole = {"nonce": nonce, "balance_nanos": "3000000", "waiting": [], "stake": stake}
    return http(json.dumps(whole).encode())


def refusing(status: str) -> bytes:
    return http(b'{"error": {"code": "no", "message": "not now"}}', status)


@pytest.fixture
def alice(tmp_path) -> Session:
    a_wallet(tmp_path)
    return a_session(tmp_path, Person())


def pay(alice: Session, address: str, line: str = PAY) -> dict[str, object]:
    return typed(a_session(alice.directory, alice.ui, address), line)[0]


@pytest.mark.parametrize(
    "reply",
    [
        *(refusing(status) for status in ("408 late", "429 many", "500 oh", "502 bad", "503 busy", "504 late")),
        *(http(b"{}", "520 what"), http(b"<html>"), http(b"[]"), None, b"HTTP/1.1 200 OK\r\nContent-Le"),
    ],
)
def test_an_answer_that_leaves_it_open_keeps_what_was_signed_and_refuses_the_same_once_more(
    alice, reply: Reply, monkeypatch
):
    monkeypatch.setattr(client, "SECONDS", 0.5)  # where the rest of an answer is waited for
    with answering(STATUS, STATUS, account(), reply) as address, pytest.raises(ApiError) as left_open:
        pay(alice, address)
    [kept] = alice.folder.pending.read()
    assert left_open.value.kept == kept.id.hex() and "do not send it once more" in str(left_open.value)
    with answering(STATUS, STATUS, account()) as address, pytest.raises(CommandError, match=kept.id.hex()[:16]):
        pay(alice, address)
    assert alice.folder.pending.read() == (kept,)


def test_a_refusal_for_a_reason_forgets_what_was_signed(alice):
    with answering(STATUS, STATUS, account(), refusing("422 no")) as address, pytest.raises(Refused) as refused:
        pay(alice, address)
    assert refused.value.kept is None and alice.folder.pending.read() == ()


def test_what_is_kept_and_goes_first_is_told_before_anybody_says_yes(alice):
    with answering(STATUS, STATUS, account(), refusing("503 busy")) as address, pytest.raises(Refused):
        pay(alice, address)
    [kept] = alice.folder.pending.read()
    alice.ui.says = False
    with answering(STATUS, STATUS, account()) as address, pytest.raises(NotConfirmed):
        pay(alice, address, PAY.replace("0.0001", "0.0002"))
    assert any(kept.id.hex()[:16] in told and "before this one" in told for told in alice.ui.told)
    # Once the ledger has used its place, the same is another payment.
    with answering(STATUS, STATUS, account(nonce=1)) as address, pytest.raises(NotConfirmed):
        pay(alice, address)


def test_what_a_liar_had_signed_for_a_later_place_is_not_signed_for_the_right_one_too(alice):
    with answering(STATUS, STATUS, account(nonce=1_000), http(b"{}", "202 yes"), refusing("404 none")) as address:
        pay(alice, address, PAY + " --no-wait")
    with answering(STATUS, STATUS, account()) as address, pytest.raises(CommandError, match="nonce 1000 and waits"):
        pay(alice, address)


def test_a_node_that_fails_while_somebody_waits_does_not_make_a_payment_look_failed(alice):
    final = http(b'{"status": "final", "height": 7}')
    faults = (refusing("429 many"), http(b"<html>"), http(b'{"status": "final", "height": -1}'), refusing("500 oh"))
    with answering(STATUS, STATUS, account(), http(b"{}", "202 yes"), *faults, final) as address:
        done = pay(alice, address)
    assert (done["status"], done["height"]) == ("final", 7)


def test_strangers_payments_that_are_handed_in_here_do_not_fill_the_file(alice, tmp_path_factory):
    signed = alice.directory / "signed.json"
    nowhere = a_session(tmp_path_factory.mktemp("nowhere"), Person())
    with answering(STATUS, STATUS, account()) as address:
        pay(alice, address, f"draft {alice.directory / 'draft.json'} {PAY}")
    typed(alice, f"sign-file {alice.directory / 'draft.json'} {signed}")
    final = http(b'{"status": "final", "height": 7}')
    with answering(STATUS, STATUS, http(b"{}", "202 yes"), final, account(nonce=1)) as address:
        assert pay(nowhere, address, f"broadcast {signed}")["status"] == "final"
    assert nowhere.folder.pending.read() == ()
