"""What a wallet signs: drafts, their signatures, and what a draft says in words.

The words come from the bytes that will be hashed and signed, decoded again, never from what somebody typed or a file
claims. Start reading at `draft`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from chain.crypto import bls, ecdsa
from chain.errors import BadSignature, DecodeError, NeuroError
from chain.fees import transaction_gas
from chain.transactions import (
    TRANSACTION_BYTES_MAXIMUM,
    Action,
    Bond,
    MultiTransfer,
    RegisterNode,
    RetireNode,
    ServicePayment,
    Transaction,
    Transfer,
    bond_consent,
    check_signature,
    node_farewell,
)
from wallet.errors import SigningError
from wallet.signing_words import Words, words_of

NO_SIGNATURE = bytes(64)
NUMBER_MAXIMUM = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Fees:
    """Nanos per unit of gas: at most so much in all, and of it at most so much for the proposer."""

    max_fee: int
    tip: int = 0


@dataclass(frozen=True, slots=True)
class UnsignedTransaction:
    """A draft for one chain. `raw` is what its id and its signature are made over."""

    transaction: Transaction
    chain_id: bytes

    @property
    def raw(self) -> bytes:
        return self.transaction.signing_bytes()

    @property
    def id(self) -> bytes:
        """The id that it will have: a signature does not change it."""
        return self.transaction.id(self.chain_id)

    @property
    def gas(self) -> int:
        return transaction_gas(self.transaction)

    @property
    def fee_maximum(self) -> int:
        """Nanos that inclusion can cost, whatever the base fee will be."""
        return self.gas * self.transaction.max_fee

    @property
    def amount(self) -> int:
        """Nanos that leave the balance beside the fee."""
        return paid_by(self.transaction.action)


def paid_by(action: Action) -> int:
    """Nanos that an action takes from its sender's balance, without the fee."""
    match action:
        case Transfer(amount=amount) | ServicePayment(amount=amount) | Bond(amount=amount):
            return amount
        case MultiTransfer(payments=payments):
            return sum(payment.amount for payment in payments)
    return 0


def draft(action: Action, sender: bytes, nonce: int, fees: Fees, chain_id: bytes) -> UnsignedTransaction:
    """A transaction of the owner of a 33-byte public key, to be signed. Raises SigningError if it has no encoding."""
    if not all(0 <= number <= NUMBER_MAXIMUM for number in (nonce, fees.max_fee, fees.tip)):
        raise SigningError("nonce, greatest fee and tip are numbers below 2**64")
    if fees.tip > fees.max_fee:
        raise SigningError(
            f"the tip of {fees.tip} nanos per gas is part of the greatest fee, {fees.max_fee}: raise that"
        )
    if isinstance(action, MultiTransfer) and not action.payments:
        raise SigningError("a multi-transfer pays at least one address")
    if isinstance(action, RegisterNode) and fees.max_fee:
        raise SigningError("a registration pays with its stamp: its fee and tip are 0")
    made = Transaction(sender, nonce, fees.max_fee, fees.tip, action, NO_SIGNATURE)
    try:
        raw = made.encode()[: -len(NO_SIGNATURE)]
    except (DecodeError, OverflowError) as error:
        raise SigningError(f"this has no place in a transaction: {error}") from None
    return read_unsigned(raw, chain_id)


def read_unsigned(raw: bytes, chain_id: bytes) -> UnsignedTransaction:
    """The draft whose signing bytes these are. Raises SigningError."""
    if len(chain_id) != 32:
        raise SigningError("a chain id has 32 bytes")
    if len(raw) + len(NO_SIGNATURE) > TRANSACTION_BYTES_MAXIMUM:
        raise SigningError(f"a transaction has at most {TRANSACTION_BYTES_MAXIMUM} bytes: pay fewer addresses at once")
    try:
        return UnsignedTransaction(Transaction.decode(raw + NO_SIGNATURE), chain_id)
    except DecodeError as error:
        raise SigningError(f"these bytes are no transaction: {error}") from None


def sign(unsigned: UnsignedTransaction, secret: bytes) -> Transaction:
    """With the sender's signature, which is checked before it is given away. Raises SigningError."""
    try:
        if ecdsa.public_key(secret) != unsigned.transaction.sender:
            raise SigningError("this account is not the sender of the transaction: choose the account that is")
        signed = replace(unsigned.transaction, signature=ecdsa.sign(secret, unsigned.id))
        check_signature(signed, unsigned.chain_id)
    except BadSignature as error:
        raise SigningError(f"the transaction cannot be signed so: {error}") from None
    return signed


def read_signed(raw: bytes, chain_id: bytes) -> Transaction:
    """A transaction whose signatures have been checked. Raises SigningError."""
    if len(chain_id) != 32 or len(raw) > TRANSACTION_BYTES_MAXIMUM:
        raise SigningError(f"a transaction has at most {TRANSACTION_BYTES_MAXIMUM} bytes, a chain id 32")
    try:
        transaction = Transaction.decode(raw)
        check_signature(transaction, chain_id)
    except NeuroError as error:
        raise SigningError(f"this is no signed transaction of that network: {error}") from None
    return transaction


def described(
    raw: bytes, chain_id: bytes, names: Mapping[bytes, str] | None = None, network: str = ""
) -> list[tuple[str, str]]:
    """What somebody signs with these signing bytes, in labels and words: every field is shown.

    `names` says what the user calls addresses. Raises SigningError.
    """
    unsigned = read_unsigned(raw, chain_id)
    return words_of(unsigned.transaction, chain_id, Words(names or {}, network))


# ---- Actions that another key of the wallet has a word in


def bond_action(amount: int, validator_secret: bytes, wallet: bytes, chain_id: bytes) -> Bond:
    """Stake for the validator key of this secret; `wallet` is the sender's 21-byte address."""
    key = bls.public_key(validator_secret)
    return Bond(amount, key, bls.sign(validator_secret, bond_consent(chain_id, key, wallet)))


def retire_action(node_secret: bytes, wallet_key: bytes, chain_id: bytes) -> RetireNode:
    """The end of a node's registration; `wallet_key` is the sender's 33-byte public key."""
    key = ecdsa.public_key(node_secret)
    return RetireNode(key, ecdsa.sign(node_secret, node_farewell(chain_id, key, wallet_key)))
