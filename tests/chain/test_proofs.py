"""A PoNW proof says exactly what the ledger expects of the node's next segment, or it is refused."""

from dataclasses import fields, replace

import pytest

from chain.block import Proof, state_hash
from chain.crypto.ecdsa import CURVE_ORDER
from chain.crypto.hashing import ZERO
from chain.errors import BadSignature, InvalidBlock, InvalidProof
from chain.fees import proof_gas
from chain.state import TRAINING, Claim, NodeRecord, claim_key, node_key
from tests.builders import (
    ALICE,
    BOB,
    NODE,
    OTHER_NODE,
    Chain,
    a_commit,
    a_key,
    a_network,
    a_proof,
    a_registration,
    a_training_chain,
    named,
    state_parts,
    train,
)


@pytest.fixture
def chain() -> Chain:
    """One segment is proven: every field of the next proof has something to refer to."""
    chain = a_training_chain()
    train(chain, segments=1)
    return chain


def test_a_proof_is_recorded_as_a_claim_and_pays_nothing_yet(chain):
    debt = chain.state.need(Claim, claim_key(1, NODE.node)).debt
    base_fee = chain.state.ledger.base_fee
    proof = a_proof(chain)
    chain.block(proofs=[proof])
    claim = chain.state.need(Claim, claim_key(1, NODE.node))
    assert claim == Claim(
        wallet=ALICE.address,
        batches=4,
        tokens=4 * 2 * 4,
        debt=debt + base_fee * proof_gas(proof),
        last_proof=proof.id(chain.network.chain_id),
        commitment=ZERO,
        previous_claimant=ZERO,
        averages_steps=0,
        states=(state_hash(*state_parts(NODE, 1, 0)), proof.state_after),
        start=chain.round.base.start_state,
        plant=ZERO,
        plant_round=0,
        payload_root=ZERO,
        theta_root=ZERO,
        distances=(),
        forfeited=False,
    )
    assert chain.state.need(NodeRecord, node_key(NODE.node)).proofs == 2
    assert chain.state.ledger.tokens == 32
    assert chain.state.supply.minted == 0


def test_every_segment_of_a_round_can_be_proven_and_not_one_more(chain):
    train(chain, segments=3)
    with pytest.raises(InvalidProof, match="segment 4, expected 4 of 4"):
        chain.block(proofs=[a_proof(chain)])


def test_segments_of_one_block_build_on_each_other(chain):
    first = a_proof(chain)
    ours = {"segment": 2, "data_first": 8, "nonce": 2, "state_before": first.state_after}
    chain.block(proofs=[first, a_proof(chain, previous_proof=first.id(chain.network.chain_id), **ours)])
    assert len(chain.state.need(Claim, claim_key(1, NODE.node)).states) == 3


FORGED = {
    "wallet": BOB.address,
    "kind": 2,
    "role": 1,
    "first_layer": 1,
    "last_layer": 0xFFFE,
    "base_root": named("another base"),
    "samples": 1,
    "state_before": named("another state"),
    "previous_proof": named("another proof"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_field_that_the_ledger_knows_cannot_be_forged(chain, name):
    with pytest.raises(InvalidProof):
        chain.block(proofs=[a_proof(chain, **{name: FORGED[name]})])


@pytest.mark.parametrize("name", ["segment", "data_first", "data_count", "batches", "tokens", "nonce"])
@pytest.mark.parametrize("step", [-1, 1])
def test_a_number_that_the_ledger_knows_cannot_be_off_by_one(chain, name, step):
    with pytest.raises(InvalidProof):
        chain.block(proofs=[a_proof(chain, **{name: getattr(a_proof(chain), name) + step})])


def test_the_state_before_is_the_start_state_of_the_round_and_later_what_the_segment_before_ended_with():
    chain = a_training_chain()
    assert a_proof(chain).state_before == chain.network.start.start_state
    with pytest.raises(InvalidProof, match="state_before"):
        chain.block(proofs=[a_proof(chain, state_before=chain.network.start.model_root)])
    train(chain, segments=1)
    with pytest.raises(InvalidProof, match="state_before"):
        chain.block(proofs=[a_proof(chain, state_before=chain.network.start.start_state)])


def test_a_proven_segment_cannot_be_proven_again(chain):
    again = a_proof(chain)
    chain.block(proofs=[again])
    with pytest.raises(InvalidProof, match="nonce 1, expected 2"):
        chain.block(proofs=[again])
    with pytest.raises(InvalidProof, match="segment 1, expected 2"):
        chain.block(proofs=[a_proof(chain, segment=1)])
    with pytest.raises(InvalidProof):
        chain.block(proofs=[a_proof(chain)] * 2)


@pytest.mark.parametrize("name", sorted({field.name for field in fields(Proof)} - {"signature"}))
def test_the_signature_covers_every_field(chain, name):
    """So also those that the ledger does not know beforehand: state_after, loss_milli and time_ms."""
    proof = a_proof(chain)
    value = getattr(proof, name)
    other = value + 1 if isinstance(value, int) and value < 0xFFFF else 0 if isinstance(value, int) else b""
    if other == b"":
        other = value[:-1] + bytes((value[-1] ^ 1,))
    changed = replace(proof, **{name: other})
    assert changed.id(chain.network.chain_id) != proof.id(chain.network.chain_id)
    with pytest.raises((BadSignature, InvalidProof)):
        chain.block(proofs=[changed])


@pytest.mark.parametrize("change", [{"loss_milli": 1}, {"state_after": named("x")}, {"time_ms": 1_003_500}])
def test_a_changed_claim_breaks_the_signature(chain, change):
    with pytest.raises(BadSignature):
        chain.block(proofs=[replace(a_proof(chain), **change)])
    chain.block(proofs=[a_proof(chain, **change)])


def test_a_proof_of_another_chain_is_refused(chain):
    proof = a_proof(chain)
    with pytest.raises(BadSignature):
        chain.block(proofs=[replace(proof, signature=NODE.sign(proof.id(bytes(32))))])


def test_only_the_node_key_signs_its_proofs(chain):
    for thief in (ALICE, OTHER_NODE):
        with pytest.raises(BadSignature):
            chain.block(proofs=[a_proof(chain, signer=thief)])


def test_the_other_half_of_a_signature_pair_is_refused(chain):
    proof = a_proof(chain)
    s = CURVE_ORDER - int.from_bytes(proof.signature[32:], "big")
    with pytest.raises(BadSignature):
        chain.block(proofs=[replace(proof, signature=proof.signature[:32] + s.to_bytes(32, "big"))])


@pytest.mark.parametrize(("age_ms", "accepted"), [(-1, False), (0, True), (5_000, True), (5_001, False)])
def test_a_proof_is_no_newer_than_its_block_and_no_older_than_the_window(chain, age_ms, accepted):
    proof = a_proof(chain, time_ms=chain.next_time - age_ms)
    if accepted:
        chain.block(proofs=[proof])
    else:
        with pytest.raises(InvalidProof, match="outside the 5000 ms"):
            chain.block(proofs=[proof])


def test_a_proof_is_judged_by_the_time_of_its_block(chain):
    early = a_proof(chain)
    with pytest.raises(InvalidProof, match="outside"):
        chain.build(proofs=[early], time_ms=chain.next_time + 5_001)
    chain.block(proofs=[early], time_ms=chain.next_time + 5_000)


def test_an_unregistered_node_proves_nothing(chain):
    with pytest.raises(InvalidProof, match="not registered"):
        chain.block(proofs=[a_proof(chain, node=OTHER_NODE)])


def test_a_node_that_registered_after_the_opening_waits_for_the_next_round(chain):
    chain.block([a_registration(chain, node=OTHER_NODE)])
    with pytest.raises(InvalidProof, match="registered after round 1 opened"):
        chain.block(proofs=[a_proof(chain, node=OTHER_NODE)])


def test_a_node_that_registered_in_the_opening_block_takes_part():
    chain = a_training_chain(NODE, OTHER_NODE)
    assert chain.round.opened_height == 1
    assert chain.round.participants == 2
    train(chain, NODE, OTHER_NODE, segments=1)


def test_a_proof_needs_its_round_to_be_in_training():
    chain = Chain()
    chain.register(NODE)
    for number in (0, 1, 2):
        with pytest.raises(InvalidProof, match="not in its training phase"):
            chain.block(proofs=[a_proof(chain, round=number)])
    chain.block()
    train(chain, segments=1)
    with pytest.raises(InvalidProof, match="round 2 is not in its training phase"):
        chain.block(proofs=[a_proof(chain, round=2)])


def test_a_proof_still_enters_in_the_deadline_block_and_not_after():
    late = a_training_chain()
    late.empty_blocks(5)
    assert late.round.deadline_height == late.height + 1
    late.block(proofs=[a_proof(late)])
    assert late.round.number == 2
    with pytest.raises(InvalidProof, match="round 1 is not in its training phase"):
        late.block(proofs=[a_proof(late, round=1)])


def test_after_the_commit_there_is_nothing_to_prove():
    chain = a_training_chain(NODE, OTHER_NODE)
    train(chain, segments=2)
    chain.block(rounds=[a_commit(chain)])
    with pytest.raises(InvalidProof, match="already committed"):
        chain.block(proofs=[a_proof(chain)])


def test_nonces_go_on_over_rounds():
    chain = a_training_chain()
    train(chain, segments=1)
    chain.empty_blocks(6)
    assert chain.round.number == 2
    with pytest.raises(InvalidProof, match="nonce 0, expected 1"):
        chain.block(proofs=[a_proof(chain, nonce=0)])
    chain.block(proofs=[a_proof(chain, nonce=1)])


def test_the_lane_holds_as_much_gas_of_proofs_as_allowed_and_not_one_unit_more():
    nodes = [a_key(f"gas {i}") for i in range(3)]
    for allowed in (3 * 1_319, 3 * 1_319 - 1):
        chain = Chain(a_network(lane_gas_maximum=allowed))
        for node in nodes:
            chain.block([a_registration(chain, node=node)])
        while not (chain.round.participants == 3 and chain.round.phase == TRAINING):
            chain.block()
        proofs = [a_proof(chain, node) for node in nodes]
        if allowed == 3 * 1_319:
            chain.block(proofs=proofs)
        else:
            with pytest.raises(InvalidBlock, match="3957 gas of proofs and registrations, 3956 allowed"):
                chain.block(proofs=proofs)
