"""What was sent and is not settled: look at it, hurry it, take it back."""

from typing import Annotated

from chain.transactions import Action, MultiTransfer, Transfer
from wallet import nonces
from wallet.amounts import neuro
from wallet.commands.parts import table
from wallet.errors import CommandError
from wallet.kinds import FLAG, TransactionId
from wallet.nonces import Standing
from wallet.pending import Sent
from wallet.registry import Answer, command
from wallet.sending import (
    Payer,
    Spending,
    account_answer,
    hand_in_again,
    now_ms,
    payer_of,
    sign_and_send,
    view_of,
)
from wallet.session import Session
from wallet.signing import Fees, UnsignedTransaction, paid_by

MEANINGS = {
    Standing.WAITING: "waits at the node",
    Standing.FINAL: "final",
    Standing.REPLACED: "replaced by another one",
    Standing.USED: "its place is taken; it may be final",
    Standing.LOST: "unknown to the node: --rebroadcast hands it in",
    Standing.BLOCKED: "waits for an earlier one",
}


@command(
    "pending",
    "What you have sent lately, and what became of it.",
    group="money",
    examples=("pending", "pending --rebroadcast"),
)
def pending(
    session: Session, *, rebroadcast: Annotated[bool, FLAG, "hand in again what the node does not know"] = False
) -> Answer:
    chain_id = session.chain_id
    rows, entries = [], []
    for account in session.accounts() or (session.account(),):
        sent = session.folder.pending.of(account.address, chain_id)
        if not sent:
            continue
        answered = account_answer(session, account.address)
        session.folder.pending.settle(account.address, chain_id, answered.whole("nonce"), now_ms())
        view = view_of(session, answered, sent, with_final=True)
        if rebroadcast:
            payer = Payer(account, chain_id, view, answered.nanos("balance_nanos"), sent, Fees(0))
            taken = tuple(each.id for each in hand_in_again(session, payer))
            view = nonces.View(view.nonce, view.waiting + taken, view.final)
        for each, standing in nonces.standings(view, sent):
            entries.append(_fields(each, account.label, standing))
            rows.append((each.id.hex()[:16], account.label, str(each.nonce), _what(session, each), MEANINGS[standing]))
    head = ("id", "account", "nonce", "what", "state")
    return Answer({"sent": entries}, table(head, rows, empty="Nothing is on its way.", right=("nonce",)))


def _fields(each: Sent, label: str, standing: Standing) -> dict[str, object]:
    return {
        "id": each.id.hex(),
        "account": label,
        "nonce": each.nonce,
        "state": standing.value,
        "type": type(each.transaction.action).__name__,
        "amount_nanos": str(paid_by(each.transaction.action)),
        "max_fee_nanos": str(each.transaction.max_fee),
        "tip_nanos": str(each.transaction.tip),
        "sent_ms": each.sent_ms,
    }


def _what(session: Session, each: Sent) -> str:
    action: Action = each.transaction.action
    match action:
        case Transfer(payee=payee, amount=0) if payee == each.sender:
            return "cancels another one"
        case Transfer(payee=payee, amount=amount):
            return f"{neuro(amount)} to {session.name_of(payee) or session.called(payee)}"
        case MultiTransfer(payments=payments):
            return f"{neuro(paid_by(action))} to {len(payments)} addresses"
    amount = paid_by(action)
    return type(action).__name__.lower() + (f" {neuro(amount)}" if amount else "")


@command(
    "speed-up",
    "Send a waiting transaction again for a higher fee, so that it goes first.",
    group="money",
    examples=("speed-up 3fa9c1", "speed-up 3fa9c1 --tip 10"),
)
def speed_up(
    session: Session,
    identity: Annotated[TransactionId, "the one that waits"],
    *,
    spending: Spending,
) -> Answer:
    payer, target = _payer_and_target(session, identity, spending)
    unsigned = nonces.speed_up(target, payer.sent, _wanted(spending))
    return sign_and_send(session, payer, unsigned, spending, "Sign this in place of the one that waits?")


@command(
    "cancel",
    "Put a payment of nothing to yourself in the place of a waiting transaction. It costs a fee.",
    group="money",
    examples=("cancel 3fa9c1",),
)
def cancel(
    session: Session,
    identity: Annotated[TransactionId, "the one that waits"],
    *,
    spending: Spending,
) -> Answer:
    payer, target = _payer_and_target(session, identity, spending)
    unsigned: UnsignedTransaction = nonces.cancel(target, payer.sent, _wanted(spending))
    return sign_and_send(session, payer, unsigned, spending, "Sign this, which undoes the one that waits?")


def _payer_and_target(session: Session, identity: str, spending: Spending) -> tuple[Payer, Sent]:
    """Raises CommandError if it is not the wallet's, or past changing."""
    found = next((each for each in session.folder.pending.read() if each.id.hex() == identity), None)
    if found is None:
        raise CommandError(f"this wallet did not send {identity[:16]} lately: `pending` lists what can be changed")
    own = next((each for each in session.accounts() if each.address == found.sender), None)
    if own is None:
        raise CommandError(f"{identity[:16]} is of an account that this wallet does not list: `accounts add` it again")
    if found.chain_id != session.chain_id:
        raise CommandError(f"{identity[:16]} is of another network than the node: name one of that network with --api")
    payer = payer_of(session, Spending(own.index, spending.max_fee, spending.tip))
    if found.nonce < payer.view.nonce:
        raise CommandError(f"it is too late: the ledger has used nonce {found.nonce} already; `pending` tells for what")
    return payer, found


def _wanted(spending: Spending) -> Fees:
    """What the user asks for; a tenth more than before is the least anyway."""
    return Fees(max(spending.max_fee or 0, spending.tip or 0), spending.tip or 0)
