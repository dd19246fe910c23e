"""What a wallet has sent lately, as the node tells it now, and what can still be changed of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from chain.transactions import Action, MultiTransfer, Transfer
from wallet import nonces
from wallet.amounts import neuro
from wallet.errors import CommandError
from wallet.nonces import Standing, View
from wallet.pending import Sent
from wallet.registry import Answer
from wallet.sending import Payer, hand_in_again, now_ms, payer_of, sign_and_send, view_of
from wallet.session import Session
from wallet.signing import Fees, UnsignedTransaction, paid_by
from wallet.spending import Spending

MEANINGS = {
    Standing.WAITING: "waits at the node",
    Standing.FINAL: "final",
    Standing.REPLACED: "replaced by another one",
    Standing.USED: "its place is taken; it may be final",
    Standing.LOST: "unknown to the node: --rebroadcast hands it in",
    Standing.BLOCKED: "waits for an earlier one",
}
Replacing = Callable[[Sent, Sequence[Sent], Fees], UnsignedTransaction]


@dataclass(frozen=True, slots=True)
class Entry:
    """One of them."""

    sent: Sent
    label: str
    standing: Standing

    def fields(self) -> dict[str, object]:
        transaction = self.sent.transaction
        return {
            "id": self.sent.id.hex(),
            "account": self.label,
            "nonce": self.sent.nonce,
            "state": self.standing.value,
            "type": type(transaction.action).__name__,
            "amount_nanos": str(paid_by(transaction.action)),
            "max_fee_nanos": str(transaction.max_fee),
            "tip_nanos": str(transaction.tip),
            "sent_ms": self.sent.sent_ms,
        }


def entries(session: Session, rebroadcast: bool) -> list[Entry]:
    """Of all accounts, in the order of sending. Raises WalletError."""
    chain_id, found = session.chain_id, []
    for account in session.accounts() or (session.account(),):
        sent = session.folder.pending.of(account.address, chain_id)
        if not sent:
            continue
        answered = session.account_answer(account.address)
        session.folder.pending.settle(account.address, chain_id, answered.whole("nonce"), now_ms())
        view = view_of(session, answered, sent, with_final=True)
        if rebroadcast:
            payer = Payer(account, chain_id, view, answered.nanos("balance_nanos"), sent, Fees(0))
            taken = tuple(each.id for each in hand_in_again(session, payer))
            view = View(view.nonce, view.waiting + taken, view.final)
        found += [Entry(each, account.label, standing) for each, standing in nonces.standings(view, sent)]
    return found


def row_of(session: Session, each: Entry) -> tuple[str, ...]:
    """For a table."""
    sent = each.sent
    return (sent.id.hex()[:16], each.label, str(sent.nonce), _what(session, sent), MEANINGS[each.standing])


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


def replace(session: Session, identity: str, spending: Spending, replacing: Replacing, question: str) -> Answer:
    """Sign something in the place of one that waits. Raises WalletError."""
    payer, target = _payer_and_target(session, identity, spending)
    # A tenth more than before is the least; what the user asks for, or the node suggests now, may be more.
    return sign_and_send(session, payer, replacing(target, payer.sent, payer.fees), spending, question)


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
