"""What a transaction has to pass on its way into the mempool, the cheap before the dear. See `Mempool.check`."""

from collections.abc import Sequence

from chain.address import address_of
from chain.crypto.votes import Evidence, evidence_of, is_well_formed, votes_conflict
from chain.errors import InvalidTransaction
from chain.fees import transaction_gas
from chain.genesis import Network
from chain.slashing import punish
from chain.stakes import ValidatorKey, validator_key
from chain.state import Account, State, ValidatorSet, set_key
from chain.transactions import MultiTransfer, RegisterNode, Transaction, check_signature, stamp_bits
from chain.transfers import Place, apply_transaction
from chain.transition import epoch_of
from node.errors import FundsTooLow, RefusedForNow
from node.mempool_queue import EVIDENCE, Accused, Queue, Waiting

# A sender may have this many waiting: its next nonce and those behind it. That is less than the 64 that would be
# affordable, so there is no second cap.
NONCE_WINDOW = 16
REPLACEMENT_DIVISOR = 10  # a replacement offers one tenth more


def check_form(transaction: Transaction, network: Network) -> None:
    """What no state could allow, as far as it is cheap to see. Raises InvalidTransaction."""
    params, gas = network.params, transaction_gas(transaction)
    is_free = isinstance(transaction.action, RegisterNode)
    room = params.lane_gas_maximum if is_free else params.block_gas_maximum - params.lane_gas_maximum
    if gas > room:
        # It would stand first in every block by its tip, be passed over, and never pay.
        raise InvalidTransaction(f"{gas} gas, no block has room for more than {room}")
    match transaction.action:
        case MultiTransfer(payments=()):
            raise InvalidTransaction("a multi-transfer pays at least one address")
        case RegisterNode() as action:
            if transaction.max_fee or transaction.tip:
                raise InvalidTransaction("a registration pays with its stamp: its max_fee and tip are 0")
            wanted = network.params.stamp_bits
            found = stamp_bits(network.chain_id, action.node_key, transaction.sender, action.stamp)
            if found < wanted:
                raise InvalidTransaction(f"the registration stamp has {found} zero bits, {wanted} are wanted")
        case Evidence(first=first, second=second) as evidence:
            formed = all(is_well_formed(vote.kind, vote.block_hash) for vote in (first, second))
            if not formed or not votes_conflict(first, second):
                raise InvalidTransaction("an honest validator can have cast both votes")
            if evidence_of(first, second) != evidence:
                raise InvalidTransaction("the vote with the smaller encoding comes first")


def check_fee(transaction: Transaction, base_fee: int) -> None:
    if not isinstance(transaction.action, RegisterNode) and transaction.max_fee < base_fee:
        raise RefusedForNow(
            f"max_fee {transaction.max_fee} nanos per gas, the base fee is {base_fee}: offer more, or wait"
        )


def check_place(nonce: int, lane: int, following: int, queue: Queue | None) -> None:
    """`following`: the sender's next nonce on the ledger. Raises RefusedForNow."""
    if nonce < following:
        raise RefusedForNow(f"nonce {nonce} is used, expected {following}")
    if nonce >= following + NONCE_WINDOW:
        raise RefusedForNow(
            f"nonce {nonce}, and only those below {following + NONCE_WINDOW} may wait: try again after the next block"
        )
    free = queue.end if queue else following
    if nonce > free:
        raise RefusedForNow(f"nonce {nonce} leaves a gap: send nonce {free} first")
    if lane == EVIDENCE and nonce != following:
        raise RefusedForNow(
            f"evidence stands first in a block: send it with nonce {following}, or from a wallet that waits for nothing"
        )


def check_replaces(transaction: Transaction, other: Waiting) -> None:
    """A tenth more on both, rounded up; the fee rises by 1 at least, so that nobody replaces for ever for nothing."""
    max_fee = other.max_fee + max(1, -(-other.max_fee // REPLACEMENT_DIVISOR))
    tip = other.tip - (-other.tip // REPLACEMENT_DIVISOR)
    if transaction.max_fee < max_fee or transaction.tip < tip:
        raise RefusedForNow(
            f"another transaction of nonce {other.nonce} waits: a max_fee of {max_fee} and a tip of {tip} replace it"
        )


def check_funds(wanted: int, account: Account) -> None:
    if wanted > account.balance:
        raise FundsTooLow(
            f"what waits of this sender could cost {wanted} nanos, {account.balance} are there: pay less, or fill it up"
        )


def check_signed(transaction: Transaction, state: State, network: Network) -> None:
    """The dear part: signatures, and of evidence all that a block would ask. Raises BadSignature or RefusedForNow."""
    check_signature(transaction, network.chain_id)
    evidence = transaction.action
    if not isinstance(evidence, Evidence):
        return
    epoch = evidence.first.epoch
    if state.get(set_key(epoch)) is None:
        raise RefusedForNow(f"the validators of epoch {epoch} are not known here")
    try:
        punish(state.fork(), evidence, address_of(transaction.sender), epoch, network)
    except InvalidTransaction as error:
        raise RefusedForNow(str(error)) from error


def is_settled(state: State, accused: Accused) -> bool:
    """Whether evidence against this member of a set has nothing left to do."""
    epoch, signer = accused
    members = state.find(ValidatorSet, set_key(epoch))
    if members is None or signer >= len(members.members):
        return True
    known = state.find(ValidatorKey, validator_key(members.members[signer].public_key))
    return known is not None and known.tombstoned


def check_applies(
    transaction: Transaction, earlier: Sequence[Transaction], state: State, height: int, network: Network
) -> None:
    """Raise InvalidTransaction, BadSignature or NotEnoughFunds unless it applies on `state` after `earlier` ones.

    `height` is that of the next block. This takes up to milliseconds per transaction, so it is no part of
    `Mempool.check`: the shell asks it in a thread. What nobody has asked costs the producer an attempt.
    """
    draft, place = state.fork(), Place(height, epoch_of(height, network.params), network.validators[0].payout)
    nonce = draft.account(address_of(transaction.sender)).nonce
    for each in earlier:
        if each.nonce >= nonce:
            apply_transaction(draft, each, place, network)
    apply_transaction(draft, transaction, place, network)
