"""What the ledger knows of storage and of data served: records under their keys, beside those of `chain.state`.

h                Storage          g                  Fragments
h ‖ node         Holder           d ‖ trainer        Fetched
e ‖ round ‖ trainer               Served
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from chain.audit_messages import LEAF_BYTES
from chain.codec import U16, U32, U64, Address, Hash, Var, Wire

FRAGMENTS_MAXIMUM = 4_098  # embedding, at most 4,096 layers, head
SHARDS_MAXIMUM = 65_536
VALUE_BYTES = 4
STORAGE_KEY, FRAGMENTS_KEY = b"h", b"g"


@dataclass(frozen=True, slots=True)
class Fragments(Wire):
    """How many leaves of 1 KiB each fragment of the model has."""

    leaves: Annotated[tuple[U64, ...], FRAGMENTS_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Storage(Wire):
    """An epoch's storage seats: what was fixed before it began, and who has proven so far."""

    epoch: U64
    mix: Hash
    model_root: Hash
    opened_height: U64  # of the last block before the epoch; 0: the genesis
    opened_ms: U64
    nodes: U64  # then registered
    veterans: U64
    last_holder: Hash  # the holders of an epoch form a list that starts here
    newcomers: U32  # of the holders
    taken: Annotated[tuple[U16, ...], FRAGMENTS_MAXIMUM]  # seats, by fragment


@dataclass(frozen=True, slots=True)
class Holder(Wire):
    """A node that has proven in this epoch that it holds its fragment."""

    wallet: Address
    previous: Hash


@dataclass(frozen=True, slots=True)
class Fetched(Wire):
    """The shards for which a trainer has given a receipt, ever: bit i as in the bitmaps of section 6."""

    shards: Annotated[bytes, Var(SHARDS_MAXIMUM // 8)]


@dataclass(frozen=True, slots=True)
class Served(Wire):
    """What a trainer has confirmed in one round, until that round is settled."""

    provider: Hash
    wallet: Address
    shards: U32


def holder_key(node: bytes) -> bytes:
    return b"h" + node


def fetched_key(trainer: bytes) -> bytes:
    return b"d" + trainer


def served_key(number: int, trainer: bytes) -> bytes:
    return b"e" + number.to_bytes(8, "big") + trainer


def fragment_leaves(model: Mapping[str, int]) -> tuple[int, ...]:
    """Leaves of each fragment, from a genesis's numbers `model.*`. None where a ledger has no model."""
    if not model:
        return ()
    width, ffn_width = model["width"], model["ffn_width"]
    kv_width = width // model["heads"] * model["kv_heads"]
    layer = width * (2 * width + 2 * kv_width + 3 * ffn_width) + 2 * width
    values = model["vocabulary"] * width, *[layer] * model["layers"], width
    return tuple(-(-VALUE_BYTES * count // LEAF_BYTES) for count in values)
