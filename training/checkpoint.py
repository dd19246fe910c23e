"""Saved state on disk: the outer state after a round, and the second moments that outlive a round. Never pickle.

A checkpoint is one safetensors file. It is written beside its place, synced, and renamed over it, so a reader finds the
old file or the new one, never half of one, also after a power cut.

Loading checks the file's size, its metadata and every tensor's type and shape against the model before it allocates
anything, and the state's root at the end. Metadata (strings only) carries a checksum of itself.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from training.aggregate import aggregate_size
from training.errors import CheckpointError, PayloadError
from training.outer import OuterState
from training.trust import TRUST_BYTES_MAXIMUM, read_trust, trust_bytes

OUTER_KIND = "neuroshard-outer-2"
AVERAGES_KIND = "neuroshard-averages-1"
# More than any header of ours takes; it bounds what the header of a damaged file can make us read.
HEADER_LIMIT_BYTES = 1 << 16

Tensors = dict[str, NDArray[Any]]
# Told each step of a write: before, written, synced, renamed, durable. Tests end the process there.
Reached = Callable[[str], None]
# Name of each tensor: its safetensors type, and the least and the greatest number of values.
Shapes = Mapping[str, tuple[str, int, int]]
_ITEM_BYTES = {"F32": 4, "I32": 4, "U8": 1}
_TYPES = {"f4": "F32", "i4": "I32", "u1": "U8"}


def _unwatched(step: str) -> None:
    """Nobody asks."""


@dataclass(frozen=True, slots=True, eq=False)
class SavedOuter:
    """The outer state with which round `round` begins, and its outer root (32 bytes)."""

    state: OuterState
    round: int
    root: bytes


@dataclass(frozen=True, slots=True, eq=False)
class Averages:
    """The second moments with which the training of a round ended: flat fp32, the steps behind them, their root."""

    v: NDArray[np.float32]
    steps: int
    round: int
    root: bytes


def save_outer(path: Path, saved: SavedOuter, fragment_sizes: Sequence[int], reached: Reached = _unwatched) -> None:
    """Write an outer state durably. `reached` hears of every step. Raises CheckpointError if the disk refuses."""
    state = saved.state
    tensors: Tensors = {
        "weights": state.weights,
        "momentum": state.momentum,
        "aggregate": np.frombuffer(state.aggregate, dtype=np.uint8),
        "trust": np.frombuffer(trust_bytes(state.trust), dtype=np.uint8),
    }
    metadata = {"round": str(saved.round), "root": saved.root.hex(), "fragments": _text(fragment_sizes)}
    _replace_durably(path, tensors, {**metadata, "kind": OUTER_KIND}, reached)


def save_averages(path: Path, averages: Averages, reached: Reached = _unwatched) -> None:
    """Write second moments durably. Raises CheckpointError if the disk refuses."""
    metadata = {"round": str(averages.round), "steps": str(averages.steps), "root": averages.root.hex()}
    _replace_durably(path, {"v": averages.v}, {**metadata, "kind": AVERAGES_KIND}, reached)


def load_averages(path: Path, parameters: int, root_of: Callable[[NDArray[Any]], bytes]) -> Averages:
    """Read second moments of this many parameters and check their root with `root_of`. Raises CheckpointError."""
    metadata, tensors = _read(path, {"kind": AVERAGES_KIND}, {"v": ("F32", parameters, parameters)})
    root = _checked_root(path, metadata, root_of(tensors["v"]))
    return Averages(tensors["v"], _number(path, metadata, "steps"), _number(path, metadata, "round"), root)


def _replace_durably(path: Path, tensors: Tensors, metadata: dict[str, str], reached: Reached) -> None:
    # A fixed name: what a killed process left behind is overwritten, so leftovers cannot pile up.
    partial = path.with_name(path.name + ".partial")
    try:
        reached("before")
        with partial.open("wb") as file:
            _write(file, tensors, metadata)
        reached("written")
        _sync(partial)
        reached("synced")
        partial.replace(path)
        reached("renamed")
        _sync(path.parent)
        reached("durable")
    except OSError as error:
        raise _refused(path, error) from error


def load_outer(path: Path, fragment_sizes: Sequence[int], root_of: Callable[[OuterState], bytes]) -> SavedOuter:
    """Read an outer state of this model and check its root with `root_of`. Raises CheckpointError."""
    count = sum(fragment_sizes)
    # Before the first round there is neither aggregate nor trust; what is wrong in between has another root.
    shapes = {
        "weights": ("F32", count, count),
        "momentum": ("I32", count, count),
        "aggregate": ("U8", 0, aggregate_size(fragment_sizes)),
        "trust": ("U8", 0, TRUST_BYTES_MAXIMUM),
    }
    identity = {"kind": OUTER_KIND, "fragments": _text(fragment_sizes)}
    metadata, tensors = _read(path, identity, shapes)
    try:
        trust = read_trust(tensors["trust"].tobytes())
    except PayloadError as error:
        raise CheckpointError(f"checkpoint {path}: {error}") from error
    state = OuterState(tensors["weights"], tensors["momentum"], tensors["aggregate"].tobytes(), trust)
    root = _checked_root(path, metadata, root_of(state))
    return SavedOuter(state, _number(path, metadata, "round"), root)


def tensor_places(path: Path) -> dict[str, tuple[int, int]]:
    """Where in a safetensors file the bytes of each tensor lie: first byte and length. Raises CheckpointError.

    What lies there is what `load_outer` reads, without copying the file; nothing of it is believed here.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if length > HEADER_LIMIT_BYTES:
                raise CheckpointError(f"checkpoint {path} has a header of {length} bytes")
            entries = json.loads(file.read(length))
        begin = 8 + length
        spans = {name: entry["data_offsets"] for name, entry in entries.items() if name != "__metadata__"}
        places = {name: (begin + int(first), int(end) - int(first)) for name, (first, end) in spans.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged or cut short: {error}") from error
    if any(first < begin or count < 0 or first + count > size for first, count in places.values()):
        raise CheckpointError(f"checkpoint {path} names bytes that it does not have")
    return places


def _write(file: BinaryIO, tensors: Tensors, metadata: dict[str, str]) -> None:
    """A safetensors file, whose bytes follow from its contents: two nodes with the same state have the same file.

    The library shuffles the metadata, and joins head and tensors into fresh memory first.
    """
    file.write(_header(tensors, {**metadata, "checksum": _checksum(metadata)}))
    for tensor in tensors.values():
        little = np.ascontiguousarray(tensor, dtype=tensor.dtype.newbyteorder("<"))
        file.write(little.view(np.uint8).data)


def _header(tensors: Tensors, metadata: dict[str, str]) -> bytes:
    """The head, with the tensors in the order given: wide ones first, so that all are aligned."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, tensor in tensors.items():
        entries[name] = {
            "dtype": _TYPES[tensor.dtype.str.lstrip("<>|")],
            "shape": [tensor.size],
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _refused(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"cannot write checkpoint {path}: {error}; free some disk space, or check the permissions of its folder"
    )


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, identity: dict[str, str], shapes: Shapes) -> tuple[dict[str, str], Tensors]:
    """Metadata and tensors of a file whose metadata includes `identity` and whose tensors have these shapes."""
    try:
        size, limit = path.stat().st_size, _tensor_bytes(shapes) + HEADER_LIMIT_BYTES
        if size > limit:
            raise CheckpointError(f"checkpoint {path} has {size} bytes; this model's has at most {limit}")
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            _check_metadata(path, metadata, identity)
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (the file is no mapping)
            found = {name: (part.get_dtype(), part.get_shape()) for name, part in slices.items()}
            if not _fits(found, shapes):
                raise CheckpointError(f"checkpoint {path} holds other tensors than this model's: {found}")
            return metadata, {name: file.get_tensor(name) for name in found}
    except FileNotFoundError as error:
        raise CheckpointError(f"checkpoint {path} is missing") from error
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {path} is damaged or cut short: {error}") from error


def _fits(found: Mapping[str, tuple[str, list[int]]], shapes: Shapes) -> bool:
    return found.keys() == shapes.keys() and all(
        kind == shapes[name][0] and len(shape) == 1 and shapes[name][1] <= shape[0] <= shapes[name][2]
        for name, (kind, shape) in found.items()
    )


def _tensor_bytes(shapes: Shapes) -> int:
    return sum(_ITEM_BYTES[kind] * most for kind, _, most in shapes.values())


def _check_metadata(path: Path, metadata: dict[str, str], identity: dict[str, str]) -> None:
    rest = {key: text for key, text in metadata.items() if key != "checksum"}
    if metadata.get("checksum") != _checksum(rest):
        raise CheckpointError(f"checkpoint {path}: its metadata does not match its checksum")
    for key, wanted in identity.items():
        if rest.get(key) != wanted:
            raise CheckpointError(f"checkpoint {path} has {key} {rest.get(key)!r}, wanted {wanted!r}")


def _checked_root(path: Path, metadata: dict[str, str], root: bytes) -> bytes:
    if metadata.get("root") != root.hex():
        raise CheckpointError(f"checkpoint {path}: its contents have root {root.hex()}, not {metadata.get('root')}")
    return root


def _number(path: Path, metadata: dict[str, str], key: str) -> int:
    text = metadata.get(key, "")
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise CheckpointError(f"checkpoint {path}: {key} {text!r} is not a number")
    return int(text)


def _checksum(metadata: dict[str, str]) -> str:
    return sha256(repr(sorted(metadata.items())).encode()).hexdigest()


def _text(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))
