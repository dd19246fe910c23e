"""Making the body of a block: whatever the state accepts, in the order in which the rules apply it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from chain.block import Body, Proof, RoundInput
from chain.errors import NeuroError
from chain.fees import proof_gas, transaction_gas
from chain.genesis import Network
from chain.proofs import apply_proof, check_proof
from chain.round_inputs import apply_round_input
from chain.rounds import advance
from chain.state import NodeRecord, State, node_key
from chain.transactions import Transaction
from chain.transfers import Place, apply_transaction
from chain.transition import Parent, Proposal, mix_beacon
from chain.validators import proposer_payout
from node.declarations import Candidacy
from node.identity import Identity
from node.mempool import Mempool
from node.mempool_queue import EVIDENCE, PAYING, REGISTRATION, lane_of
from node.round_driver import RoundDriver

PROOFS_PER_BLOCK = 1024
INPUTS_PER_BLOCK = 64
TRANSACTIONS_PER_BLOCK = 4096  # a body's encoding has no room for more
# A block is closed after so many who would pay and did not apply or fit: a mempool full of them must not hold it up.
# Evidence and registrations that fail do not count: few of them can wait, and they must not close it to who pays.
MISSES = 128


@dataclass(slots=True)
class Registration:
    """This node's wish to be registered; the stamp has been found already."""

    identity: Identity
    stamp: int
    validator_intent: bool

    def transaction(self, state: State, chain_id: bytes) -> Transaction | None:
        """The registration, unless the ledger has it."""
        if state.find(NodeRecord, node_key(self.identity.node)) is not None:
            return None
        nonce = state.account(self.identity.address).nonce
        return self.identity.registration(nonce, self.stamp, self.validator_intent, chain_id)


@dataclass(slots=True)
class Filling:
    """The transactions of a block while they are chosen. What is taken is applied to `draft`."""

    draft: State
    place: Place
    network: Network
    taken: list[Transaction] = field(default_factory=list)
    gas: int = 0  # of those who pay
    lane_gas: int = 0  # of registrations, in the lane that they share with proofs
    registrations: int = 0
    misses: int = 0

    @property
    def is_closed(self) -> bool:
        return self.misses >= MISSES or len(self.taken) >= TRANSACTIONS_PER_BLOCK

    def has_room(self, gas: int, lane: int) -> bool:
        """Whether so much gas fits. Those who pay leave the lane of proofs and registrations free."""
        params = self.network.params
        if lane == REGISTRATION:
            is_free = self.registrations < params.registrations_per_block
            return is_free and self.lane_gas + gas <= params.lane_gas_maximum
        fits = self.gas + gas <= params.block_gas_maximum - params.lane_gas_maximum
        self.misses += not fits
        return fits

    def offer(self, transaction: Transaction) -> bool:
        """Take a transaction for which there is room, if it applies."""
        attempt = self.draft.fork()
        try:
            apply_transaction(attempt, transaction, self.place, self.network)
        except NeuroError:
            self.misses += lane_of(transaction) == PAYING
            return False
        self.draft.merge(attempt)
        self.taken.append(transaction)
        if lane_of(transaction) == REGISTRATION:
            self.lane_gas += transaction_gas(transaction)
            self.registrations += 1
        else:
            self.gas += transaction_gas(transaction)
        return True

    def offer_all(self, transactions: Sequence[Transaction]) -> None:
        for each in transactions:
            if self.has_room(transaction_gas(each), lane_of(each)):
                self.offer(each)


class Producer:
    """Fills blocks from the mempool and from what this node has to say itself."""

    def __init__(self, network: Network, driver: RoundDriver, mempool: Mempool) -> None:
        self.network = network
        self.params = network.params
        self.driver = driver
        self.mempool = mempool
        self.registration: Registration | None = None
        self.candidacy: Candidacy | None = None

    def has_news(self, state: State, time_ms: int) -> bool:
        """Whether a block would hold anything."""
        waits = self.mempool.has_ready(state.ledger.base_fee)
        return bool(waits or self._own_transactions(state) or self.driver.proofs(state, time_ms))

    def is_urgent(self, state: State) -> bool:
        return bool(self._own_transactions(state)) or self.driver.is_urgent(state)

    def body(self, state: State, parent: Parent, chosen: Proposal, certificate: bytes) -> Body:
        """A body that `build_block` accepts on `state`. What breaks a rule is left out."""
        draft = state.fork()
        mix_beacon(draft, chosen)
        height = parent.height + 1
        filling = self._transactions(draft, height, chosen)
        proofs = self._proofs(draft, chosen, filling)
        advance(draft, height, chosen.epoch, self.params)
        return Body(tuple(proofs), tuple(filling.taken), tuple(self._inputs(draft, height, chosen)), certificate)

    def _own_transactions(self, state: State) -> list[Transaction]:
        wish = self.registration and self.registration.transaction(state, self.network.chain_id)
        return [wish] if wish else self._candidacy(state)

    def _candidacy(self, state: State) -> list[Transaction]:
        """What this node says as a validator to be; what its wallet has handed in takes the next nonces before it."""
        wish = self.candidacy and self.candidacy.transaction(state)
        return [wish] if wish and not self.mempool.before(replace(wish, nonce=wish.nonce + 1)) else []

    def _transactions(self, draft: State, height: int, chosen: Proposal) -> Filling:
        """Evidence, this node's own, then the others as the mempool ranks them."""
        place = Place(height, chosen.epoch, proposer_payout(draft, chosen.epoch, chosen.proposer, self.network))
        filling = Filling(draft, place, self.network)
        own = self._own_transactions(draft)
        order = self.mempool.order(draft.ledger.base_fee)
        while not filling.is_closed and (waiting := order.next()) is not None:
            if waiting.lane != EVIDENCE and own:
                filling.offer_all(own)
                own = []
            # A parent that is not final yet may hold what the mempool still keeps.
            ahead = draft.account(waiting.sender).nonce - waiting.nonce
            if ahead > 0:
                order.advance()
            elif ahead < 0:
                continue
            elif filling.has_room(waiting.gas, waiting.lane):
                if filling.offer(waiting.transaction):
                    order.advance()
                else:
                    self.mempool.drop(waiting)
        filling.offer_all(own)
        return filling

    def _proofs(self, draft: State, chosen: Proposal, filling: Filling) -> list[Proof]:
        """What fits into the lane that proofs share with registrations."""
        taken: list[Proof] = []
        base_fee = draft.ledger.base_fee
        gas = filling.lane_gas
        for proof in self.driver.proofs(draft, chosen.time_ms)[:PROOFS_PER_BLOCK]:
            gas += proof_gas(proof)
            if gas > self.params.lane_gas_maximum:
                break
            try:
                check_proof(draft, proof, self.network.chain_id, chosen.time_ms, self.params)
            except NeuroError:
                break
            apply_proof(draft, proof, self.network.chain_id, base_fee)
            taken.append(proof)
        return taken

    def _inputs(self, draft: State, height: int, chosen: Proposal) -> list[RoundInput]:
        taken: list[RoundInput] = []
        while len(taken) < INPUTS_PER_BLOCK and (items := self.driver.inputs(draft)):
            for item in items:
                try:
                    apply_round_input(draft, item, self.network.chain_id, self.params)
                except NeuroError:
                    return taken
                taken.append(item)
                advance(draft, height, chosen.epoch, self.params)
        return taken
