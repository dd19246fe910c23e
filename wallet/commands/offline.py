"""Signing on a machine without a network: draft here, sign there, broadcast here."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from chain.crypto import ecdsa
from wallet.commands.parts import words
from wallet.errors import ApiError, BadValue, CommandError, OtherChain
from wallet.kinds import FLAG, WHOLE_MAXIMUM, FileKind, Kind, NumberKind, TextKind
from wallet.registry import REST, Answer, command, find
from wallet.session import Drafting, Session

if TYPE_CHECKING:
    from wallet.pending import Sent
    from wallet.transaction_file import TransactionFile

SIGNING = ("send", "send-many", "bond", "unbond", "withdraw", "unjail")
OPENED = FileKind("a transaction file")
NEW = FileKind("where to write it; nothing is overwritten")
LINE = TextKind("COMMAND", "a command that signs, with its words")
NONCE = NumberKind("N", 0, WHOLE_MAXIMUM, "the transaction's number in its sender's order")


class PublicKeyKind(Kind[bytes]):
    metavar = "HEX"
    meaning = "a wallet's public key, 66 hexadecimal digits"

    def parse(self, text: str, session: Session) -> bytes:
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != ecdsa.PUBLIC_KEY_BYTES or key[0] not in (2, 3):
            raise BadValue("a public key has 66 hexadecimal digits; `accounts --json` tells yours")
        return key


PUBLIC_KEY = PublicKeyKind()


@command(
    "draft",
    "Write what a command would sign into a file, unsigned.",
    group="offline",
    examples=("draft rent.json send alice 1.5", "draft --nonce 7 rent.json send alice 1.5 --max-fee 100"),
)
def draft(
    session: Session,
    file: Annotated[Path, NEW],
    line: Annotated[tuple[str, ...], LINE, REST, "a command that signs, with its words"],
    *,
    public_key: Annotated[bytes | None, PUBLIC_KEY, "sender's public key, where the wallet is elsewhere"] = None,
    nonce: Annotated[int | None, NONCE, "sender's next nonce, where no node can be asked"] = None,
) -> Answer:
    from wallet.line import read

    if line[0] not in SIGNING:
        raise BadValue(f"COMMAND: {line[0]!r} signs nothing; these do: {', '.join(SIGNING)}")
    wanted = find(line[0])
    raw = read(wanted, line[1:])
    session.drafting = Drafting(file, public_key, nonce)
    try:
        return wanted.call(raw, session)
    finally:
        session.drafting = None


@command(
    "sign-file",
    "Show what a drafted transaction says, and sign it into a new file. Needs no network.",
    group="offline",
    examples=("sign-file rent.json rent-signed.json",),
)
def sign_file(
    session: Session,
    file: Annotated[Path, OPENED, "the drafted transaction"],
    out: Annotated[Path, NEW],
    *,
    yes: Annotated[bool, FLAG, "do not ask whether to sign"] = False,
) -> Answer:
    from wallet import transaction_file
    from wallet.sending import confirm

    content = transaction_file.load(file)
    if content.signed is not None:
        raise CommandError(f"{file} is signed already: `broadcast` it")
    content = _of_this_network(session, file, content)
    account = _sender(session, content)
    confirm(session, content, yes, "Sign this?")
    signed = content.signed_by(session.wallet().wallet_key(account))
    transaction_file.save(out, signed)
    last = f"{out} holds it, signed: take it to a machine with a network, and there `broadcast {out}`"
    return Answer({"file": str(out), "id": signed.id.hex()}, words(last))


def _of_this_network(session: Session, file: Path, content: "TransactionFile") -> "TransactionFile":
    """Called as the folder's own network, if it has one: a name in the file is nobody's word. Raises OtherChain."""
    kept = session.kept_chain()
    if kept is None:
        return replace(content, network="")
    if kept != content.chain_id:
        raise OtherChain(
            f"{file} is for chain {content.chain_id.hex()[:16]}, the network in {session.directory} is "
            f"{kept.hex()[:16]}: name the folder of that network with --data-dir"
        )
    return replace(content, network=session.network_name())


def _sender(session: Session, content: "TransactionFile") -> int:
    """The number of the account that has to sign. Raises CommandError."""
    wanted = content.unsigned.transaction.sender
    if any(each.public_key is None for each in session.accounts()) or not session.accounts():
        session.wallet()
    for each in session.accounts():
        if each.public_key == wanted:
            return each.index
    raise CommandError("none of your accounts is the sender: `accounts add` it, or take the file to the right wallet")


@command(
    "broadcast",
    "Hand in a signed transaction file.",
    group="offline",
    examples=("broadcast rent-signed.json",),
)
def broadcast(
    session: Session,
    file: Annotated[Path, OPENED, "the signed transaction"],
    *,
    no_wait: Annotated[bool, FLAG, "do not wait until it is final"] = False,
) -> Answer:
    from wallet import transaction_file
    from wallet.pending import Sent
    from wallet.sending import followed, hand_in, now_ms

    content = transaction_file.load(file)
    if content.signed is None:
        raise CommandError(f"{file} is not signed yet: `sign-file {file} SIGNED-FILE` where the keys are")
    if content.chain_id != session.chain_id:
        raise CommandError(f"{file} is for chain {content.chain_id.hex()[:16]}, the node is of another network")
    for label, text in content.described(session.folder.names()):
        session.ui.tell(f"  {label}: {text}")
    sent = Sent(content.signed, content.chain_id, now_ms())
    _forget_used(session, sent)
    hand_in(session, sent, replaces=True)
    answer = followed(session, sent, no_wait)
    if answer.content["status"] != "waiting":
        with suppress(ApiError):
            _forget_used(session, sent)
    return answer


def _forget_used(session: Session, sent: "Sent") -> None:
    """Of a wallet that is elsewhere, what the ledger has: `pending` lists none of it, and it would fill the file."""
    if any(each.address == sent.sender for each in session.accounts()):
        return
    kept = session.folder.pending.of(sent.sender, sent.chain_id)
    nonce = session.account_answer(sent.sender).whole("nonce") if kept else 0
    for each in kept:
        if each.nonce < nonce:
            session.folder.pending.forget(each.id)
