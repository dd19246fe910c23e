"""A node joins: its stamp, both signatures, once, and only so many in a block."""

from dataclasses import replace
from hashlib import sha256

import pytest

from chain.crypto.hashing import ZERO
from chain.errors import BadSignature, InvalidBlock, InvalidTransaction
from chain.state import NodeRecord, node_key
from chain.transactions import RegisterNode, node_consent, stamp_bits
from tests.builders import ALICE, BOB, NODE, OTHER_NODE, Chain, a_key, a_registration, a_stamp, a_transaction


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_a_registration_ties_a_node_to_the_senders_wallet(chain):
    chain.block([a_registration(chain, intent=True)])
    assert chain.state.find(NodeRecord, node_key(NODE.node)) == NodeRecord(
        public_key=NODE.public,
        wallet=ALICE.address,
        registered_height=1,
        retired_height=0,
        validator_intent=True,
        proofs=0,
        audited_rounds=0,
        counted_rounds=0,
        committed_round=0,
        committed_segments=0,
        averages_root=ZERO,
        averages_steps=0,
        plant=ZERO,
        plant_round=0,
        suspended_round=0,
    )
    assert chain.state.ledger.nodes == 1


def test_a_wallet_may_have_many_nodes(chain):
    chain.register(NODE, OTHER_NODE)
    assert chain.state.ledger.nodes == 2


def test_a_registration_needs_no_money_and_pays_no_fee(chain):
    chain.block([a_registration(chain)])
    assert chain.state.supply.burned == 0
    assert chain.receipts[0].fee == 0


@pytest.mark.parametrize("fees", [{"max_fee": 1}, {"tip": 1}])
def test_a_registration_that_offers_a_fee_is_refused(chain, fees):
    with pytest.raises(InvalidTransaction, match="stamp"):
        chain.block([a_registration(chain, **fees)])


def test_a_stamp_of_the_wanted_bits_passes_and_one_bit_less_is_refused(chain):
    short = a_stamp(chain, ALICE, NODE, least=3, below=4)
    with pytest.raises(InvalidTransaction, match="3 zero bits, 4 are wanted"):
        chain.block([a_registration(chain, stamp=short)])
    enough = a_stamp(chain, ALICE, NODE, least=4, below=5)
    chain.block([a_registration(chain, stamp=enough)])


def test_a_stamp_is_made_for_one_chain_one_node_and_one_wallet(chain):
    chain_id = chain.network.chain_id
    here = stamp_bits(chain_id, NODE.public, ALICE.public, 1)
    assert here == stamp_bits(chain_id, NODE.public, ALICE.public, 1)
    ours = [stamp_bits(chain_id, NODE.public, ALICE.public, stamp) for stamp in range(64)]
    assert ours != [stamp_bits(bytes(32), NODE.public, ALICE.public, stamp) for stamp in range(64)]
    assert ours != [stamp_bits(chain_id, OTHER_NODE.public, ALICE.public, stamp) for stamp in range(64)]
    assert ours != [stamp_bits(chain_id, NODE.public, BOB.public, stamp) for stamp in range(64)]


def test_the_bits_of_a_stamp_are_the_leading_zeros_of_its_hash():
    tag = b"neuroshard/stamp/1"
    for stamp in range(64):
        work = NODE.public + ALICE.public + stamp.to_bytes(8, "big")
        digest = sha256(bytes((len(tag),)) + tag + bytes(32) + work).digest()
        bits = "".join(f"{byte:08b}" for byte in digest)
        assert stamp_bits(bytes(32), NODE.public, ALICE.public, stamp) == len(bits) - len(bits.lstrip("0"))


def registration_by(chain, consent):
    stamp = a_stamp(chain, ALICE, NODE, 4)
    return a_transaction(chain, RegisterNode(NODE.public, False, stamp, consent))


def test_a_node_key_that_did_not_agree_is_not_registered(chain):
    consent = node_consent(chain.network.chain_id, NODE.public, ALICE.public, False)
    for signer, digest in [
        (OTHER_NODE, consent),
        (NODE, node_consent(bytes(32), NODE.public, ALICE.public, False)),
        (NODE, node_consent(chain.network.chain_id, NODE.public, BOB.public, False)),
        (NODE, node_consent(chain.network.chain_id, NODE.public, ALICE.public, True)),
        (NODE, node_consent(chain.network.chain_id, OTHER_NODE.public, ALICE.public, False)),
    ]:
        with pytest.raises(BadSignature, match="did not agree"):
            chain.block([registration_by(chain, signer.sign(digest))])
    chain.block([registration_by(chain, NODE.sign(consent))])


def test_a_wallet_that_did_not_sign_gets_no_node(chain):
    good = a_registration(chain)
    with pytest.raises(BadSignature):
        chain.block([replace(good, signature=BOB.sign(good.id(chain.network.chain_id)))])


def test_a_node_key_is_registered_once(chain):
    chain.register(NODE)
    with pytest.raises(InvalidTransaction, match="already registered"):
        chain.block([a_registration(chain)])
    with pytest.raises(InvalidTransaction, match="already registered"):
        chain.block([a_registration(chain, wallet=BOB)])


def test_a_block_holds_as_many_registrations_as_allowed_and_not_one_more(chain):
    three = [a_registration(chain, node=a_key(f"node {i}"), nonce=i) for i in range(3)]
    with pytest.raises(InvalidBlock, match="3 registrations, 2 allowed"):
        chain.block(three)
    chain.block(three[:2])
    assert chain.state.ledger.nodes == 2
