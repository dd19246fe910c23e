"""Why consensus says no. All are faults of somebody else, so all belong to the NeuroError family.

ConsensusError
├── BadCommittee             a validator set that is empty, too large, unordered or without power
├── BadVote                  a vote of unknown kind, from an unknown signer, or badly signed
├── BadProposal              a proposal that contradicts itself or comes from someone else than the leader
├── BadEvidence              two votes that do not prove a fault
└── BadCertificate           a certificate of unknown kind or with a hash where none belongs
    ├── WrongBitmapLength        not one bit for each member, rounded up to bytes
    ├── TrailingBits             a bit set beyond the last member
    ├── NoQuorum                 the signers hold no more than two thirds of the power
    └── BadAggregate             the aggregate signature does not verify
"""

from chain.errors import NeuroError


class ConsensusError(NeuroError):
    """Anything a stranger's message can cause in consensus."""


class BadCommittee(ConsensusError):
    """A validator set that is empty, too large, unordered or has a member without power."""


class BadVote(ConsensusError):
    """A vote of unknown kind, from an unknown signer, or badly signed."""


class BadProposal(ConsensusError):
    """A proposal that contradicts itself or comes from someone else than the leader."""


class BadEvidence(ConsensusError):
    """Two votes that do not prove a fault."""


class BadCertificate(ConsensusError):
    """A certificate that proves nothing."""


class WrongBitmapLength(BadCertificate):
    """The bitmap has not exactly one bit for each member, rounded up to bytes."""


class TrailingBits(BadCertificate):
    """A bit is set beyond the last member."""


class NoQuorum(BadCertificate):
    """The signers hold no more than two thirds of the power."""


class BadAggregate(BadCertificate):
    """The aggregate signature does not verify for these signers and this message."""
