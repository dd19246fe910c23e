"""What can go wrong with somebody's keys. Each message says what to do; none holds a secret.

NeuroError
└── WalletError
    ├── MnemonicError        words that are no wallet: count, spelling or checksum
    ├── DerivationError      a path that does not exist in the key tree
    ├── CommandError         what a command of the wallet was asked cannot be done
    │   ├── BadValue             a word that the command cannot read: wrong usage
    │   │   └── AmountError
    │   ├── NotConfirmed         nobody said yes: nothing was sent or changed
    │   ├── NoWallet             there is none in this folder
    │   └── PasswordNeeded       nobody could be asked for it
    ├── ApiError             what came or did not come from a node
    │   ├── NodeAway             nobody answers
    │   ├── BadAnswer            an answer that makes no sense
    │   ├── OtherChain           the node is of another network
    │   └── Refused              in the node's own words, with its code
    ├── FolderError          a wallet's other files cannot be written or read
    │   ├── FolderDamaged        a file that is not what this program wrote
    │   ├── FolderBusy           another program is writing
    │   └── OtherWallet          accounts of another wallet than the keystore's
    ├── NameRefused          a name that could be mistaken, or is taken
    ├── SigningError         what cannot be drafted, or is not this key's to sign
    ├── MessageError         a signed message that cannot be read or made
    ├── TransactionFileError a file to be signed elsewhere that cannot be written or read
    │   └── TransactionFileExists
    ├── NonceError
    │   ├── NonceTaken           something else was sent with this nonce: draft it anew
    │   └── TooManyWaiting
    └── KeystoreError        a file that cannot be written or read
        ├── KeystoreExists       the name is taken; nothing is overwritten
        ├── KeystoreMissing
        ├── KeystoreCorrupt      not a keystore, or a damaged one
        ├── KeystoreTooCostly    opening it would take more memory or time than any honest keystore
        ├── KeystoreMismatch     the secret is not that of the address in the file
        ├── BadPassword          a password that no keystore can have
        └── WrongPassword
"""

from chain.errors import NeuroError


class WalletError(NeuroError):
    """The family."""


class MnemonicError(WalletError):
    """Words that are no wallet."""


class DerivationError(WalletError):
    """A path or an index that does not exist in the key tree."""


class KeystoreError(WalletError):
    """A keystore file that cannot be written or read."""


class KeystoreExists(KeystoreError):
    """The name is taken."""


class KeystoreMissing(KeystoreError):
    """There is no such file."""


class KeystoreCorrupt(KeystoreError):
    """A file that is not a version 4 keystore."""


class KeystoreTooCostly(KeystoreError):
    """Key stretching beyond what this program is willing, or this machine able, to do."""


class KeystoreMismatch(KeystoreError):
    """The secret gives another address than the file names."""


class BadPassword(KeystoreError):
    """A password that is empty, endless or not text."""


class WrongPassword(KeystoreError):
    """The checksum says that the password is not the one the file was made with."""


class FolderError(WalletError):
    """A wallet's files beside the keystore cannot be written or read."""


class FolderDamaged(FolderError):
    """A file that is not what this program wrote."""


class FolderBusy(FolderError):
    """Another program is writing to the same folder."""


class OtherWallet(FolderError):
    """The accounts in wallet.json are not those of the keystore beside it."""


class NameRefused(WalletError):
    """A name that could be mistaken for something else, or is taken."""


class SigningError(WalletError):
    """What cannot be drafted, or is not this key's to sign."""


class MessageError(WalletError):
    """A signed message that cannot be made, read or verified."""


class TransactionFileError(WalletError):
    """A transaction file that cannot be written or read."""


class TransactionFileExists(TransactionFileError):
    """The name is taken."""


class NonceError(WalletError):
    """The order of a wallet's transactions."""


class NonceTaken(NonceError):
    """Something else was sent with this nonce."""


class TooManyWaiting(NonceError):
    """No more may wait, here or at a node."""


class CommandError(WalletError):
    """What a command was asked cannot be done."""


class BadValue(CommandError):
    """A word that the command cannot read."""


class AmountError(BadValue):
    """A text that is no amount."""


class NotConfirmed(CommandError):
    """Nobody said yes."""


class NoWallet(CommandError):
    """The folder has no wallet."""


class PasswordNeeded(CommandError):
    """Nobody could be asked for the password."""


class ApiError(WalletError):
    """What came, or did not come, from a node."""

    kept: str | None = None  # the id of a transaction that was signed, is kept, and may have arrived


class NodeAway(ApiError):
    """Nobody answers where a node was expected."""


class BadAnswer(ApiError):
    """An answer whose form or numbers make no sense."""


class OtherChain(ApiError):
    """The node is of another network than the wallet's folder."""


class Refused(ApiError):
    """The node said no."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code, self.status = code, status
