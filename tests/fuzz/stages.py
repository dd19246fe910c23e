"""States in which a lot is allowed: a valid transaction of every type, and a valid block in every phase of a round."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from chain.address import address_of
from chain.block import (
    AvailabilityVote,
    Block,
    Body,
    PayloadCommit,
    PayloadReveal,
    ResultVote,
    RoundInput,
)
from chain.codec import Wire
from chain.crypto import bls
from chain.crypto.votes import Evidence, Vote, vote_message
from chain.genesis import Network
from chain.money import NEURO
from chain.state import ROUND_PHASES, NodeRecord, State, node_key
from chain.transactions import (
    Bond,
    MultiTransfer,
    Payment,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    Unbond,
    Unjail,
    Withdraw,
    bond_consent,
    node_consent,
    node_farewell,
)
from chain.transfers import Place, apply_transaction
from chain.transition import Applied, Parent, Proposal, apply_block, build_block
from tests.builders import BOB, CAROL, FOUNDER, NODE, Key, a_network, a_registration, named, validator_secrets
from tests.chain.played_chain import PlayedChain, stakers

PEOPLE = stakers(8)
NETWORK = a_network(
    validators=2,
    name=b"stages",
    epoch_blocks=4,
    stamp_bits=0,
    unbonding_epochs=2,
    jail_epochs=1,
    block_gas_maximum=900_000,
    lane_gas_maximum=60_000,
    rate_batch_nanos=NEURO,
    vest_rounds=1,
)


@dataclass(frozen=True, slots=True)
class Stage:
    """A parent's state, and a block that is valid on it."""

    name: str
    records: dict[bytes, bytes]
    nodes: dict[bytes, bytes]
    parent: Parent
    block: Block
    network: Network = NETWORK

    @property
    def state(self) -> State:
        return State(self.records.get)

    @property
    def place(self) -> Place:
        """Where a transaction of the next block is executed."""
        return Place(self.parent.height + 1, self.block.header.epoch, FOUNDER.address)


@cache
def stages() -> tuple[Stage, ...]:
    """One in which every type of transaction is valid, then one per phase of the following round."""
    chain = PlayedChain(NETWORK, people=list(PEOPLE))
    for person in PEOPLE:
        chain.fund(person.wallet, 1_000 * NEURO)
    for first in range(0, 6, 2):
        pair = PEOPLE[first : first + 2]
        chain.step(*(a_registration(chain, wallet=p.wallet, node=p.node, stamp=0) for p in pair))
    for person in PEOPLE[:6]:
        chain.step(chain.bond(person, 100 * NEURO))
    chain.until(lambda: all(chain.place(person.validator) is not None for person in PEOPLE[:6]))
    jailed, left = PEOPLE[3], PEOPLE[4]
    chain.absent.add(jailed.validator)
    chain.step(chain.signed(left, Unbond(100 * NEURO)))
    chain.until(lambda: chain.stake_by(jailed).jailed_until > 0)
    chain.absent.clear()
    chain.until(lambda: bool(chain.stake_by(left).exits))
    chain.until(lambda: chain.epoch >= max(chain.stake_by(jailed).jailed_until, chain.stake_by(left).exits[0]))
    found = [_stage(chain, "everything", tuple(every_transaction(chain).values()))]
    return (*found, *_phases(chain))


def _phases(chain: PlayedChain) -> Iterator[Stage]:
    seen: set[int] = set()
    while seen < {2, 3, 4, 5}:
        phase = chain.round.phase
        if phase not in seen and 2 <= phase <= 5:
            seen.add(phase)
            yield _stage(chain, ROUND_PHASES[phase], ())
        chain.step()
    chain.steps(-(chain.height + 1) % NETWORK.params.epoch_blocks)
    yield _stage(chain, "the epoch's end", ())


def _stage(chain: PlayedChain, name: str, transactions: tuple[Transaction, ...]) -> Stage:
    before = dict(chain.records), dict(chain.nodes), chain.parent
    applied = chain.step(*transactions)
    return Stage(name, *before, applied.block)


def every_transaction(chain: PlayedChain) -> dict[type[Wire], Transaction]:
    """One of each type, all valid in one block in this order."""
    sender, other, third, jailed, left, sixth, newcomer, late = PEOPLE
    made = [
        chain.signed(other, chain.double_vote(sender.validator, chain.epoch - 1)),
        chain.signed(sender, Transfer(BOB.address, NEURO), tip=5, max_fee=1_000),
        chain.signed(third, MultiTransfer((Payment(BOB.address, 5), Payment(CAROL.address, 7)))),
        a_registration(chain, wallet=late.wallet, node=late.node, stamp=0),
        chain.farewell(sixth),
        chain.bond(newcomer, 150 * NEURO),
        chain.signed(third, Unbond(100 * NEURO), nonce=_nonce(chain, third.wallet) + 1),
        chain.signed(left, Withdraw()),
        chain.signed(jailed, Unjail()),
        chain.signed(other, ServicePayment(BOB.address, 999, named("r")), nonce=_nonce(chain, other.wallet) + 1),
    ]
    return {type(transaction.action): transaction for transaction in made}


def _nonce(chain: PlayedChain, wallet: Key) -> int:
    return chain.state.account(wallet.address).nonce


# ---- Signatures that fit what was changed


KEYS = {key.public: key for person in PEOPLE for key in (person.wallet, person.node)} | {NODE.public: NODE}
SECRETS = {bls.public_key(secret): secret for secret in validator_secrets(2)} | {p.validator: p.secret for p in PEOPLE}


def signed_again(stage: Stage, transaction: Transaction, nonce: bool = True) -> Transaction:
    """The transaction with every signature that its keys' owners could give it, and the right nonce."""
    chain_id = stage.network.chain_id
    key = KEYS.get(transaction.sender, PEOPLE[0].wallet)
    action: Any = transaction.action
    match action:
        case RegisterNode(node_key=node, validator_intent=intent) if node in KEYS:
            signature = KEYS[node].sign(node_consent(chain_id, node, key.public, intent))
            action = replace(action, node_signature=signature)
        case RetireNode(node_key=node) if node in KEYS:
            action = replace(action, node_signature=KEYS[node].sign(node_farewell(chain_id, node, key.public)))
        case Bond(public_key=public) if public in SECRETS:
            consent = bond_consent(chain_id, public, address_of(key.public))
            action = replace(action, possession=bls.sign(SECRETS[public], consent))
        case Evidence(first=first, second=second):
            action = Evidence(_voted_again(stage, first), _voted_again(stage, second))
    right = stage.state.account(key.address).nonce
    sent = replace(transaction, sender=key.public, action=action, nonce=right if nonce else transaction.nonce)
    return replace(sent, signature=key.sign(sent.id(chain_id)))


def _voted_again(stage: Stage, vote: Vote) -> Vote:
    secret = _secret_at(stage, vote.epoch, vote.signer)
    message = vote_message(stage.network.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
    return vote if secret is None else replace(vote, signature=bls.sign(secret, message))


def _secret_at(stage: Stage, epoch: int, place: int) -> int | None:
    known = stage.records.get(b"s" + epoch.to_bytes(8, "big"))
    members = stage.state.validators(epoch).members if known else ()
    return SECRETS.get(members[place].public_key) if place < len(members) else None


def body_signed_again(stage: Stage, body: Body) -> Body:
    """The body with signatures that fit. Nonces stay: one sender may have several transactions in it."""
    return replace(
        body,
        transactions=tuple(signed_again(stage, each, nonce=False) for each in body.transactions),
        proofs=tuple(_by_its_node(stage, proof, proof.id(stage.network.chain_id)) for proof in body.proofs),
        rounds=tuple(_input_signed_again(stage, item) for item in body.rounds),
    )


def _by_its_node(stage: Stage, item: Any, digest: bytes) -> Any:
    record = stage.state.find(NodeRecord, node_key(item.node))
    return item if record is None else replace(item, signature=KEYS[record.public_key].sign(digest))


def _input_signed_again(stage: Stage, item: RoundInput) -> RoundInput:
    digest = item.digest(stage.network.chain_id)
    match item:
        case PayloadCommit() | PayloadReveal():
            signed: RoundInput = _by_its_node(stage, item, digest)
            return signed
        case AvailabilityVote() | ResultVote():
            current = stage.state.round(item.round)
            secret = _secret_at(stage, current.set_epoch, item.validator) if current else None
            return item if secret is None else replace(item, signature=bls.sign(secret, digest))


# ---- Judging


def judged(stage: Stage, block: Block, reveal_checked: bool = False) -> Applied:
    """`apply_block`, after which the parent is as it was. Raises what the ledger raises."""
    state, records, nodes = stage.state, dict(stage.records), dict(stage.nodes)
    try:
        return apply_block(state, stage.parent, block, stage.network, stage.nodes.get, reveal_checked)
    finally:
        assert (state.changes, stage.records, stage.nodes) == ({}, records, nodes)


def built(stage: Stage, block: Block) -> Applied:
    """What a proposer with this header and body would have made."""
    header = block.header
    chosen = Proposal(header.epoch, header.view, header.time_ms, header.proposer, header.beacon_reveal)
    return build_block(stage.state, stage.parent, chosen, block.body, stage.network, stage.nodes.get)


def executed(stage: Stage, transaction: Transaction) -> State:
    """The draft after one transaction, after which the parent is as it was. Raises what the ledger raises."""
    state, records = stage.state, dict(stage.records)
    draft = state.fork()
    try:
        apply_transaction(draft, transaction, stage.place, stage.network)
        return draft
    finally:
        assert (state.changes, stage.records) == ({}, records)


def donor_objects() -> list[Wire]:
    """Valid objects whose fields may be put into each other."""
    found: list[Wire] = []
    for stage in stages():
        found += [stage.block, *stage.block.body.transactions, *stage.block.body.proofs, *stage.block.body.rounds]
    return found
