"""Where a block is judged. Start reading at `apply_block`; every rule of the ledger is a call below it."""

from dataclasses import dataclass, fields

from chain.audit_records import dequeue
from chain.block import (
    BOOTSTRAP,
    Block,
    Body,
    Header,
    beacon_message,
    certificate_root,
    encode_round_input,
)
from chain.bootstrap import phase_of
from chain.crypto import bls
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.crypto.votes import Evidence
from chain.errors import InvalidBlock
from chain.fees import next_base_fee, proof_gas, transaction_gas
from chain.genesis import Network, Params
from chain.participation import count_signers
from chain.payouts import release_vested, settle_epoch
from chain.progress import Progress
from chain.proofs import apply_proof, check_proof
from chain.receipts import Receipt, encode_receipt
from chain.state import State, set_key
from chain.storage import open_storage
from chain.transactions import RegisterNode
from chain.transfers import Place, apply_transaction
from chain.tree import ReadNode, Update
from chain.validators import choose_validators, proposer_payout


@dataclass(frozen=True, slots=True)
class Parent:
    """The block (or genesis) that another one builds on, and the tree of its state."""

    hash: bytes
    height: int
    epoch: int
    view: int
    time_ms: int
    state_root: bytes
    phase: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a proposer may choose: everything else of a header follows."""

    epoch: int
    view: int
    time_ms: int
    proposer: int
    beacon_reveal: bytes


@dataclass(frozen=True, slots=True)
class Executed:
    """What a body did, before it has a header."""

    state: State
    receipts: tuple[Receipt, ...]
    state_root: bytes


@dataclass(frozen=True, slots=True)
class Applied:
    """A valid block's consequences: the draft state, the tree's new and superseded nodes, the receipts."""

    block: Block
    state: State
    tree: Update
    receipts: tuple[Receipt, ...]

    @property
    def parent(self) -> Parent:
        return parent_of(self.block.header)


def parent_of(header: Header) -> Parent:
    """A block as what the next one builds on."""
    place = header.height, header.epoch, header.view, header.time_ms
    return Parent(header.hash(), *place, header.state_root, header.phase)


def genesis_parent(network: Network, state_root: bytes) -> Parent:
    """What block 1 builds on: the chain id stands for the hash of block 0."""
    return Parent(network.chain_id, 0, 0, 0, network.created_ms, state_root, BOOTSTRAP)


def apply_block(
    state: State, parent: Parent, block: Block, network: Network, read_node: ReadNode, reveal_checked: bool = False
) -> Applied:
    """The consequences of `block` on its parent's `state`, which stays as it is. Raises LedgerError or BadSignature.

    `reveal_checked`: the caller holds a checked certificate of this block or a descendant, so the validators have
    checked the beacon reveal, whose pairing costs more than all the rest of an empty block.
    """
    header = block.header
    chosen = Proposal(header.epoch, header.view, header.time_ms, header.proposer, header.beacon_reveal)
    check_place(state, parent, chosen, network)
    if not reveal_checked:
        check_reveal(state, chosen, network)
    applied = build_block(state, parent, chosen, block.body, network, read_node)
    for field in fields(Header) if header != applied.block.header else ():
        found, expected = getattr(header, field.name), getattr(applied.block.header, field.name)
        if found != expected:
            shown = [x.hex() if isinstance(x, bytes) else x for x in (found, expected)]
            raise InvalidBlock(f"block {header.height}: {field.name} is {shown[0]}, the rules give {shown[1]}")
    return applied


def build_block(
    state: State, parent: Parent, chosen: Proposal, body: Body, network: Network, read_node: ReadNode
) -> Applied:
    """Execute a body on a draft of the state and derive its header. Raises LedgerError or BadSignature.

    The beacon reveal is taken as it is: here it is the proposer's own.
    """
    params = network.params
    height = parent.height + 1
    check_place(state, parent, chosen, network)
    draft = state.fork()
    mix_beacon(draft, chosen)
    count_signers(draft, parent.epoch, parent.hash, chosen.epoch, body)
    receipts = execute(draft, height, chosen, body, network)
    if height % params.epoch_blocks == 0:
        receipts += settle_epoch(draft, chosen.epoch, chosen.time_ms, params)
        open_storage(draft, chosen.epoch + 1, height, chosen.time_ms)
        receipts += choose_validators(draft, chosen.epoch, height, network)
    receipts += release_vested(draft, params)
    check_supply(draft)
    tree = Update(read_node)
    state_root = tree.apply(parent.state_root, draft.changes)
    header = derive_header(Executed(draft, tuple(receipts), state_root), parent, chosen, body, network)
    return Applied(Block(header, body), draft, tree, tuple(receipts))


def epoch_of(height: int, params: Params) -> int:
    return (height - 1) // params.epoch_blocks


def check_place(state: State, parent: Parent, chosen: Proposal, network: Network) -> None:
    """Epoch, view, time and the proposer's place in the set."""
    params = network.params
    height = parent.height + 1
    if chosen.epoch != epoch_of(height, params):
        raise InvalidBlock(f"block {height} belongs to epoch {epoch_of(height, params)}, not {chosen.epoch}")
    first_view = parent.view + 1 if chosen.epoch == parent.epoch and parent.height else 1
    if chosen.view < first_view:
        raise InvalidBlock(f"block {height}: view {chosen.view} of epoch {chosen.epoch} is not after its parent's")
    interval, least = chosen.time_ms - parent.time_ms, params.block_interval_min_ms
    if interval < least:
        raise InvalidBlock(f"block {height}: {interval} ms after its parent, at least {least} wanted")
    members = state.validators(chosen.epoch).members
    if chosen.proposer >= len(members):
        raise InvalidBlock(f"block {height}: proposer {chosen.proposer} of a set of {len(members)}")


def check_reveal(state: State, chosen: Proposal, network: Network) -> None:
    """The beacon reveal is the proposer's signature of this view: there is one such signature, so nothing to choose."""
    message = beacon_message(network.chain_id, chosen.epoch, chosen.view)
    key = state.validators(chosen.epoch).members[chosen.proposer].public_key
    if not bls.verify(key, message, chosen.beacon_reveal):
        raise InvalidBlock(f"view {chosen.view}: the beacon reveal is not the proposer's signature of this view")


def mix_beacon(draft: State, chosen: Proposal) -> None:
    draft.update_ledger(mix=tagged_hash("mix", draft.ledger.mix, chosen.beacon_reveal))


def execute(draft: State, height: int, chosen: Proposal, body: Body, network: Network) -> list[Receipt]:
    """Apply the body in its order: transactions, proofs, round inputs. Raises on the first that breaks a rule."""
    params, chain_id = network.params, network.chain_id
    place = Place(height, chosen.epoch, proposer_payout(draft, chosen.epoch, chosen.proposer, network))
    base_fee = draft.ledger.base_fee
    receipts: list[Receipt] = []
    check_limits(body, params)
    for transaction in body.transactions:
        receipts += apply_transaction(draft, transaction, place, network)
    for proof in body.proofs:
        check_proof(draft, proof, chain_id, chosen.time_ms, params)
        apply_proof(draft, proof, chain_id, base_fee, params)
    progress = Progress(draft, height, chosen.epoch, network)
    receipts += progress.begin()
    for item in body.rounds:
        receipts += progress.take(item)
    dequeue(draft, receipts)
    draft.update_ledger(base_fee=next_base_fee(base_fee, gas_used(body), params))
    return receipts


def gas_used(body: Body) -> int:
    return sum(map(transaction_gas, body.transactions)) + sum(map(proof_gas, body.proofs))


def lane_gas(body: Body) -> int:
    """The gas of what pays from its reward or with a stamp: it has a lane of its own, so it cannot crowd out payers."""
    free = (transaction for transaction in body.transactions if isinstance(transaction.action, RegisterNode))
    return sum(map(transaction_gas, free)) + sum(map(proof_gas, body.proofs))


def check_limits(body: Body, params: Params) -> None:
    if gas_used(body) > params.block_gas_maximum:
        raise InvalidBlock(f"{gas_used(body)} gas used, {params.block_gas_maximum} allowed")
    if lane_gas(body) > params.lane_gas_maximum:
        raise InvalidBlock(f"{lane_gas(body)} gas of proofs and registrations, {params.lane_gas_maximum} allowed")
    registrations = sum(isinstance(transaction.action, RegisterNode) for transaction in body.transactions)
    if registrations > params.registrations_per_block:
        raise InvalidBlock(f"{registrations} registrations, {params.registrations_per_block} allowed in a block")
    accusing = [isinstance(transaction.action, Evidence) for transaction in body.transactions]
    if accusing != sorted(accusing, reverse=True):
        # Otherwise an offender could withdraw in the block that carries the evidence against it.
        raise InvalidBlock("evidence stands before all other transactions of a block")


def check_supply(draft: State) -> None:
    """minted − burned is owned by somebody, to the nano, after every block."""
    supply = draft.supply
    assert supply.circulating == supply.owned, f"{supply.circulating} nanos exist, {supply.owned} are owned"


def derive_header(executed: Executed, parent: Parent, chosen: Proposal, body: Body, network: Network) -> Header:
    draft, supply = executed.state, executed.state.supply
    is_following = draft.get(set_key(chosen.epoch + 1)) is not None  # fixed by the epoch's last block
    return Header(
        version=1,
        chain_id=network.chain_id,
        height=parent.height + 1,
        epoch=chosen.epoch,
        view=chosen.view,
        parent_hash=parent.hash,
        time_ms=chosen.time_ms,
        proposer=chosen.proposer,
        beacon_reveal=chosen.beacon_reveal,
        certificate_root=certificate_root(body.parent_certificate),
        proofs_root=merkle_root([proof.encode() for proof in body.proofs]),
        transactions_root=merkle_root([transaction.encode() for transaction in body.transactions]),
        rounds_root=merkle_root([encode_round_input(item) for item in body.rounds]),
        receipts_root=merkle_root([encode_receipt(receipt) for receipt in executed.receipts]),
        state_root=executed.state_root,
        validators_root=draft.validators_root(chosen.epoch),
        next_validators_root=draft.validators_root(chosen.epoch + 1) if is_following else ZERO,
        params_hash=network.params_hash,
        minted=supply.minted,
        burned=supply.burned,
        phase=phase_of(draft),
    )
