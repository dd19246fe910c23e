"""What can go wrong with somebody's keys. Each message says what to do; none holds a secret.

NeuroError
└── WalletError
    ├── MnemonicError        words that are no wallet: count, spelling or checksum
    ├── DerivationError      a path that does not exist in the key tree
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
