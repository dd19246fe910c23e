"""The order of an account's transactions: which nonce is next, what became of those sent, how to hurry or undo one.

Pure: it is given what the ledger and a node say of an account (`View`) and what the wallet has sent (`pending`). A node
keeps at most 16 of a sender, without a gap, for three hours or until it stops; what it forgot may still wait elsewhere,
so its nonce stays taken until the ledger has used it: nothing is paid twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from chain.address import address_of
from chain.transactions import Transfer
from wallet.errors import NonceError, TooManyWaiting
from wallet.pending import Sent
from wallet.signing import NUMBER_MAXIMUM, Fees, UnsignedTransaction, draft

# As a node's mempool has them.
WINDOW = 16
REPLACEMENT_DIVISOR = 10


@dataclass(frozen=True, slots=True)
class View:
    """One account as a node tells it: the ledger's next nonce, and the ids that wait there, from that nonce on.

    `final` are those ids of the wallet's that the ledger is known to hold.
    """

    nonce: int
    waiting: tuple[bytes, ...] = ()
    final: frozenset[bytes] = frozenset()


class Standing(Enum):
    """What became of a transaction."""

    WAITING = "waiting"
    FINAL = "final"
    REPLACED = "replaced"  # another one with its nonce is final, or waits in its place
    USED = "used"  # its nonce is; whether by itself nobody has asked yet
    LOST = "lost"  # the node does not have it (any more), and could take it now
    BLOCKED = "blocked"  # the node does not have it, and an earlier nonce is missing there


def standings(view: View, sent: Sequence[Sent]) -> list[tuple[Sent, Standing]]:
    """What became of each, in their order. All of one account and chain."""
    return [(each, _standing(view, each, sent)) for each in sent]


def _standing(view: View, each: Sent, sent: Sequence[Sent]) -> Standing:
    if each.id in view.final:
        return Standing.FINAL
    if each.id in view.waiting:
        return Standing.WAITING
    if each.nonce < view.nonce:
        rivals = (other for other in sent if other.nonce == each.nonce)
        return Standing.REPLACED if any(other.id in view.final for other in rivals) else Standing.USED
    if each.nonce < view.nonce + len(view.waiting):
        return Standing.REPLACED
    if current(sent, each.nonce) is not each:
        return Standing.REPLACED
    reachable = {other.nonce for other in to_rebroadcast(view, sent)}
    return Standing.LOST if each.nonce in reachable else Standing.BLOCKED


def current(sent: Sequence[Sent], nonce: int) -> Sent | None:
    """Of those with one nonce the last: a replacement offers more than what it replaces."""
    rivals = [each for each in sent if each.nonce == nonce]
    return max(rivals, key=lambda each: (each.transaction.max_fee, each.transaction.tip, each.sent_ms), default=None)


def next_nonce(view: View, sent: Sequence[Sent]) -> int:
    """The first nonce that is neither used, nor waiting, nor sent. Raises TooManyWaiting."""
    taken = {each.nonce for each in sent}
    nonce = view.nonce + len(view.waiting)
    while nonce in taken:
        nonce += 1
    if nonce >= view.nonce + WINDOW:
        raise TooManyWaiting(f"{WINDOW} transactions of this account wait, which is all a node takes: wait for a block")
    return nonce


def to_rebroadcast(view: View, sent: Sequence[Sent]) -> list[Sent]:
    """What the node lacks and could take now, in the order in which it takes it."""
    found: list[Sent] = []
    nonce = view.nonce + len(view.waiting)
    while nonce < view.nonce + WINDOW and (each := current(sent, nonce)) is not None:
        found.append(each)
        nonce += 1
    return found


def missing(view: View, sent: Sequence[Sent]) -> list[Sent]:
    """What was sent and neither the ledger nor the node has: it goes out again, or can."""
    first = view.nonce + len(view.waiting)
    return [each for each in sent if each.nonce >= first and current(sent, each.nonce) is each]


def raised(sent: Sequence[Sent], nonce: int, wanted: Fees) -> Fees:
    """What replaces all that was sent with this nonce: a tenth more, rounded up, and not below `wanted`.

    Raises NonceError if nothing was sent with it.
    """
    rivals = [each.transaction for each in sent if each.nonce == nonce]
    if not rivals:
        raise NonceError(f"this wallet has sent nothing with nonce {nonce}")
    max_fee = max(each.max_fee for each in rivals)
    tip = max(each.tip for each in rivals)
    max_fee = max(wanted.max_fee, max_fee + max(1, -(-max_fee // REPLACEMENT_DIVISOR)))
    tip = max(wanted.tip, tip - (-tip // REPLACEMENT_DIVISOR))
    if max(max_fee, tip) > NUMBER_MAXIMUM:
        raise NonceError("a fee cannot be raised any further")
    return Fees(max(max_fee, tip), tip)


def speed_up(target: Sent, sent: Sequence[Sent], wanted: Fees) -> UnsignedTransaction:
    """The same once more, for a higher fee. Sign it, and record it as a replacement."""
    old = target.transaction
    return draft(old.action, old.sender, old.nonce, raised(sent, old.nonce, wanted), target.chain_id)


def cancel(target: Sent, sent: Sequence[Sent], wanted: Fees) -> UnsignedTransaction:
    """A payment of nothing to the sender itself in its place: it costs a fee, and the other can never come."""
    old = target.transaction
    nothing = Transfer(address_of(old.sender), 0)
    return draft(nothing, old.sender, old.nonce, raised(sent, old.nonce, wanted), target.chain_id)
