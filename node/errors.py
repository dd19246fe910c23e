"""What can go wrong outside the rules: each message says what to do next."""

from chain.errors import NeuroError


class NodeError(NeuroError):
    """A fault of this machine, its files or its settings, told in words."""


class DataDirectoryError(NodeError):
    """A data directory that is in use, of another schema, read-only or damaged."""


class StoreError(NodeError):
    """A ledger database that cannot be read or written."""


class TrainerError(NodeError):
    """The trainer process failed or said something that it should not."""
