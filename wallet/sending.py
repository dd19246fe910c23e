"""From an action to a final transaction: nonce, fees, the screen, the signature, the node, the wait.

Nothing leaves before it is kept in wallet-pending.json, so that a crash or a node that goes away loses nothing.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chain.address import address_of
from chain.transactions import Action, Transaction
from wallet import nonces, transaction_file
from wallet.accounts import Account
from wallet.amounts import neuro
from wallet.answered import Answered
from wallet.commands.parts import Show, words
from wallet.errors import ApiError, BadValue, CommandError, NotConfirmed, Refused
from wallet.nonces import View
from wallet.pending import Sent
from wallet.registry import Answer
from wallet.session import Session
from wallet.signing import NUMBER_MAXIMUM, Fees, UnsignedTransaction, draft, paid_by, sign
from wallet.spending import Spending
from wallet.transaction_file import TransactionFile

DEFAULT_MAX_FEE = 100  # where a node suggests none
# A node may suggest so much and no more: beyond, somebody has to say it himself.
SUGGESTED_MAXIMUM = 100_000
WAIT_SECONDS = 60
PAUSE_SECONDS = 0.25
# After these a node, or what stands before it, may have taken the transaction, or may take it a moment later.
PASSING = {408, 429, *range(500, 600)}


@dataclass(frozen=True, slots=True)
class Payer:
    """An account about to sign, as the node and the wallet know it."""

    account: Account
    chain_id: bytes
    view: View
    balance: int
    sent: tuple[Sent, ...]
    fees: Fees
    stake: Answered | None = None

    @property
    def public_key(self) -> bytes:
        assert self.account.public_key is not None
        return self.account.public_key

    @property
    def free(self) -> int:
        """The balance without what waits already and could cost."""
        waiting = {each.nonce: each for each in self.sent if each.nonce >= self.view.nonce}
        return self.balance - sum(cost_maximum(each.transaction) for each in waiting.values())

    def draft(self, action: Action, nonce: int | None = None) -> UnsignedTransaction:
        """Raises SigningError or TooManyWaiting."""
        place = nonces.next_nonce(self.view, self.sent) if nonce is None else nonce
        return draft(action, self.public_key, place, self.fees, self.chain_id)

    def all_but_fee(self, action: Callable[[int], Action]) -> int:
        """The most that such an action can move. Raises CommandError if the fee leaves nothing."""
        # Amounts have one length, so the gas does not depend on which one it is.
        most = self.free - draft(action(self.balance), self.public_key, 0, self.fees, self.chain_id).fee_maximum
        if most <= 0:
            raise CommandError(f"{neuro(max(0, self.free))} can be spent, which the fee uses up")
        return most


def cost_maximum(transaction: Transaction) -> int:
    """Nanos that a transaction takes from its sender's balance at most."""
    return UnsignedTransaction(transaction, bytes(32)).fee_maximum + paid_by(transaction.action)


def payer_of(session: Session, spending: Spending) -> Payer:
    """Raises WalletError."""
    account = _signer(session, spending.account)
    chain_id = session.chain_id
    sent = session.folder.pending.of(account.address, chain_id)
    drafting = session.drafting
    if drafting is not None and drafting.nonce is not None:
        # Nobody is asked: what is not known is said by the user.
        fees = Fees(DEFAULT_MAX_FEE if spending.max_fee is None else spending.max_fee, spending.tip or 0)
        return Payer(account, chain_id, View(drafting.nonce), 0, (), fees)
    answered = session.account_answer(account.address)
    if sent:
        session.folder.pending.settle(account.address, chain_id, answered.whole("nonce"), now_ms())
    view = view_of(session, answered, sent)
    fees = fees_of(session, spending)
    return Payer(account, chain_id, view, answered.nanos("balance_nanos"), sent, fees, answered.object("stake"))


def _signer(session: Session, index: int | None) -> Account:
    """The account, with its public key: the wallet is opened for that once."""
    drafting = session.drafting
    if drafting is not None and drafting.public_key is not None:
        return Account(0, "", address_of(drafting.public_key), drafting.public_key)
    account = session.account(index)
    if account.public_key is None:
        session.wallet()
        account = session.account(account.index)
    return account


def view_of(session: Session, answered: Answered, sent: tuple[Sent, ...], with_final: bool = False) -> View:
    """The account's nonces; asks for each of the wallet's own where the node does not list what waits."""
    nonce = answered.whole("nonce")
    final = {each.id for each in sent if each.nonce < nonce and _state(session, each) == "final"} if with_final else ()
    if answered.has("waiting"):
        waiting = tuple(bytes.fromhex(text) for text in answered.texts("waiting") if _is_id(text))[: nonces.WINDOW]
        return View(nonce, waiting, frozenset(final))
    found: list[bytes] = []
    while len(found) < nonces.WINDOW:
        place = nonce + len(found)
        own = [each.id for each in sent if each.nonce == place and _state(session, each) == "waiting"]
        if not own:
            break
        found.append(own[0])
    return View(nonce, tuple(found), frozenset(final))


def _is_id(text: str) -> bool:
    return len(text) == 64 and all(each in "0123456789abcdef" for each in text)


def _state(session: Session, each: Sent) -> str:
    found = transaction_answer(session, each.id)
    return "unknown" if found is None else found.text("status")


def transaction_answer(session: Session, identity: bytes) -> Answered | None:
    """What the node says of a transaction; None if it does not know it."""
    try:
        return session.client.get(f"/v1/transactions/{identity.hex()}")
    except Refused as refused:
        if refused.status == 404:
            return None
        raise


def fees_of(session: Session, spending: Spending) -> Fees:
    """As the user says, else as the node suggests, within reason. Raises CommandError, BadValue."""
    max_fee, tip = spending.max_fee, spending.tip
    if max_fee is None or tip is None:
        suggested = _suggested(session)
        tip = min(suggested.tip, suggested.max_fee if max_fee is None else max_fee) if tip is None else tip
        max_fee = max(suggested.max_fee, suggested.max_fee - suggested.tip + tip) if max_fee is None else max_fee
    if tip > max_fee:
        raise BadValue(f"--tip {tip} is part of --max-fee {max_fee}: raise the latter")
    return Fees(max_fee, tip)


def _suggested(session: Session) -> Fees:
    try:
        answered = session.client.get("/v1/fees")
    except Refused as refused:
        if refused.status != 404:
            raise
        return Fees(DEFAULT_MAX_FEE, 0)  # an earlier node
    fees = Fees(answered.nanos("suggested_max_fee_nanos"), answered.nanos("suggested_tip_nanos"))
    if fees.max_fee > SUGGESTED_MAXIMUM:
        raise CommandError(
            f"the node suggests {fees.max_fee:,} nanos for a unit of gas, which is a lot: ask another node, or say "
            "what you want to pay with --max-fee"
        )
    return Fees(fees.max_fee, min(fees.tip, fees.max_fee))


def carry_out(session: Session, spending: Spending, make: Callable[[Payer], Action], question: str) -> Answer:
    """Draft, confirm, sign, hand in, wait; or write the draft into a file. Raises WalletError."""
    payer = payer_of(session, spending)
    unsigned = payer.draft(make(payer))
    if session.drafting is not None:
        return _kept_draft(session, unsigned)
    _check_new(session, payer, unsigned)
    return sign_and_send(session, payer, unsigned, spending, question)


def _check_new(session: Session, payer: Payer, unsigned: UnsignedTransaction) -> None:
    """Tell what goes before it. Raises CommandError if the very same is kept, signed, and has not gone out."""
    missing, ready = nonces.missing(payer.view, payer.sent), nonces.to_rebroadcast(payer.view, payer.sent)
    same = next((each for each in missing if each.transaction.action == unsigned.transaction.action), None)
    if same is not None:
        # Who tries again what seemed to have failed would pay twice: the kept one goes out with the next one.
        way = (
            "`pending --rebroadcast` hands it in, `cancel` undoes it; then this can be signed again"
            if same in ready
            else f"It has nonce {same.nonce} and waits for earlier ones: it will still be paid when they are used"
        )
        raise CommandError(
            f"the same was signed before and is kept, and the node does not have it: {same.id.hex()[:16]}. {way}"
        )
    for each in ready:
        session.ui.tell(
            f"Kept from before, and handed in again before this one: {each.id.hex()[:16]}, which takes at most "
            f"{neuro(cost_maximum(each.transaction))}; `pending` tells of it."
        )


def _kept_draft(session: Session, unsigned: UnsignedTransaction) -> Answer:
    assert session.drafting is not None
    path = session.drafting.path
    content = TransactionFile(unsigned, session.network_name())
    transaction_file.save(path, content)
    lines = [f"{label}: {text}" for label, text in content.described(session.folder.names())]
    last = f"{path} holds it, unsigned: take it to the machine with the keys, and there `sign-file {path} SIGNED-FILE`"
    return Answer({"file": str(path), "id": unsigned.id.hex(), "described": lines}, words(*lines, last))


def sign_and_send(
    session: Session, payer: Payer, unsigned: UnsignedTransaction, spending: Spending, question: str
) -> Answer:
    """The screen, the signature, and all that follows. Raises NotConfirmed if nobody says yes."""
    replaces = any(each.nonce == unsigned.transaction.nonce for each in payer.sent)
    content = TransactionFile(unsigned, session.network_name())
    confirm(session, content, spending.yes, question)
    secret = session.wallet().wallet_key(payer.account.index)
    sent = Sent(sign(unsigned, secret), unsigned.chain_id, now_ms())
    hand_in_again(session, payer, unsigned.transaction.nonce)
    hand_in(session, sent, replaces)
    return followed(session, sent, spending.no_wait)


def confirm(session: Session, content: TransactionFile, is_sure: bool, question: str) -> None:
    """What is read from the very bytes that will be signed, and a yes. Raises NotConfirmed."""
    if is_sure:
        return
    if not session.ui.can_ask():
        raise NotConfirmed("nobody can be asked whether to sign: add --yes if that is what you want")
    if not session.ui.confirm(content.described(session.folder.names()), question):
        raise NotConfirmed("nothing was signed")


def hand_in_again(session: Session, payer: Payer, below: int = NUMBER_MAXIMUM) -> list[Sent]:
    """What the node has lost since, of nonces below one: without it nothing later goes in. Returns what it took."""
    taken = []
    lost = [each for each in nonces.to_rebroadcast(payer.view, payer.sent) if each.nonce < below]
    for each in lost:
        try:
            session.client.submit(each.raw)
        except Refused as refused:
            session.ui.tell(
                f"Transaction {each.id.hex()[:16]} of yours is not in a block and the node does not take it again "
                f"({refused}): `speed-up` or `cancel` it"
            )
            break
        session.ui.tell(f"Transaction {each.id.hex()[:16]} was unknown to the node: it was handed in again.")
        taken.append(each)
    return taken


def hand_in(session: Session, sent: Sent, replaces: bool = False) -> None:
    """Keep it, then give it to the node. Raises WalletError."""
    session.folder.pending.record(sent, replaces)
    try:
        session.client.submit(sent.raw)
    except ApiError as error:
        if isinstance(error, Refused) and error.status not in PASSING:
            session.folder.pending.forget(sent.id)
            raise
        error.kept = sent.id.hex()
        error.args = (
            f"{error}. What was signed is kept and may have arrived, so do not send it once more: `pending` tells, and "
            f"hands it in again with --rebroadcast. Its id: {error.kept}",
        )
        raise


def followed(session: Session, sent: Sent, no_wait: bool) -> Answer:
    """Its id at once; then, unless nobody wants to wait, what became of it."""
    identity = sent.id.hex()
    session.ui.tell(f"Handed in: {identity}")
    rivals = [each.id for each in session.folder.pending.of(sent.sender, sent.chain_id) if each.nonce == sent.nonce]
    final = None if no_wait else wait_final(session, [sent.id, *(each for each in rivals if each != sent.id)])
    if final is not None:
        session.seen.final.add(final[0])
    content: dict[str, Any] = {
        "id": identity,
        "status": "waiting" if final is None else "final" if final[0] == sent.id else "replaced",
        "height": None if final is None else final[1],
        "replaced_by": final[0].hex() if final is not None and final[0] != sent.id else None,
        "nonce": sent.nonce,
        "cost_maximum_nanos": str(cost_maximum(sent.transaction)),
    }
    return Answer(content, _outcome(content, no_wait))


def _outcome(content: dict[str, Any], no_wait: bool) -> Show:
    match content["status"]:
        case "final":
            return words(f"Final in block {content['height']:,}: {content['id']}")
        case "replaced":
            return words(
                f"Too late: what was sent before with this nonce is final in block {content['height']:,}: "
                f"{content['replaced_by']}"
            )
    waited = "It waits for a block" if no_wait else f"It still waits after {WAIT_SECONDS} s; nothing is lost"
    return words(f"{waited}: {content['id']}", "`pending` tells what becomes of it.")


def wait_final(session: Session, identities: Sequence[bytes]) -> tuple[bytes, int] | None:
    """Ask until one of them is final, at a height; None if that takes too long. A node's faults end nothing here."""
    deadline = time.monotonic() + WAIT_SECONDS
    is_away = False
    while time.monotonic() < deadline:
        try:
            for identity in identities:
                found = transaction_answer(session, identity)
                if found is not None and found.text("status") == "final":
                    return identity, found.whole("height")
        except ApiError as error:
            # It was handed in: others make it final, and a node that is started again will say so.
            if not is_away:
                session.ui.tell(f"{error}. Waiting for it; what was handed in goes on without it.")
            is_away = True
        time.sleep(PAUSE_SECONDS)
    return None


def now_ms() -> int:
    return time.time_ns() // 1_000_000
