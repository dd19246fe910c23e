"""Making the body of a block: whatever the state accepts, in the order in which the rules apply it."""

from dataclasses import dataclass, replace

from chain.block import Body, Proof, RoundInput
from chain.errors import NeuroError
from chain.fees import proof_gas, transaction_gas
from chain.genesis import Network
from chain.proofs import apply_proof, check_proof
from chain.round_inputs import apply_round_input
from chain.rounds import advance
from chain.state import NodeRecord, State, node_key
from chain.transactions import RegisterNode, Transaction
from chain.transfers import Place, apply_transaction
from chain.transition import Parent, Proposal, mix_beacon
from chain.validators import proposer_payout
from node.declarations import Candidacy
from node.identity import Identity
from node.mempool import Mempool
from node.round_driver import RoundDriver

PROOFS_PER_BLOCK = 1024
INPUTS_PER_BLOCK = 64


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
        return bool(len(self.mempool) or self._own_transactions(state) or self.driver.proofs(state, time_ms))

    def is_urgent(self, state: State) -> bool:
        return bool(self._own_transactions(state)) or self.driver.is_urgent(state)

    def body(self, state: State, parent: Parent, chosen: Proposal, certificate: bytes) -> Body:
        """A body that `build_block` accepts on `state`. What breaks a rule is left out."""
        draft = state.fork()
        mix_beacon(draft, chosen)
        height = parent.height + 1
        transactions = self._transactions(draft, height, chosen)
        gas = sum(map(transaction_gas, transactions))
        proofs = self._proofs(draft, chosen, gas)
        advance(draft, height, chosen.epoch, self.params)
        return Body(tuple(proofs), tuple(transactions), tuple(self._inputs(draft, height, chosen)), certificate)

    def _own_transactions(self, state: State) -> list[Transaction]:
        wish = self.registration and self.registration.transaction(state, self.network.chain_id)
        return [wish] if wish else self._candidacy(state)

    def _candidacy(self, state: State) -> list[Transaction]:
        """What this node says as a validator to be; what its wallet has handed in takes the next nonces before it."""
        wish = self.candidacy and self.candidacy.transaction(state)
        return [wish] if wish and not self.mempool.before(replace(wish, nonce=wish.nonce + 1)) else []

    def _transactions(self, draft: State, height: int, chosen: Proposal) -> list[Transaction]:
        taken: list[Transaction] = []
        gas, registrations = 0, 0
        place = Place(height, chosen.epoch, proposer_payout(draft, chosen.epoch, chosen.proposer, self.network))
        for transaction in self._own_transactions(draft) + self.mempool.ready():
            is_registration = isinstance(transaction.action, RegisterNode)
            if registrations + is_registration > self.params.registrations_per_block:
                continue
            # Half of the gas is kept for proofs.
            if gas + transaction_gas(transaction) > self.params.block_gas_maximum // 2:
                continue
            attempt = draft.fork()
            try:
                apply_transaction(attempt, transaction, place, self.network)
            except NeuroError:
                continue
            draft.merge(attempt)
            taken.append(transaction)
            gas += transaction_gas(transaction)
            registrations += is_registration
        return taken

    def _proofs(self, draft: State, chosen: Proposal, gas: int) -> list[Proof]:
        taken: list[Proof] = []
        base_fee = draft.ledger.base_fee
        for proof in self.driver.proofs(draft, chosen.time_ms)[:PROOFS_PER_BLOCK]:
            gas += proof_gas(proof)
            if gas > self.params.block_gas_maximum:
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
                apply_round_input(draft, item, self.network.chain_id, self.params)
                advance(draft, height, chosen.epoch, self.params)
            taken += items
        return taken
