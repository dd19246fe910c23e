"""The cheap checks of a PoNW proof: all that the ledger can see without replaying the work.

Start reading at `check_proof`. A proof is unique by (node, round, segment): a node's claims form a chain in which every
proof names its predecessor, its number and the state hash that the predecessor ended with. Data are never chosen.
"""

from dataclasses import replace

from chain.awaited import note_proven
from chain.block import TRAINING as TRAINING_PROOF
from chain.block import WHOLE, Proof
from chain.crypto import ecdsa
from chain.crypto.hashing import ZERO
from chain.errors import BadSignature, InvalidProof
from chain.fees import proof_gas
from chain.genesis import Params
from chain.state import TRAINING, Claim, NodeRecord, Round, State, claim_key, node_key, round_key

LAYERS_MAXIMUM = 0xFFFF  # last_layer of a node that holds the whole model


def check_proof(state: State, proof: Proof, chain_id: bytes, time_ms: int, params: Params) -> None:
    """Raise InvalidProof or BadSignature unless `proof` may be in a block of time `time_ms` on `state`."""
    record = state.find(NodeRecord, node_key(proof.node))
    if record is None or record.retired_height:
        raise InvalidProof(f"node {proof.node.hex()[:16]} is not registered")
    if proof.wallet != record.wallet:
        raise InvalidProof(f"node {proof.node.hex()[:16]} belongs to another wallet")
    if proof.nonce != record.proofs:
        raise InvalidProof(f"proof nonce {proof.nonce}, expected {record.proofs}")
    if not time_ms - params.proof_window_ms <= proof.time_ms <= time_ms:
        raise InvalidProof(f"proof time {proof.time_ms} ms outside the {params.proof_window_ms} ms before {time_ms} ms")
    _check_work(state, proof, record, params)
    if not ecdsa.verify(record.public_key, proof.id(chain_id), proof.signature):
        raise BadSignature(f"the signature of proof {proof.id(chain_id).hex()[:16]} does not verify")


def _check_work(state: State, proof: Proof, record: NodeRecord, params: Params) -> None:
    current = state.round(proof.round)
    if current is None or current.phase != TRAINING:
        raise InvalidProof(f"round {proof.round} is not in its training phase")
    if record.registered_height > current.opened_height:
        raise InvalidProof(f"node {proof.node.hex()[:16]} registered after round {proof.round} opened")
    claim = state.find(Claim, claim_key(proof.round, proof.node))
    segment = len(claim.states) if claim else 0
    if proof.segment != segment or segment >= params.segments:
        raise InvalidProof(f"segment {proof.segment}, expected {segment} of {params.segments}")
    if claim and claim.commitment != ZERO:
        raise InvalidProof(f"node {proof.node.hex()[:16]} has already committed its payload")
    starts = (claim.states[-1],) if claim else _starts(current, record)
    if proof.state_before not in starts:
        raise InvalidProof(f"state_before of segment {segment} is {proof.state_before!r}, expected one of {starts!r}")
    for name, expected in _expected(current, claim, segment, params).items():
        if getattr(proof, name) != expected:
            raise InvalidProof(f"{name} of segment {segment} is {getattr(proof, name)!r}, expected {expected!r}")


def _starts(current: Round, record: NodeRecord) -> tuple[bytes, ...]:
    """With or without the second moments that the node ended its last reveal with: a disk may have lost them."""
    return current.base.start_state, current.base.carried_state(record.averages_root)


def _expected(current: Round, claim: Claim | None, segment: int, params: Params) -> dict[str, int | bytes]:
    """Every field that the ledger knows beforehand."""
    sequences = params.segment_steps * params.sequences
    return {
        "kind": TRAINING_PROOF,
        "role": WHOLE,
        "first_layer": 0,
        "last_layer": LAYERS_MAXIMUM,
        "base_root": current.base.outer_root,
        "data_first": segment * sequences,
        "data_count": sequences,
        "batches": params.segment_steps,
        "tokens": params.segment_steps * params.batch_tokens,
        "samples": 0,
        "previous_proof": claim.last_proof if claim else ZERO,
    }


def apply_proof(state: State, proof: Proof, chain_id: bytes, base_fee: int, params: Params) -> None:
    """Record a checked proof as a claim; nothing is paid before its round has ended and the epoch settles."""
    record = state.need(NodeRecord, node_key(proof.node))
    state.put(node_key(proof.node), replace(record, proofs=record.proofs + 1))
    state.update_ledger(tokens=state.ledger.tokens + proof.tokens)
    claim = state.find(Claim, claim_key(proof.round, proof.node))
    if claim is None:
        current = state.need(Round, round_key(proof.round))
        age = 0 if proof.state_before == current.base.start_state else record.averages_steps
        claim = Claim(
            wallet=proof.wallet,
            batches=0,
            tokens=0,
            debt=0,
            last_proof=ZERO,
            commitment=ZERO,
            previous_claimant=current.last_claimant,
            averages_steps=age,
            states=(),
            start=proof.state_before,
            plant=record.plant,
            plant_round=record.plant_round,
            payload_root=ZERO,
            theta_root=ZERO,
            distances=(),
            forfeited=False,
        )
        state.put(round_key(proof.round), replace(current, last_claimant=proof.node))
    state.put(
        claim_key(proof.round, proof.node),
        replace(
            claim,
            batches=claim.batches + proof.batches,
            tokens=claim.tokens + proof.tokens,
            debt=claim.debt + base_fee * proof_gas(proof),
            last_proof=proof.id(chain_id),
            states=(*claim.states, proof.state_after),
        ),
    )
    note_proven(state, proof.round, proof.node, len(claim.states) + 1, params)
