"""Planted faults: segments that honestly read other data than the public draw says, and only their node knows which.

A node promises a secret in its reveal; from the next round on, the secret and that round's mix say of every segment
whether its data order is drawn from another mix. The secret is fixed before the mix is known, so nobody can choose;
until the node shows it nobody else can tell. An auditor that replays such a segment finds a mismatch. One that found
none has not looked. Learning loses nothing: the other data come from the same corpus. Source of the idea: Teutsch and
Reitwiessner 2017 (Truebit's forced errors).
"""

from chain.crypto.hashing import tagged_hash
from chain.genesis import Params


def plant_promise(secret: bytes) -> bytes:
    """What a reveal names of the secret. 32 bytes."""
    return tagged_hash("plant-promise", secret)


def is_planted(secret: bytes | None, mix: bytes, segment: int, params: Params) -> bool:
    """Whether a segment of a round with this mix reads other data. None: a node that has promised nothing yet."""
    if secret is None:
        return False
    lot = int.from_bytes(tagged_hash("plant", secret, mix, segment.to_bytes(4, "big"))[:8], "big")
    return lot * 10_000 < params.plant_basis_points << 64


def segment_mix(secret: bytes | None, mix: bytes, segment: int, params: Params) -> bytes:
    """The mix from which the data order of a segment is drawn. 32 bytes."""
    if secret is None or not is_planted(secret, mix, segment, params):
        return mix
    return tagged_hash("planted-data", secret, mix)
