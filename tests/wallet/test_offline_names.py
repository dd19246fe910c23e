"""Signing without a network: what a file claims of its network is nobody's word."""

import pytest

from chain.address import to_text
from chain.crypto.hashing import tagged_hash
from chain.transactions import Transfer
from tests.node.lone_node import tiny_network
from tests.wallet.people import Person, a_session, a_wallet, typed
from wallet import transaction_file
from wallet.errors import OtherChain
from wallet.session import Session
from wallet.signing import Fees, draft
from wallet.transaction_file import TransactionFile

pytestmark = pytest.mark.usefixtures("cheap")
CHAIN = bytes(31) + b"\x07"


def drafted(session: Session, chain_id: bytes, network: str = "play money, chain " + "cd" * 10) -> str:
    key = session.account().public_key
    assert key is not None
    path = session.directory / "draft.json"
    transaction_file.save(path, TransactionFile(draft(Transfer(bytes(21), 5), key, 0, Fees(10), chain_id), network))
    return f"sign-file {path} {session.directory / 'signed.json'}"


def test_the_name_of_a_network_in_a_file_is_not_on_the_screen(tmp_path):
    a_wallet(tmp_path)
    session = a_session(tmp_path, Person())
    typed(session, drafted(session, CHAIN))
    assert session.ui.confirmed[0]["network"] == f"chain {CHAIN.hex()}"


def test_a_folder_of_a_network_signs_for_no_other_one_and_calls_its_own_by_its_name(tmp_path):
    (tmp_path / "network").write_bytes(tiny_network().file_bytes())
    a_wallet(tmp_path)
    session = a_session(tmp_path, Person())
    with pytest.raises(OtherChain, match=CHAIN.hex()[:16]):
        typed(session, drafted(session, CHAIN))
    (tmp_path / "draft.json").unlink()
    kept = tagged_hash("chain", (tmp_path / "network").read_bytes())
    typed(session, drafted(session, kept))
    shown = session.ui.confirmed[0]["network"]
    assert (
        shown.endswith(f"chain {kept.hex()}") and "play money" not in shown and shown.startswith(session.network_name())
    )


def test_no_fee_at_all_is_drafted_where_somebody_says_so(tmp_path):
    a_wallet(tmp_path)
    session = a_session(tmp_path, Person())
    session.folder.remember_chain("127.0.0.1:1", CHAIN)
    for said, fee in (("--max-fee 0", 0), ("", 100), ("--max-fee 3", 3)):
        path = tmp_path / f"{fee}.json"
        typed(session, f"draft --nonce 0 {path} send {to_text(bytes(21))} 1 {said}")
        assert transaction_file.load(path).unsigned.transaction.max_fee == fee
