"""Evidence against a validator, on its way to the ledger: consensus finds it, this node's wallet pays to report it.

A report needs the wallet's next nonce, since evidence stands first in a block, and some balance. What cannot be
reported at once is kept and tried after every block, as long as the ledger would take it.
"""

from contextlib import suppress

from chain.crypto.votes import Evidence
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.state import State, ValidatorSet, set_key
from chain.transactions import Transaction
from node.errors import RefusedForNow
from node.identity import EMPTY, Identity
from node.mempool import Mempool
from node.mempool_checks import is_settled
from node.mempool_queue import Accused

KEPT_MAXIMUM = 64  # offenders
FEE_FACTOR = 4  # evidence offers so many times the base fee, if the balance allows


class Reporting:
    """One report per offender, and never of ourselves."""

    def __init__(self, identity: Identity, network: Network, mempool: Mempool) -> None:
        self.identity = identity
        self.network = network
        self.mempool = mempool
        self._kept: dict[Accused, Evidence] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def report(self, evidence: Evidence, state: State) -> None:
        """Put evidence into the mempool now, or as soon as that is possible. `state` is the finalized one."""
        accused = evidence.first.epoch, evidence.first.signer
        if accused not in self._kept and len(self._kept) < KEPT_MAXIMUM:
            self._kept[accused] = evidence
            self.follow(state)

    def follow(self, state: State) -> None:
        """After a block: forget what is settled or out of date, try the oldest of the rest."""
        self._kept = {accused: each for accused, each in self._kept.items() if self._is_open(accused, state)}
        for evidence in self._kept.values():
            transaction = self._transaction(evidence, state)
            if transaction is not None:
                with suppress(RefusedForNow):
                    self.mempool.add(transaction, state)
                    return  # The next nonce is taken now.

    def _is_open(self, accused: Accused, state: State) -> bool:
        epoch, signer = accused
        members = state.find(ValidatorSet, set_key(epoch))
        if members is None or is_settled(state, accused):
            return False
        # The set of an epoch is on the ledger exactly when the next block is of that epoch or a later one.
        is_fresh = state.get(set_key(epoch + self.network.params.unbonding_epochs + 1)) is None
        return is_fresh and members.members[signer].public_key != self.identity.validator_public_key

    def _transaction(self, evidence: Evidence, state: State) -> Transaction | None:
        """The report, unless something of our wallet waits, which evidence cannot stand behind, or it cannot pay."""
        address, base_fee = self.identity.address, state.ledger.base_fee
        account = state.account(address)
        if any(waiting.nonce >= account.nonce for waiting in self.mempool.waiting_of(address)):
            return None
        draft = Transaction(self.identity.wallet_public_key, account.nonce, base_fee, 0, evidence, EMPTY)
        payable = account.balance // transaction_gas(draft)
        if payable < base_fee:
            return None
        max_fee = min(FEE_FACTOR * base_fee, payable)
        draft = Transaction(self.identity.wallet_public_key, account.nonce, max_fee, 0, evidence, EMPTY)
        return self.identity.sign_transaction(draft, self.network.chain_id)
