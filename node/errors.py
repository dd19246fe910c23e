"""What can go wrong outside the rules: each message says what to do next.

NodeError extends the ledger's family by faults of this machine. RefusedForNow splits the refusals of the mempool: what
is of this class may fit a later state, and whoever relayed it has done nothing wrong; any other refusal (a signature
that does not verify, too many bytes, a form that no state allows) shows that the relaying peer checks nothing.

NeuroError
├── LedgerError
│   ├── InvalidTransaction
│   │   └── RefusedForNow        fee too low now, nonce used or out of turn, no room, weaker than what waits
│   │       └── FundsTooLow      also a NotEnoughFunds
│   └── NotEnoughFunds
└── NodeError
    ├── NoNode                   also a wallet's NodeAway: nobody answers where a node should run
    ├── NoPassword               also a wallet's PasswordNeeded: nobody could be asked for it
    ├── DataDirectoryError
    ├── StoreError
    │   ├── ModelDiffers         what the ledger says a round gave is not what it gives here
    │   └── SegmentStoreError
    └── TrainerError
"""

import errno

from chain.errors import InvalidTransaction, NeuroError, NotEnoughFunds
from wallet.errors import NodeAway, PasswordNeeded


class RefusedForNow(InvalidTransaction):
    """A transaction that the mempool cannot keep as things are: the same bytes may be welcome later."""


class FundsTooLow(NotEnoughFunds, RefusedForNow):
    """A transaction that, with all its sender has waiting, could cost more than the balance."""


class NodeError(NeuroError):
    """A fault of this machine, its files or its settings, told in words."""


class NoNode(NodeError, NodeAway):
    """No node answers where one should run."""


class NoPassword(NodeError, PasswordNeeded):
    """A wallet's password that was not given, and that nobody could be asked for."""


class DataDirectoryError(NodeError):
    """A data directory that is in use, of another schema, read-only or damaged."""


class StoreError(NodeError):
    """A ledger database that cannot be read or written."""


class ModelDiffers(StoreError):
    """A round gives another model here than the ledger says. Nothing is trained on either."""


class SegmentStoreError(StoreError):
    """The states of segments cannot be written, read or removed."""


class TrainerError(NodeError):
    """The trainer process failed or said something that it should not."""


def disk_advice(error: OSError) -> str:
    """What the operating system says of a file, and what to do next."""
    reason = error.strerror or str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            advice = "the disk is full: free some space and start again"
        case errno.EROFS | errno.EACCES | errno.EPERM:
            advice = "give this user the right to read and write it, then start again"
        case errno.EIO:
            advice = "the disk is failing: copy the data directory to another one and start there"
        case errno.EISDIR | errno.ENOTDIR | errno.ENOTEMPTY | errno.EEXIST:
            advice = "something else lies in its place: move that away and start again"
        case _:
            advice = "check the disk and start again"
    return f"{reason}; {advice}"
