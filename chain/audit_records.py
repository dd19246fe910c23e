"""What the ledger remembers of audits beside the audits themselves, and who may change it how.

m ‖ BLS public key    Misses        w    AuditPay
j ‖ node id           Held          x    Suspensions
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from chain.block import VALIDATORS_MAXIMUM
from chain.codec import U32, U64, Address, Hash, Wire
from chain.crypto.hashing import ZERO
from chain.receipts import AuditEnded, Receipt
from chain.state import (
    AUDITS_KEY,
    AUDITS_MAXIMUM,
    OPENING,
    SHOWING,
    Audit,
    AuditName,
    AuditQueue,
    Claim,
    NodeRecord,
    State,
    audit_key,
    claim_key,
    node_key,
)

AUDIT_PAY_KEY, SUSPENSIONS_KEY = b"w", b"x"
HELD_MAXIMUM = 2**20  # no audit lasts for so many rounds


@dataclass(frozen=True, slots=True)
class Misses(Wire):
    """Audits in a row in which a validator gave no verdict. A fault counts as many as lead to jail."""

    count: U32


@dataclass(frozen=True, slots=True)
class AuditDue(Wire):
    """What a validator's wallet has audited in the running epoch, in standard batches."""

    wallet: Address
    batches: U64


@dataclass(frozen=True, slots=True)
class AuditPay(Wire):
    """What auditors are owed at the epoch's end, in the order of their first verdict that counted."""

    dues: Annotated[tuple[AuditDue, ...], VALIDATORS_MAXIMUM] = ()


@dataclass(frozen=True, slots=True)
class Suspensions(Wire):
    """Nodes that a round may not wait for, in the order of their conviction; pruned when a round opens."""

    nodes: Annotated[tuple[Hash, ...], AUDITS_MAXIMUM] = ()


@dataclass(frozen=True, slots=True)
class Held(Wire):
    """Rounds whose reward would have been released to a node, had it no open audit. Ascending."""

    rounds: Annotated[tuple[U64, ...], HELD_MAXIMUM]


def held_key(node: bytes) -> bytes:
    return b"j" + node


def held_rounds(state: State, node: bytes) -> tuple[int, ...]:
    known = state.find(Held, held_key(node))
    return known.rounds if known else ()


def hold_back(state: State, node: bytes, number: int) -> None:
    state.put(held_key(node), Held((*held_rounds(state, node), number)))


def take_held(state: State, node: bytes) -> tuple[int, ...]:
    """The rounds, and they are not held any more."""
    rounds = held_rounds(state, node)
    if rounds:
        state.delete(held_key(node))
    return rounds


def misses_key(public_key: bytes) -> bytes:
    return b"m" + public_key


def misses_of(state: State, public_key: bytes) -> int:
    known = state.find(Misses, misses_key(public_key))
    return known.count if known else 0


def add_misses(state: State, public_key: bytes, number: int) -> int:
    """Count them; returns how many there are now."""
    count = min(misses_of(state, public_key) + number, 2**32 - 1)
    state.put(misses_key(public_key), Misses(count))
    return count


def forget_misses(state: State, public_key: bytes) -> None:
    if state.get(misses_key(public_key)) is not None:
        state.delete(misses_key(public_key))


def audit_dues(state: State) -> tuple[AuditDue, ...]:
    pay = state.find(AuditPay, AUDIT_PAY_KEY)
    return pay.dues if pay else ()


def owe(state: State, wallet: bytes, batches: int) -> None:
    """A verdict counted. Sets of several epochs may give more wallets than there is room for: the last get nothing."""
    dues = {due.wallet: due.batches for due in audit_dues(state)}
    if wallet in dues or len(dues) < VALIDATORS_MAXIMUM:
        dues[wallet] = dues.get(wallet, 0) + batches
        state.put(AUDIT_PAY_KEY, AuditPay(tuple(AuditDue(*item) for item in dues.items())))


def owes_secret(state: State, name: AuditName, audit: Audit) -> bool:
    """Whether an audit waits for the secret of its node's plants."""
    if audit.phase != SHOWING or audit.secret != ZERO:
        return False
    return state.need(Claim, claim_key(name.round, name.node)).plant != ZERO


def owes_answer(state: State, node: bytes) -> bool:
    """Whether a node has still to show the states of an audited segment, or the secret of its plants."""
    for name in state.open_audits:
        if name.node == node and is_running(state, name):
            audit = state.need(Audit, audit_key(name.round, node))
            if audit.phase == OPENING or owes_secret(state, name, audit):
                return True
    return False


def is_suspended(record: NodeRecord, number: int) -> bool:
    """Whether a node has no seat in a round, for proven fraud."""
    return record.suspended_round >= number


def remember_suspended(state: State, node: bytes) -> None:
    known = state.find(Suspensions, SUSPENSIONS_KEY) or Suspensions()
    if node not in known.nodes and len(known.nodes) < AUDITS_MAXIMUM:
        state.put(SUSPENSIONS_KEY, Suspensions((*known.nodes, node)))


def count_suspended(state: State, number: int) -> int:
    """Active nodes that are suspended in a round that opens; forgets whose time is over."""
    known = state.find(Suspensions, SUSPENSIONS_KEY)
    if known is None:
        return 0
    records = [(node, state.need(NodeRecord, node_key(node))) for node in known.nodes]
    kept = tuple(node for node, record in records if is_suspended(record, number) and not record.retired_height)
    if not kept:
        state.delete(SUSPENSIONS_KEY)
    elif kept != known.nodes:
        state.put(SUSPENSIONS_KEY, Suspensions(kept))
    return len(kept)


def enqueue(state: State, names: list[AuditName]) -> None:
    if names:
        state.put(AUDITS_KEY, AuditQueue((*state.open_audits, *names)))


def is_running(state: State, name: AuditName) -> bool:
    """Whether an audit of the queue is still open: within a block the queue also names those that it has ended."""
    audit = state.audit(name.round, name.node)
    return audit is not None and audit.is_open


def dequeue(state: State, receipts: Iterable[Receipt]) -> None:
    """Take off the queue what has ended, all at once: it may be long, and each change writes it whole."""
    ended = {AuditName(each.round, each.node) for each in receipts if isinstance(each, AuditEnded)}
    left = tuple(name for name in state.open_audits if name not in ended) if ended else state.open_audits
    if len(left) == len(state.open_audits):
        return
    if left:
        state.put(AUDITS_KEY, AuditQueue(left))
    else:
        state.delete(AUDITS_KEY)
