"""An outer state as the blobs whose roots an outcome names, and back: what nodes fetch of each other.

    weights     fp32, little-endian
    momentum    i32, little-endian
    aggregate   of the round that led to it (`training.aggregate`)
    trust       the record of who helped (`training.trust`)

A root of zeros stands for a blob that is empty or all zeros, and is fetched from nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chain.block import Outcome
from chain.crypto.hashing import ZERO
from network.pages import Wanted
from node.errors import StoreError, disk_advice
from node.template import Learning
from training.aggregate import aggregate_size
from training.errors import TrainingError
from training.outer import OuterState
from training.trust import TRUST_BYTES_MAXIMUM, read_trust

VALUE_BYTES = 4  # of a weight, and of a momentum


class NotThatModel(StoreError):
    """Bytes that are not the outer state that was asked for."""


@dataclass(frozen=True, slots=True)
class ModelBlob:
    """One of the four, as it is asked for: how long it may be follows from the model, not from who serves it."""

    name: str
    wanted: Wanted


def blobs_of(outcome: Outcome, learning: Learning) -> tuple[ModelBlob, ...]:
    """Those that have to be fetched."""
    parameters, aggregate = learning.parameters, aggregate_size(learning.fragment_sizes)
    every = (
        ("weights", outcome.weights_root, VALUE_BYTES * parameters, VALUE_BYTES * parameters),
        ("momentum", outcome.momentum_root, VALUE_BYTES * parameters, VALUE_BYTES * parameters),
        ("aggregate", outcome.aggregate_root, aggregate, aggregate),
        ("trust", outcome.trust_root, TRUST_BYTES_MAXIMUM, None),
    )
    return tuple(ModelBlob(name, Wanted(root, most, size)) for name, root, most, size in every if root != ZERO)


def state_from(files: Mapping[str, Path], outcome: Outcome, learning: Learning) -> OuterState:
    """The outer state from the blobs' files, by name. Raises NotThatModel, or StoreError if they cannot be read."""
    parameters = learning.parameters
    try:
        read = {name: path.read_bytes() for name, path in files.items()}
        vectors = [read[name] if name in read else bytes(VALUE_BYTES * parameters) for name in ("weights", "momentum")]
        weights = np.frombuffer(vectors[0], dtype="<f4").astype(np.float32, copy=False)
        momentum = np.frombuffer(vectors[1], dtype="<i4").astype(np.int32, copy=False)
        trust = read_trust(read.get("trust", b""))
    except OSError as error:
        raise StoreError(f"cannot read what was fetched of the model: {disk_advice(error)}") from error
    except (ValueError, TrainingError) as error:
        raise NotThatModel(f"what was fetched is no model: {error}") from error
    if weights.size != parameters or momentum.size != parameters:
        raise NotThatModel(f"what was fetched is no model of {parameters} parameters")
    state = OuterState(weights, momentum, read.get("aggregate", b""), trust)
    if learning.outcome(outcome.counted_root, state) != outcome:
        raise NotThatModel(f"what was fetched is not the model with the outer root {outcome.outer_root.hex()[:16]}")
    return state
