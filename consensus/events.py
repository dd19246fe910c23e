"""What happens to the consensus core (events) and what it asks of the shell around it (effects).

The shell performs the effects of one step in their order, before those of the next.
"""

from dataclasses import dataclass

from chain.crypto.votes import Evidence
from consensus.messages import Certificate, Message, Vote

LEADER = "leader"  # no proposal came: give up the view
VIEW = "view"  # the view takes too long: give it up
RETRY = "retry"  # say again what may have been lost


# --- events -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Received:
    """A message of this epoch came from a peer.

    The shell hands over a Proposal only once the block itself has come and been stored, and its header says the same
    epoch, view, parent hash and height: those fields carry no signature. Where block and parent are one, the header
    says an earlier view of the epoch and the same height.
    """

    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class Signed:
    """The vote asked for by CastVote, recorded and signed."""

    vote: Vote


@dataclass(frozen=True, slots=True)
class Built:
    """The block asked for by Propose is stored and ready."""

    view: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict asked for by Judge. A block judged valid has been stored."""

    view: int
    block_hash: bytes
    valid: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """The block asked for by FetchBlock is stored; its header says this."""

    block_hash: bytes
    parent_hash: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Installed:
    """Block sync has executed and stored everything up to this finalized block, whose certificate is given."""

    certificate: Certificate
    height: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The time set by SetTimer is over."""

    kind: str
    view: int


Event = Received | Signed | Built | Judged | Linked | Installed | TimerFired


# --- effects ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CastVote:
    """Record this vote durably, sign it, and hand it back as Signed. Nothing may leave before the record is synced."""

    kind: int
    epoch: int
    view: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Keep:
    """Store this certificate durably before any later effect; hand it back to `start` after a crash."""

    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Propose:
    """Build a block of this view on this parent and answer Built."""

    view: int
    parent_hash: bytes
    parent_view: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Execute this block, whose parent is notarized, and answer Judged."""

    view: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class FetchBlock:
    """Get this block, certified in this view or an ancestor of one that is, and answer Linked. Try until it works."""

    view: int
    block_hash: bytes


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Send to every validator and observer."""

    message: Message


@dataclass(frozen=True, slots=True)
class Send:
    """Send to one peer."""

    peer: bytes
    message: Message


@dataclass(frozen=True, slots=True)
class SetTimer:
    """Answer TimerFired after so many milliseconds. Timers of left views may be dropped."""

    kind: str
    view: int
    delay_ms: int


@dataclass(frozen=True, slots=True)
class Finalized:
    """This block is final. Blocks come in order of height; the certificate is the block's own or a descendant's."""

    block_hash: bytes
    height: int
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class EndEpoch:
    """The last block of the epoch is final: start the next epoch on it with the set its state names."""

    epoch: int
    block_hash: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Report:
    """A signer has provably broken the rules: put this on the ledger."""

    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Accuse:
    """Two certificates that cannot both be honest: every signer of both broke the rules."""

    first: Certificate
    second: Certificate


@dataclass(frozen=True, slots=True)
class Blame:
    """This peer sent something that no honest peer sends."""

    peer: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Halt:
    """Finality itself is contradicted: more than a third of the power is dishonest. People must decide."""

    reason: str


Effect = (
    CastVote | Keep | Propose | Judge | FetchBlock | Broadcast | Send | SetTimer | Finalized | EndEpoch
    | Report | Accuse | Blame | Halt
)  # fmt: skip
