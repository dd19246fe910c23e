"""Why the ledger says no. Every fault of somebody else is one of these, with the numbers in its message.

NeuroError
├── DecodeError          bytes that are not the one encoding of an object
├── BadSignature         a signature or key that does not verify
└── LedgerError          a well-formed object that breaks a rule
    ├── InvalidBlock         header, root or order is wrong
    ├── InvalidTransaction
    ├── InvalidProof
    ├── InvalidRoundInput
    ├── InvalidGenesis
    └── NotEnoughFunds
"""


class NeuroError(Exception):
    """The family: anything a stranger's input can cause."""


class DecodeError(NeuroError):
    """Bytes that are not the one encoding of the wanted object."""


class BadSignature(NeuroError):
    """A signature, public key or proof of possession that does not verify."""


class LedgerError(NeuroError):
    """A well-formed object that breaks a rule of the ledger."""


class InvalidBlock(LedgerError):
    """A block whose header, order or roots are wrong."""


class InvalidTransaction(LedgerError):
    """A transaction that the state does not allow."""


class InvalidProof(LedgerError):
    """A PoNW proof that the cheap checks refuse."""


class InvalidRoundInput(LedgerError):
    """A commit, reveal or vote that the round does not allow."""


class InvalidGenesis(LedgerError):
    """A network file that is malformed or lacks a parameter."""


class NotEnoughFunds(LedgerError):
    """A pot that holds less than what is to leave it."""
