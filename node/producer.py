"""Making the body of a block: whatever the state accepts, in the order in which the rules apply it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from chain.block import Body, Proof, RoundInput
from chain.errors import NeuroError
from chain.fees import proof_gas, transaction_gas
from chain.genesis import Network
from chain.progress import Progress
from chain.proofs import apply_proof, check_proof
from chain.state import State
from chain.transactions import Transaction, vouch
from chain.transfers import Place, apply_transaction
from chain.transition import Parent, Proposal, mix_beacon
from chain.validators import proposer_payout
from node.claim_pool import ClaimPool, is_early, is_past
from node.mempool import Mempool
from node.mempool_queue import PAYING, REGISTRATION, Waiting, lane_of
from node.relay_messages import Claimed
from node.round_driver import RoundDriver

PROOFS_PER_BLOCK = 1024
INPUTS_PER_BLOCK = 64
TRANSACTIONS_PER_BLOCK = 4096  # a body's encoding has no room for more
# With PROOFS_PER_BLOCK proofs of 319 bytes and INPUTS_PER_BLOCK inputs of at most 8,410 a block then stays below the
# 8 MiB that one message between nodes holds, whatever gas a network allows.
TRANSACTION_BYTES_PER_BLOCK = 6 << 20
GATHERED_MAXIMUM = 3 * TRANSACTIONS_PER_BLOCK  # blocks that are not final yet may hold those that come first
# A block is closed after so many who would pay and did not apply or fit: a mempool full of them must not hold it up.
# Evidence and registrations that fail do not count: few of them can wait, and they must not close it to who pays.
MISSES = 128


@dataclass(slots=True)
class Filling:
    """The transactions of a block while they are chosen. What is taken is applied to `draft`."""

    draft: State
    place: Place
    network: Network
    taken: list[Transaction] = field(default_factory=list)
    gas: int = 0  # of those who pay
    size: int = 0  # bytes
    lane_gas: int = 0  # of registrations, in the lane that they share with proofs
    registrations: int = 0
    misses: int = 0

    @property
    def is_closed(self) -> bool:
        return self.misses >= MISSES or len(self.taken) >= TRANSACTIONS_PER_BLOCK

    def has_room(self, waiting: Waiting) -> bool:
        """Whether its bytes and its gas fit. Those who pay leave the lane of proofs and registrations free."""
        params, gas, lane = self.network.params, waiting.gas, waiting.lane
        if self.size + len(waiting.encoded) > TRANSACTION_BYTES_PER_BLOCK:
            self.misses += 1
            return False
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
        self.size += len(transaction.encode())
        if lane_of(transaction) == REGISTRATION:
            self.lane_gas += transaction_gas(transaction)
            self.registrations += 1
        else:
            self.gas += transaction_gas(transaction)
        return True


@dataclass(frozen=True, slots=True)
class Gathered:
    """What waits for a block, in its order: a picture of the moment, for a thread."""

    transactions: tuple[Waiting, ...]
    proofs: tuple[Proof, ...]
    inputs: tuple[RoundInput, ...]


@dataclass(frozen=True, slots=True)
class Filled:
    """A body, and what did not fit into it although its turn had come."""

    body: Body
    transactions: tuple[Waiting, ...]
    claims: tuple[Claimed, ...]


class Producer:
    """Fills blocks from the mempool and the pool of claims.

    A node gathers on its event loop, fills in a thread, and settles on the loop again; `body` does all three at once.
    """

    def __init__(self, network: Network, driver: RoundDriver, mempool: Mempool, pool: ClaimPool | None = None) -> None:
        self.network = network
        self.params = network.params
        self.driver = driver
        self.mempool = mempool
        self.pool = ClaimPool(network.params) if pool is None else pool

    def has_news(self, state: State, time_ms: int) -> bool:
        """Whether a block would hold anything, or is counted by a round that waits for its deadline."""
        waits = self.mempool.is_urgent() or self.mempool.has_ready(state.ledger.base_fee) or self.pool.has_news(state)
        return waits or self.driver.waits_for_absent(state) or bool(self.driver.proofs(state, time_ms))

    def is_urgent(self, state: State) -> bool:
        """Whether a block is worth making at once."""
        return self.mempool.is_urgent() or self.driver.is_urgent(state) or self.pool.is_urgent(state)

    def body(self, state: State, parent: Parent, chosen: Proposal, certificate: bytes) -> Body:
        """A body that `build_block` accepts on `state`. What breaks a rule is left out."""
        filled = self.fill(self.gather(state, chosen.time_ms), state, parent, chosen, certificate)
        self.settle(filled)
        return filled.body

    def gather(self, state: State, time_ms: int) -> Gathered:
        """What waits for a block of this time on `state`, and what this node has to say on it.

        Our own may be in the pool as well; what is said twice is passed over when the body is filled.
        """
        order = self.mempool.order(state.ledger.base_fee)
        transactions: list[Waiting] = []
        while len(transactions) < GATHERED_MAXIMUM and (waiting := order.next()) is not None:
            transactions.append(waiting)
            order.advance()
        proofs = *self.pool.proofs(state), *self.driver.proofs(state, time_ms)
        return Gathered(tuple(transactions), proofs, (*self.pool.inputs(state), *self.driver.inputs(state)))

    def fill(self, gathered: Gathered, state: State, parent: Parent, chosen: Proposal, certificate: bytes) -> Filled:
        """The body. Reads nothing that the event loop changes, but for the finished work of this node."""
        draft = state.fork()
        mix_beacon(draft, chosen)
        height = parent.height + 1
        place = Place(height, chosen.epoch, proposer_payout(draft, chosen.epoch, chosen.proposer, self.network))
        filling = Filling(draft, place, self.network)
        unfit = self._transactions(filling, gathered.transactions)
        proofs, failed = self._proofs(draft, chosen, filling, gathered.proofs)
        progress = Progress(draft, height, chosen.epoch, self.network)
        progress.begin()
        inputs, refused = self._inputs(progress, gathered.inputs)
        body = Body(tuple(proofs), tuple(filling.taken), tuple(inputs), certificate)
        return Filled(body, tuple(unfit), (*failed, *refused))

    def settle(self, filled: Filled) -> None:
        """Forget what turned out not to apply."""
        for waiting in filled.transactions:
            self.mempool.drop(waiting)
        self.pool.failed(filled.claims)

    def _transactions(self, filling: Filling, waits: Sequence[Waiting]) -> list[Waiting]:
        """Offer them in their order; returns those that do not apply."""
        unfit: list[Waiting] = []
        for waiting in waits:
            if filling.is_closed:
                break
            # A parent that is not final yet may hold what the mempool still keeps, so lower nonces are passed over; a
            # higher one stands behind something that found no room or does not apply.
            if filling.draft.account(waiting.sender).nonce != waiting.nonce:
                continue
            if filling.has_room(waiting):
                transaction = waiting.transaction
                vouch(transaction, self.network.chain_id)  # the mempool has checked it
                if not filling.offer(transaction):
                    unfit.append(waiting)
        return unfit

    def _proofs(
        self, draft: State, chosen: Proposal, filling: Filling, waits: Sequence[Proof]
    ) -> tuple[list[Proof], list[Proof]]:
        """What fits into the lane that proofs share with registrations, and those that do not apply."""
        taken: list[Proof] = []
        failed: list[Proof] = []
        base_fee, gas = draft.ledger.base_fee, filling.lane_gas
        for proof in waits:
            # A parent that is not final yet may have it; a proposer whose clock is behind leaves it to others.
            if is_past(proof, draft) or proof.time_ms > chosen.time_ms:
                continue
            if gas + proof_gas(proof) > self.params.lane_gas_maximum or len(taken) >= PROOFS_PER_BLOCK:
                break
            try:
                check_proof(draft, proof, self.network.chain_id, chosen.time_ms, self.params)
            except NeuroError:
                failed.append(proof)
                continue
            apply_proof(draft, proof, self.network.chain_id, base_fee, self.params)
            gas += proof_gas(proof)
            taken.append(proof)
        return taken, failed

    def _inputs(self, progress: Progress, waits: Sequence[RoundInput]) -> tuple[list[RoundInput], list[RoundInput]]:
        """What the round takes, and what it refuses. Our own words of its later phases follow within the same block."""
        taken: list[RoundInput] = []
        failed: list[RoundInput] = []
        draft = progress.state
        items: Sequence[RoundInput] = waits or self.driver.inputs(draft)
        while items:
            before, tries = len(taken), 2 * INPUTS_PER_BLOCK  # what is refused costs as much, and is never the end
            for item in items:
                if len(taken) >= INPUTS_PER_BLOCK or not tries:
                    break
                # Nobody may fill a block with words that it cannot take: of names there are many.
                if is_past(item, draft) or is_early(item, draft):
                    continue
                tries -= 1
                try:
                    progress.take(item)
                except NeuroError:
                    failed.append(item)
                    continue
                taken.append(item)
            # Our commitment may have become possible by our proofs, and so on.
            items = self.driver.inputs(draft) if items is waits or len(taken) > before else []
        return taken, failed
