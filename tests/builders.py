"""Valid things, made short: a network of one, its ledger in memory, and everything that can stand in a block.

Every builder gives something valid unless a field is named otherwise; signatures are made last, over what was named.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from itertools import count
from typing import Any

from chain.address import address_of
from chain.block import (
    TRAINING,
    WHOLE,
    AvailabilityVote,
    Block,
    Body,
    Outcome,
    PayloadCommit,
    PayloadReveal,
    Proof,
    ResultVote,
    RoundInput,
    Validator,
    beacon_message,
    state_hash,
)
from chain.crypto import bls, ecdsa
from chain.crypto.hashing import ZERO, merkle_root
from chain.crypto.votes import NOTARIZE, Certificate, Evidence, Vote, evidence_of, vote_message
from chain.genesis import BootstrapValidator, Network, Parameter, genesis_state, parse_network
from chain.money import NEURO, Balance, BondedStake, mint
from chain.plants import plant_promise
from chain.receipts import Receipt
from chain.round_inputs import write_bitmap
from chain.rounds import counted_root
from chain.stakes import STAKING_KEY, Stake, ValidatorKey, stake_key, stake_of, staking, validator_key
from chain.state import Claim, NodeRecord, Round, State, ValidatorSet, claim_key, node_key, set_key
from chain.transactions import (
    Action,
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
    stamp_bits,
)
from chain.transfers import node_id
from chain.transition import Applied, Parent, Proposal, apply_block, build_block, epoch_of, genesis_parent
from chain.tree import Update

NO_SIGNATURE, NO_BLS_SIGNATURE = bytes(64), bytes(96)
SMALL = {
    "block_interval_min_ms": 1_000,
    "block_interval_ms": 1_000,
    "block_interval_max_ms": 10_000,
    "block_gas_maximum": 100_000,
    "base_fee_initial": 80,
    "base_fee_minimum": 10,
    "epoch_blocks": 8,
    "registrations_per_block": 2,
    "stamp_bits": 4,
    "proof_window_ms": 5_000,
    "inner_steps": 8,
    "segment_steps": 2,
    "sequences": 2,
    "sequence_length": 4,
    "seats": 8,
    "train_blocks": 6,
    "grace_blocks_minimum": 2,
    "reveal_blocks": 3,
    "hold_blocks": 3,
    "result_blocks": 3,
    "rate_batch_nanos": 500_000,
    "base_work_batches": 100,
    "vest_rounds": 2,
    "burn_basis_points": 500,
    "stake_minimum_nanos": 100 * NEURO,
    "stake_target_nanos": 400 * NEURO,
    "target_epochs": 2,
    "sunset_height": 1_000_000,
    "unbonding_epochs": 3,
    "jail_epochs": 2,
    "active_basis_points": 9_000,
    "downtime_basis_points": 5_000,
    "equivocation_basis_points": 500,
    "correlation_factor": 3,
    "reporter_maximum_nanos": NEURO,
    "lane_gas_maximum": 25_000,
    "rate_minute_nanos": 100_000,
    "rate_sample_nanos": 10_000,
    "uptime_basis_points": 500,
    "data_basis_points": 1_000,
    "audit_warmup_rounds": 0,
    "audit_steady_basis_points": 0,  # nobody is audited, but see AUDITED
    "audit_floor_rounds": 4,
    "audit_floor_basis_points": 0,
    "audit_second_basis_points": 1_000,
    "plant_basis_points": 500,
    "audit_attempts": 3,
    "opening_blocks": 3,
    "audit_blocks": 4,
    "showing_blocks": 3,
    "challenge_blocks": 4,
    "dispute_blocks": 5,
    "audit_pay_basis_points": 1_000,
    "audit_misses": 3,
    "audit_fault_basis_points": 200,
    "fraud_basis_points": 1_000,
    "suspension_rounds": 5,
    "tolerance_theta_billionths": 200_000,
    "tolerance_m_billionths": 1_000_000,
    "tolerance_v_billionths": 1_000_000,
    "holders": 2,
    "corpus_shards": 4,
}

AUDITED = {"audit_warmup_rounds": 2, "audit_steady_basis_points": 4_000, "audit_floor_basis_points": 2_000}


@dataclass(frozen=True, slots=True)
class Key:
    """A wallet's or a node's key pair."""

    secret: bytes

    @property
    def public(self) -> bytes:
        return _public(self.secret)

    @property
    def address(self) -> bytes:
        return address_of(self.public)

    @property
    def node(self) -> bytes:
        return node_id(self.public)

    def sign(self, digest: bytes) -> bytes:
        return ecdsa.sign(self.secret, digest)


@cache
def _public(secret: bytes) -> bytes:
    return ecdsa.public_key(secret)


def a_key(name: str) -> Key:
    return Key(named(name))


def named(name: str) -> bytes:
    """32 bytes that depend on the name only."""
    return sha256(name.encode()).digest()


ALICE, BOB, CAROL, FOUNDER = map(a_key, ("alice", "bob", "carol", "founder"))
NODE, OTHER_NODE = a_key("node"), a_key("other node")


# The BLS secrets behind all validator keys that were asked for: a block needs its proposer's.
_secrets: dict[bytes, int] = {}


@cache
def validator_key_of(secret: int) -> bytes:
    """The public key of a BLS secret, which `secret_of` finds again."""
    public_key = bls.public_key(secret)
    _secrets[public_key] = secret
    return public_key


def secret_of(public_key: bytes) -> int:
    return _secrets[public_key]


def voting_secret(wallet: Key) -> int:
    """The secret of the validator that a wallet runs."""
    return 1_000 + int.from_bytes(wallet.secret[:4], "big")


def voting_key(wallet: Key) -> bytes:
    return validator_key_of(voting_secret(wallet))


@cache
def validator_secrets(size: int) -> tuple[int, ...]:
    """BLS secrets of the bootstrap validators in the order that these have in the first set."""
    return tuple(sorted(range(1, size + 1), key=validator_key_of))


@cache
def _possession(secret: int) -> bytes:
    return bls.prove_possession(secret)


def a_network(validators: int = 1, name: bytes = b"test", **params: int) -> Network:
    """A checked network of small numbers. Keyword arguments replace `chain.*` parameters."""
    numbers = SMALL | params
    if "lane_gas_maximum" not in params:
        numbers["lane_gas_maximum"] = min(numbers["lane_gas_maximum"], numbers["block_gas_maximum"] - 1)
    network = Network(
        name=name,
        created_ms=1_000_000,
        model_seed=named("seed"),
        tokenizer_hash=named("tokenizer"),
        corpus_root=named("corpus"),
        start=an_outcome("genesis"),
        parameters=tuple(Parameter(f"chain.{key}".encode(), numbers[key]) for key in sorted(numbers)),
        validators=tuple(
            BootstrapValidator(bls.public_key(secret), _possession(secret), FOUNDER.address)
            for secret in validator_secrets(validators)
        ),
    )
    return parse_network(network.file_bytes())


def an_outcome(name: str = "result", **changes: bytes) -> Outcome:
    roots = {key: named(f"{name} {key}") for key in ("counted_root", "model_root", "weights_root", "momentum_root")}
    return Outcome(**(roots | {key: named(f"{name} {key}") for key in ("aggregate_root", "trust_root")} | changes))


@dataclass
class Chain:
    """The ledger of one network in memory. `block` makes a block, has it judged from its bytes, and keeps it."""

    network: Network = field(default_factory=a_network)
    records: dict[bytes, bytes] = field(default_factory=dict)
    nodes: dict[bytes, bytes] = field(default_factory=dict)
    blocks: list[Applied] = field(default_factory=list)
    parent: Parent = field(init=False)

    def __post_init__(self) -> None:
        self.parent = genesis_parent(self.network, ZERO)
        self._keep_outside_of_blocks(genesis_state(self.network))

    @property
    def state(self) -> State:
        return State(self.records.get)

    @property
    def height(self) -> int:
        return self.parent.height

    @property
    def round(self) -> Round:
        """The newest round."""
        state = self.state
        current = state.round(state.ledger.round)
        assert current is not None
        return current

    @property
    def receipts(self) -> tuple[Receipt, ...]:
        """Of the last block."""
        return self.blocks[-1].receipts

    @property
    def epoch(self) -> int:
        """Of the next block."""
        return epoch_of(self.height + 1, self.network.params)

    @property
    def members(self) -> tuple[Validator, ...]:
        """The set that votes on the next block."""
        return self.state.validators(self.epoch).members

    def balance(self, key: Key) -> int:
        return self.state.account(key.address).balance

    def stake(self, key: Key) -> Stake:
        return stake_of(self.state, key.address)

    @property
    def next_time(self) -> int:
        return self.parent.time_ms + self.network.params.block_interval_min_ms

    def proposal(self, **changes: Any) -> Proposal:
        epoch = changes.pop("epoch", self.epoch)
        view = changes.pop("view", self.parent.view + 1 if epoch == self.parent.epoch else 1)
        proposer = changes.pop("proposer", 0)
        members = self.members
        secret = secret_of(members[proposer % len(members)].public_key)
        reveal = bls.sign(secret, beacon_message(self.network.chain_id, epoch, view))
        return replace(Proposal(epoch, view, self.next_time, proposer, reveal), **changes)

    def build(
        self,
        transactions: Iterable[Transaction] = (),
        proofs: Iterable[Proof] = (),
        rounds: Iterable[RoundInput] = (),
        **chosen: Any,
    ) -> Block:
        """A block on the tip, not kept."""
        certificate = chosen.pop("certificate", b"")
        return self._built(Body(tuple(proofs), tuple(transactions), tuple(rounds), certificate), **chosen).block

    def _built(self, body: Body, **chosen: Any) -> Applied:
        return build_block(self.state, self.parent, self.proposal(**chosen), body, self.network, self.nodes.get)

    def try_block(self, *transactions: Transaction) -> None:
        """Execute a body of these transactions and forget it. Raises what the rules have against it."""
        place = self.state, self.parent, self.proposal(), Body((), transactions, (), b"")
        build_block(*place, self.network, self.nodes.get)

    def judge(self, block: Block) -> Applied:
        """What a stranger's block brings about. Raises; keeps nothing."""
        received = Block.decode(block.encode())
        return apply_block(self.state, self.parent, received, self.network, self.nodes.get)

    def block(self, *args: Any, **named_args: Any) -> Applied:
        """Build, judge and keep a block."""
        return self._append(self.judge(self.build(*args, **named_args)))

    def _append(self, applied: Applied) -> Applied:
        self._keep(applied.state, applied.tree)
        self.parent = applied.parent
        self.blocks.append(applied)
        return applied

    def quick_block(self, *transactions: Transaction, certificate: bytes = b"") -> Applied:
        """A block that is not judged again: that costs a pairing."""
        place = self.state, self.parent, self.proposal(), Body((), transactions, (), certificate)
        return self._append(build_block(*place, self.network, self.nodes.get))

    def empty_blocks(self, number: int) -> None:
        """Time passes."""
        for _ in range(number):
            self.quick_block()

    def end_epoch(self) -> None:
        """Empty blocks up to and with the last one of the running epoch."""
        epoch = self.network.params.epoch_blocks
        self.empty_blocks(epoch - self.height % epoch)

    def end_epochs(self, number: int) -> None:
        for _ in range(number):
            self.end_epoch()

    def fund(self, key: Key, amount: int) -> None:
        """Nanos out of nowhere, as if they had been earned before."""
        draft = self.state.fork()
        mint(draft, Balance(key.address), amount)
        self._keep_outside_of_blocks(draft)

    def register(self, *nodes: Key, wallet: Key = ALICE) -> None:
        """Tie nodes to a wallet, two a block."""
        for i in range(0, len(nodes), 2):
            first = self.state.account(wallet.address).nonce
            pair = nodes[i : i + 2]
            self.block([a_registration(self, wallet=wallet, node=node, nonce=first + j) for j, node in enumerate(pair)])

    def seat(self, *wallets: Key, amount: int | None = None) -> None:
        """Validators with stake in the running set, as if they had bonded long ago."""
        draft = self.state.fork()
        stake = self.network.params.stake_minimum_nanos if amount is None else amount
        powers = {member.public_key: member.power for member in self.members}
        for wallet in wallets:
            mint(draft, BondedStake(wallet.address), stake)
            key, bonded = voting_key(wallet), stake_of(draft, wallet.address).bonded
            powers[key] = powers.get(key, 0) + stake
            draft.put(stake_key(wallet.address), Stake(public_key=key, bonded=bonded, power=bonded))
            draft.put(validator_key(key), ValidatorKey(wallet.address, False))
        known = staking(draft)
        everybody = {*known.validators, *(wallet.address for wallet in wallets)}
        draft.put(STAKING_KEY, replace(known, validators=tuple(sorted(everybody))))
        draft.put(set_key(self.epoch), ValidatorSet(tuple(Validator(*item) for item in sorted(powers.items()))))
        self._keep_outside_of_blocks(draft)

    def _keep_outside_of_blocks(self, state: State) -> None:
        tree = Update(self.nodes.get)
        self.parent = replace(self.parent, state_root=tree.apply(self.parent.state_root, state.changes))
        self._keep(state, tree)

    def _keep(self, state: State, tree: Update) -> None:
        for digest in tree.stale:
            del self.nodes[digest]
        self.nodes |= tree.fresh
        for key, value in state.changes.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value


# ---- Transactions


def a_transaction(
    chain: Chain, action: Action, sender: Key = ALICE, chain_id: bytes = b"", **changes: Any
) -> Transaction:
    base_fee = chain.state.ledger.base_fee
    fees = (0, 0) if isinstance(action, RegisterNode) else (base_fee, 0)
    nonce = chain.state.account(sender.address).nonce
    unsigned = replace(Transaction(sender.public, nonce, *fees, action, NO_SIGNATURE), **changes)
    if "signature" in changes:
        return unsigned
    return replace(unsigned, signature=sender.sign(unsigned.id(chain_id or chain.network.chain_id)))


def a_transfer(chain: Chain, amount: int, payee: Key = BOB, **changes: Any) -> Transaction:
    return a_transaction(chain, Transfer(payee.address, amount), **changes)


def a_service_payment(chain: Chain, amount: int, payee: Key = BOB, **changes: Any) -> Transaction:
    return a_transaction(chain, ServicePayment(payee.address, amount, named("reference")), **changes)


def a_registration(
    chain: Chain, wallet: Key = ALICE, node: Key = NODE, intent: bool = False, stamp: int | None = None, **changes: Any
) -> Transaction:
    if stamp is None:
        stamp = a_stamp(chain, wallet, node, chain.network.params.stamp_bits)
    consent = node.sign(node_consent(chain.network.chain_id, node.public, wallet.public, intent))
    return a_transaction(chain, RegisterNode(node.public, intent, stamp, consent), sender=wallet, **changes)


def a_multi_transfer(chain: Chain, *payments: tuple[Key, int], **changes: Any) -> Transaction:
    paid = tuple(Payment(payee.address, amount) for payee, amount in payments)
    return a_transaction(chain, MultiTransfer(paid), **changes)


def a_retirement(chain: Chain, wallet: Key = ALICE, node: Key = NODE, **changes: Any) -> Transaction:
    farewell = node.sign(node_farewell(chain.network.chain_id, node.public, wallet.public))
    return a_transaction(chain, RetireNode(node.public, farewell), sender=wallet, **changes)


def a_stamp(chain: Chain, wallet: Key, node: Key, least: int, below: int = 257) -> int:
    """A stamp of at least `least` zero bits, and fewer than `below`."""
    chain_id = chain.network.chain_id
    return next(s for s in count() if least <= stamp_bits(chain_id, node.public, wallet.public, s) < below)


# ---- Stake


def a_possession(chain: Chain, wallet: Key = ALICE, voter: Key | None = None) -> bytes:
    """The word of `voter`'s validator key that it votes for a wallet."""
    voter = voter or wallet
    return bls.sign(voting_secret(voter), bond_consent(chain.network.chain_id, voting_key(voter), wallet.address))


def a_bond(
    chain: Chain, amount: int | None = None, wallet: Key = ALICE, possession: bytes | None = None, **changes: Any
) -> Transaction:
    """Bond the minimum, or `amount`, to the wallet's own validator key, or to that of `voter`."""
    voter = changes.pop("voter", wallet)
    nanos = chain.network.params.stake_minimum_nanos if amount is None else amount
    shown = a_possession(chain, wallet, voter) if possession is None else possession
    public_key = changes.pop("public_key", voting_key(voter))
    return a_transaction(chain, Bond(nanos, public_key, shown), sender=wallet, **changes)


def an_unbond(chain: Chain, amount: int, wallet: Key = ALICE, **changes: Any) -> Transaction:
    return a_transaction(chain, Unbond(amount), sender=wallet, **changes)


def a_withdrawal(chain: Chain, wallet: Key = ALICE, **changes: Any) -> Transaction:
    return a_transaction(chain, Withdraw(), sender=wallet, **changes)


def an_unjail(chain: Chain, wallet: Key = ALICE, **changes: Any) -> Transaction:
    return a_transaction(chain, Unjail(), sender=wallet, **changes)


def a_vote(chain: Chain, secret: int, kind: int = NOTARIZE, block: bytes = ZERO, view: int = 1, **changes: Any) -> Vote:
    """A vote under the BLS secret of a member of the running set, or of the `epoch` named."""
    epoch = changes.pop("epoch", chain.epoch)
    signer = changes.pop("signer", None)
    if signer is None:
        keys = [member.public_key for member in chain.state.validators(epoch).members]
        signer = keys.index(validator_key_of(secret))
    signed_for = changes.pop("chain_id", chain.network.chain_id)
    signature = bls.sign(secret, vote_message(signed_for, kind, epoch, view, block))
    return replace(Vote(kind, epoch, view, block, signer, signature), **changes)


def evidence_against(chain: Chain, offender: Key | int, **changes: Any) -> Evidence:
    """Two notarizations of one view by a wallet's validator, or by the owner of a BLS secret."""
    secret = offender if isinstance(offender, int) else voting_secret(offender)
    votes = (a_vote(chain, secret, block=named(name), **changes) for name in ("one block", "another"))
    return evidence_of(*votes)


def a_report(
    chain: Chain, offender: Key | int = ALICE, reporter: Key = BOB, evidence: Evidence | None = None, **changes: Any
) -> Transaction:
    """A transaction that carries evidence, by default `evidence_against` the offender."""
    place = {name: changes.pop(name) for name in ("epoch", "view") if name in changes}
    proven = evidence_against(chain, offender, **place) if evidence is None else evidence
    return a_transaction(chain, proven, sender=reporter, **changes)


def a_certificate(chain: Chain, signers: Iterable[int], **changes: Any) -> bytes:
    """The notarization of the tip by these places of its set. Its signature is not for the ledger to check."""
    tip = chain.parent
    bitmap = bytearray(-(-len(chain.state.validators(tip.epoch).members) // 8))
    for place in signers:
        bitmap[place >> 3] |= 1 << (place & 7)
    certificate = Certificate(NOTARIZE, tip.epoch, tip.view, tip.hash, bytes(bitmap), NO_BLS_SIGNATURE)
    return replace(certificate, **changes).encode()


# ---- Work


def state_parts(node: Key, number: int, segment: int) -> tuple[bytes, bytes, bytes]:
    """The roots of made-up weights and moments after a segment."""
    name = f"{node.node.hex()} {number} {segment}"
    return named(f"theta {name}"), named(f"m {name}"), named(f"v {name}")


def a_proof(chain: Chain, node: Key = NODE, signer: Key | None = None, **changes: Any) -> Proof:
    """The node's next segment of the newest round, or of the round named."""
    state, params = chain.state, chain.network.params
    record = state.find(NodeRecord, node_key(node.node))
    number = changes.get("round", state.ledger.round)
    current = state.round(number)
    claim = state.find(Claim, claim_key(number, node.node))
    base = current.base if current else an_outcome("no round")
    segment = len(claim.states) if claim else 0
    sequences = params.segment_steps * params.sequences
    proof = Proof(
        node=node.node,
        wallet=record.wallet if record else ALICE.address,
        kind=TRAINING,
        role=WHOLE,
        first_layer=0,
        last_layer=0xFFFF,
        round=number,
        segment=segment,
        base_root=base.outer_root,
        data_first=segment * sequences,
        data_count=sequences,
        batches=params.segment_steps,
        tokens=params.segment_steps * params.batch_tokens,
        samples=0,
        state_before=claim.states[-1] if claim else base.carried_state(record.averages_root if record else ZERO),
        state_after=state_hash(*state_parts(node, number, segment)),
        loss_milli=9_000 - 100 * segment,
        time_ms=chain.next_time,
        nonce=record.proofs if record else 0,
        previous_proof=claim.last_proof if claim else ZERO,
        signature=NO_SIGNATURE,
    )
    proof = replace(proof, **changes)
    if "signature" in changes:
        return proof
    return replace(proof, signature=(signer or node).sign(proof.id(chain.network.chain_id)))


def plant_secret(node: Key, number: int) -> bytes:
    """What a node promises in its reveal of a round."""
    return named(f"plant {node.node.hex()} {number}")


def a_reveal(chain: Chain, node: Key = NODE, signer: Key | None = None, **changes: Any) -> PayloadReveal:
    number = changes.get("round", chain.round.number)
    claim = chain.state.find(Claim, claim_key(number, node.node))
    states = claim.states if claim else ()
    theta_root, m_root, v_root = state_parts(node, number, len(states) - 1)
    reveal = PayloadReveal(
        round=number,
        node=node.node,
        salt=named(f"salt {node.node.hex()} {number}"),
        payload_root=named(f"payload {node.node.hex()} {number}"),
        payload_bytes=1_000,
        states_root=merkle_root(states),
        theta_root=theta_root,
        m_root=m_root,
        v_root=v_root,
        steps=len(states) * chain.network.params.segment_steps,
        distances=tuple(range(1, len(states) + 1)),
        plant=plant_promise(plant_secret(node, number)),
        signature=NO_SIGNATURE,
    )
    reveal = replace(reveal, **changes)
    if "signature" in changes:
        return reveal
    return replace(reveal, signature=(signer or node).sign(reveal.digest(chain.network.chain_id)))


def a_commit(
    chain: Chain, node: Key = NODE, reveal: PayloadReveal | None = None, signer: Key | None = None, **changes: Any
) -> PayloadCommit:
    """A promise of `reveal`, or of what `a_reveal` will give."""
    hidden = (reveal or a_reveal(chain, node)).commitment(chain.network.chain_id)
    commit = replace(PayloadCommit(chain.round.number, node.node, hidden, NO_SIGNATURE), **changes)
    if "signature" in changes:
        return commit
    return replace(commit, signature=(signer or node).sign(commit.digest(chain.network.chain_id)))


def an_availability_vote(
    chain: Chain, validator: int = 0, held: Sequence[bool] | None = None, signer: int | None = None, **changes: Any
) -> AvailabilityVote:
    """A validator that holds every revealed payload, or those flagged."""
    flags = [True] * len(chain.round.revealed) if held is None else held
    vote = replace(AvailabilityVote(chain.round.number, validator, write_bitmap(flags), NO_BLS_SIGNATURE), **changes)
    if "signature" in changes:
        return vote
    return replace(vote, signature=_vote(chain, validator if signer is None else signer, vote.digest))


def a_result_vote(
    chain: Chain, validator: int = 0, outcome: Outcome | None = None, signer: int | None = None, **changes: Any
) -> ResultVote:
    """A validator that found `outcome`, by default some result over the counted payloads."""
    if outcome is None:
        root = counted_root(chain.state, chain.round)
        outcome = an_outcome(f"result {chain.round.number}", counted_root=root)
    vote = replace(ResultVote(chain.round.number, validator, outcome, NO_BLS_SIGNATURE), **changes)
    if "signature" in changes:
        return vote
    return replace(vote, signature=_vote(chain, validator if signer is None else signer, vote.digest))


def _vote(chain: Chain, validator: int, digest: Any) -> bytes:
    members = chain.state.validators(chain.round.set_epoch).members
    secret = secret_of(members[validator % len(members)].public_key)
    return bls.sign(secret, digest(chain.network.chain_id))


def _quorum(chain: Chain) -> range:
    """Just enough of the validators that attest the round, from the first place on."""
    powers = [member.power for member in chain.state.validators(chain.round.set_epoch).members]
    return range(next(n for n in count(1) if 3 * sum(powers[:n]) > 2 * sum(powers)))


# ---- The stations of a round


def a_training_chain(*nodes: Key, network: Network | None = None) -> Chain:
    """A chain whose round 1 is in its training phase, with these nodes (one by default) in it."""
    chain = Chain(network or a_network())
    chain.register(*(nodes or (NODE,)))
    chain.block()
    return chain


def train(chain: Chain, *nodes: Key, segments: int | None = None) -> None:
    """Prove segments, one of each node a block."""
    for _ in range(chain.network.params.segments if segments is None else segments):
        chain.block(proofs=[a_proof(chain, node) for node in nodes or (NODE,)])


def commit(chain: Chain, *nodes: Key) -> None:
    chain.block(rounds=[a_commit(chain, node) for node in nodes or (NODE,)])


def reveal(chain: Chain, *nodes: Key) -> None:
    chain.block(rounds=[a_reveal(chain, node) for node in nodes or (NODE,)])


def everybody_holds(chain: Chain) -> None:
    """Just enough validators hold all payloads."""
    chain.block(rounds=[an_availability_vote(chain, validator) for validator in _quorum(chain)])


def everybody_agrees(chain: Chain) -> None:
    chain.block(rounds=[a_result_vote(chain, validator) for validator in _quorum(chain)])


def a_full_round(chain: Chain, *nodes: Key) -> None:
    """From the training phase to the next round's training phase."""
    train(chain, *nodes)
    commit(chain, *nodes)
    reveal(chain, *nodes)
    everybody_holds(chain)
    everybody_agrees(chain)
    chain.block()
