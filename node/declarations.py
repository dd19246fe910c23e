"""What a node's wallet says by itself: it registers the node; for a node that wants to validate it names the key once
its stake suffices, and leaves jail.

Like everything that a node says it follows from the ledger's state, so nothing is said twice and a restart changes
nothing. Stake itself comes by the ledger's own rule, which bonds the released rewards of a node with validator intent.
Start reading at `Declarations`, which puts it into the mempool, from where it goes to all nodes like anybody's.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.stakes import NO_KEY, Stake, stake_of, staking, validator_key
from chain.state import NodeRecord, State, node_key, set_key
from chain.transactions import Bond, RegisterNode, Transaction, Unjail, bond_consent
from chain.transfers import spendable
from node.errors import RefusedForNow
from node.identity import EMPTY, Identity
from node.mempool import Mempool
from node.mempool_checks import NONCE_WINDOW, REPLACEMENT_DIVISOR
from node.mempool_queue import Waiting

FEE_FACTOR = 2  # our own transactions offer so many times the base fee, if the balance allows, in case it rises


@dataclass(frozen=True, slots=True)
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


class Declarations:
    """Keeps what is due in the mempool until the ledger has it: each wish once, after what the wallet has waiting."""

    def __init__(self, identity: Identity, network: Network, mempool: Mempool) -> None:
        self.identity = identity
        self.network = network
        self.mempool = mempool
        self.registration: Registration | None = None
        self.candidacy: Candidacy | None = None

    def follow(self, state: State) -> None:
        """Say what is due on the finalized `state` and does not wait yet. What is refused for now is said again later.

        Called at the start and after every block, so at most once a block.
        """
        wish = self._wish(state)
        due = None if wish is None else self._placed(wish, state)
        if due is not None:
            with suppress(RefusedForNow):
                self.mempool.add(due, state)

    def _wish(self, state: State) -> Transaction | None:
        if self.registration is not None:
            wish = self.registration.transaction(state, self.network.chain_id)
            if wish is not None:
                return wish
        return None if self.candidacy is None else self.candidacy.transaction(state)

    def _placed(self, wish: Transaction, state: State) -> Transaction | None:
        """The wish with the nonce and the fee that fit; None if it waits already."""
        base_fee, account = state.ledger.base_fee, state.account(self.identity.address)
        waiting = [each for each in self.mempool.waiting_of(self.identity.address) if each.nonce >= account.nonce]
        said = next((each for each in waiting if each.transaction.action == wish.action), None)
        if isinstance(wish.action, RegisterNode):
            max_fee = 0
        else:
            max_fee = max(base_fee, min(FEE_FACTOR * base_fee, account.balance // transaction_gas(wish)))
        if said is not None:
            if not max_fee or said.max_fee >= base_fee:
                return None
            nonce, max_fee = said.nonce, max(max_fee, _dearer(said))
        else:
            nonce = waiting[-1].nonce + 1 if waiting else account.nonce
        if nonce >= account.nonce + NONCE_WINDOW:
            return None
        return self.identity.sign_transaction(replace(wish, nonce=nonce, max_fee=max_fee), self.network.chain_id)


def _dearer(waiting: Waiting) -> int:
    """The least fee that replaces a waiting transaction."""
    return waiting.max_fee + max(1, -(-waiting.max_fee // REPLACEMENT_DIVISOR))
