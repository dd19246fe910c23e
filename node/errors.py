"""What can go wrong outside the rules: each message says what to do next."""

import errno

from chain.errors import NeuroError


class NodeError(NeuroError):
    """A fault of this machine, its files or its settings, told in words."""


class DataDirectoryError(NodeError):
    """A data directory that is in use, of another schema, read-only or damaged."""


class StoreError(NodeError):
    """A ledger database that cannot be read or written."""


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
