"""What a node that is behind, or a light client, asks of its peers, and how they answer.

Each question has a number, chosen by who asks, which comes back in the answer. A peer is asked one question of a kind
at a time. An answer without content says: I do not have it.
"""

from dataclasses import dataclass
from typing import Annotated

from chain.block import VALIDATORS_MAXIMUM, Block, Header, Validator
from chain.codec import U16, U64, Flag, Hash, Var, Wire
from chain.tree import StateProof
from node.set_chain import CERTIFICATE_BYTES_MAXIMUM, EpochEnd

RANGE_BLOCKS_MAXIMUM = 128
# A range is closed once it has so many bytes. Only where no block in them has a certificate of its own it goes on up to
# the first that has, within the other limit: a message must not be larger than its kind allows.
RANGE_BYTES, RANGE_BYTES_MAXIMUM = 4 << 20, (8 << 20) - 4096
ENDS_MAXIMUM, ENDS_BYTES = 1024, 3 << 20
KEYS_MAXIMUM, RECORDS_BYTES = 64, 2 << 20
KEY_BYTES_MAXIMUM, VALUE_BYTES_MAXIMUM = 64, 1 << 20


@dataclass(frozen=True, slots=True)
class RangeRequest(Wire):
    """Blocks from height `first` on, at most so many, none beyond the epoch of the first."""

    number: U64
    first: U64
    blocks: U16


@dataclass(frozen=True, slots=True)
class BlockRange(Wire):
    """Blocks of one epoch, one on the other, and the last one's own finalization."""

    number: U64
    blocks: Annotated[tuple[Block, ...], RANGE_BLOCKS_MAXIMUM]
    certificate: Annotated[bytes, Var(CERTIFICATE_BYTES_MAXIMUM)]


@dataclass(frozen=True, slots=True)
class EpochsRequest(Wire):
    """The last headers of epochs from `first` on, at most so many; `with_set`: and the first one's validator set."""

    number: U64
    first: U64
    ends: U16
    with_set: Flag


@dataclass(frozen=True, slots=True)
class EpochRange(Wire):
    """Ends of epochs without a gap. `members` is the set of the first, empty if not asked for or not known."""

    number: U64
    members: Annotated[tuple[Validator, ...], VALIDATORS_MAXIMUM]
    ends: Annotated[tuple[EpochEnd, ...], ENDS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class StateRequest(Wire):
    """Records of the state after the newest final block, if `height` is 0. Else no records: that block's header."""

    number: U64
    height: U64
    keys: Annotated[tuple[Annotated[bytes, Var(KEY_BYTES_MAXIMUM)], ...], KEYS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class ProvenRecord(Wire):
    """A value of the state, none if there is no such record, and the way to it from the state root."""

    value: Annotated[tuple[Annotated[bytes, Var(VALUE_BYTES_MAXIMUM)], ...], 1]
    proof: StateProof


@dataclass(frozen=True, slots=True)
class ProvenState(Wire):
    """A header, its own finalization (empty if a descendant's covers it), and records in the order of the keys.

    There may be fewer records than keys where they would be too large together.
    """

    number: U64
    header: Annotated[tuple[Header, ...], 1]
    certificate: Annotated[bytes, Var(CERTIFICATE_BYTES_MAXIMUM)]
    records: Annotated[tuple[ProvenRecord, ...], KEYS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class SnapshotRequest(Wire):
    """Which snapshot do you serve?"""

    number: U64


@dataclass(frozen=True, slots=True)
class SnapshotOffer(Wire):
    """The newest snapshot, by the pages root of its manifest; ZERO: there is none."""

    number: U64
    height: U64
    manifest_root: Hash
