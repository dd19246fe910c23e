"""What a node that wants to validate says by itself: it names its key once its stake suffices, and leaves jail.

Like everything that a node says it follows from the ledger's state, so nothing is said twice and a restart changes
nothing. Stake itself comes by the ledger's own rule, which bonds the released rewards of a node with validator intent.
"""

from dataclasses import dataclass

from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.stakes import NO_KEY, Stake, stake_of, staking, validator_key
from chain.state import NodeRecord, State, node_key, set_key
from chain.transactions import Bond, Transaction, Unjail, bond_consent
from chain.transfers import spendable
from node.identity import EMPTY, Identity


@dataclass(frozen=True, slots=True)
class Candidacy:
    """This node's wish to validate with the key of its wallet."""

    identity: Identity
    network: Network

    def transaction(self, state: State) -> Transaction | None:
        """What is due in the next block, if the balance pays for it."""
        action = self._action(state)
        if action is None:
            return None
        sender, base_fee = self.identity.address, state.ledger.base_fee
        nonce = state.account(sender).nonce
        draft = Transaction(self.identity.wallet_public_key, nonce, base_fee, 0, action, EMPTY)
        if transaction_gas(draft) * base_fee > spendable(state, sender):
            return None
        return self.identity.sign_transaction(draft, self.network.chain_id)

    def _action(self, state: State) -> Bond | Unjail | None:
        stake = stake_of(state, self.identity.address)
        if stake.tombstoned:
            return None
        if stake.public_key == NO_KEY:
            return self._bond(state, stake)
        return Unjail() if self._may_leave_jail(state, stake) else None

    def _bond(self, state: State, stake: Stake) -> Bond | None:
        """Name the key of stake that auto-bond has collected."""
        record = state.find(NodeRecord, node_key(self.identity.node))
        is_declared = record is not None and record.validator_intent and not record.retired_height
        if not is_declared or stake.staying < self.network.params.stake_minimum_nanos:
            return None
        key, most = self.identity.validator_public_key, VALIDATORS_MAXIMUM - len(self.network.validators)
        if state.get(validator_key(key)) is not None or len(staking(state).validators) >= most:
            return None
        consent = bond_consent(self.network.chain_id, key, self.identity.address)
        return Bond(0, key, bls.sign(self.identity.validator_secret, consent))

    def _may_leave_jail(self, state: State, stake: Stake) -> bool:
        if not stake.jailed_until or stake.public_key != self.identity.validator_public_key:
            return False
        # The set of an epoch is on the ledger exactly when the next block is of that epoch or a later one.
        return state.get(set_key(stake.jailed_until)) is not None
