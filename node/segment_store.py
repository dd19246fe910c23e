"""The states between the segments of this node's rounds, on disk: what an audit wants to see, by page root.

    ROOT (64 hexadecimal digits)   one part of a state: flat fp32, little-endian; all zeros have no file
    round-R.jsonl                  what the states of round R are made of, a line each; the last of a boundary counts

Boundary 0 is where a round begins, boundary j where its segment j - 1 ends. A state that ends one segment and begins
the next lies here once. The weights at boundary 0 are the round's base, which `node.model_store` keeps.

The trainer writes and the node removes, each while it holds the lock. A line is written before its files: a kill leaves
at most a line whose files are not there. A round's states are not synced, since most are gone before the operating
system writes them; those that an audit has drawn are. What a power cut spoils is noticed by its root.
"""

import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chain.audit_messages import StateParts
from chain.crypto.hashing import ZERO, merkle_root
from node.errors import SegmentStoreError, disk_advice
from node.failpoints import reach
from training.pages import pages_root
from wallet.durable import sync_folder

VALUE_BYTES = 4
LINE_MAXIMUM = 1_024

# Which boundaries of which rounds are wanted; None: all. Rounds after the newest named one are wanted whole.
Keep = Mapping[int, Collection[int] | None]


@dataclass(frozen=True, slots=True)
class Boundary:
    """One state of a round. `v_steps` were behind the second moments when the round began."""

    round: int
    number: int
    parts: StateParts
    v_steps: int


@dataclass(frozen=True, slots=True)
class Vectors:
    """The parts of a state themselves."""

    theta: NDArray[np.float32]
    m: NDArray[np.float32]
    v: NDArray[np.float32]

    def parts(self) -> StateParts:
        """Their roots. Hashes all of it."""
        return StateParts(*(pages_root(vector, merkle_root) for vector in (self.theta, self.m, self.v)))


class SegmentStore:
    """`folder` is made if it is not there. What goes wrong is a SegmentStoreError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._synced: set[str] = set()  # names of files

    # ---- For the node

    def parts(self, round_number: int, boundary: int) -> StateParts | None:
        """What a state is made of, whether or not its files are still here; None if nothing is known of it."""
        found = self.boundaries(round_number).get(boundary)
        return None if found is None else found.parts

    def find(self, root: bytes) -> Path | None:
        """The file under this name, sound or not: `node.blob_source.FileSource` looks at what it holds."""
        path = self.folder / root.hex()
        return path if root != ZERO and path.exists() else None

    def has(self, parts: StateParts, boundary: int) -> bool:
        """Whether files with these names are here, sound or not. The weights at boundary 0 are the model's."""
        roots = (parts.m_root, parts.v_root) if boundary == 0 else (parts.theta_root, parts.m_root, parts.v_root)
        return all(root == ZERO or self.find(root) is not None for root in roots)

    def prune(self, keep: Keep) -> tuple[int, int]:
        """Remove what is not wanted; how many files and bytes went. Takes a moment: not for the event loop.

        Of a round of which only some states are wanted, an audit is open, and these are synced.
        """
        files = size = 0
        try:
            with self._locked():
                wanted, spent = self._sorted_out(keep)
                reach("segments.prune.before")
                for path, found in self._files():
                    if path.name not in wanted:
                        path.unlink(missing_ok=True)
                        files, size = files + 1, size + found
                # The index goes last: what a kill leaves behind is still known, and goes the next time.
                for path in spent:
                    path.unlink(missing_ok=True)
                reach("segments.prune.done")
            self._sync(keep)
        except OSError as error:
            raise self._refused(error) from error
        return files, size

    # ---- For the trainer

    def put(self, boundary: Boundary, state: Vectors) -> None:
        """Keep a state. What lies here with the right length is not written again."""
        parts = boundary.parts
        # Where a round begins, the weights are its base, which is kept elsewhere.
        theta = [] if boundary.number == 0 else [(parts.theta_root, state.theta)]
        line = json.dumps({"boundary": boundary.number, "v_steps": boundary.v_steps, **_hex(parts)})
        try:
            with self._locked():
                reach("segments.line.before")
                with self._index(boundary.round).open("ab") as index:
                    index.write(line.encode() + b"\n")
                reach("segments.line.written")
                for root, vector in (*theta, (parts.m_root, state.m), (parts.v_root, state.v)):
                    if root != ZERO:
                        self._write(self.folder / root.hex(), vector)
        except OSError as error:
            raise self._refused(error) from error

    def load(self, boundary: Boundary, parameters: int) -> Vectors | None:
        """A state of this many parameters, its roots checked; None if a part is missing or damaged.

        A damaged part is removed, so that it is written anew when it comes again.
        """
        parts = boundary.parts
        found = [self._read(root, parameters) for root in (parts.theta_root, parts.m_root, parts.v_root)]
        theta, m, v = found
        return None if theta is None or m is None or v is None else Vectors(theta, m, v)

    def begin(self, round_number: int) -> None:
        """A round begins anew: nothing that was noted of it counts."""
        try:
            with self._locked():
                self._index(round_number).unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    def boundaries(self, round_number: int) -> dict[int, Boundary]:
        """What is known of a round's states, by boundary."""
        return {each.number: each for each in self._lines(round_number)}

    def bytes_besides(self, round_number: int) -> int:
        """What the files take, without those of a round's own states."""
        own = {name for each in self.boundaries(round_number).values() for name in _hex(each.parts).values()}
        try:
            return sum(size for path, size in self._files() if path.name not in own)
        except OSError as error:
            raise self._refused(error) from error

    # ---- Files

    def _sorted_out(self, keep: Keep) -> tuple[set[str], list[Path]]:
        """The names of the files that are wanted, and the indices of the rounds that are not."""
        newest, wanted, spent = max(keep, default=0), set[str](), []
        for path in self.folder.glob("round-*.jsonl"):
            number = _round_of(path)
            if number is None or (number <= newest and number not in keep):
                spent.append(path)
                continue
            boundaries = None if number > newest else keep[number]
            for each in self._lines(number):
                if boundaries is None or each.number in boundaries:
                    wanted |= set(_hex(each.parts).values())
        return wanted, spent

    def _sync(self, keep: Keep) -> None:
        """What an audit has asked for must outlive a power cut: without it the node loses its rewards."""
        drawn = {number: boundaries for number, boundaries in keep.items() if boundaries is not None}
        names = {self._index(number).name for number in drawn}
        for number, boundaries in drawn.items():
            for each in self._lines(number):
                names |= set(_hex(each.parts).values()) if each.number in boundaries else set()
        self._synced &= names
        paths = [self.folder / name for name in names - self._synced]
        if found := [path for path in paths if path.is_file()]:
            for path in found:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
            sync_folder(self.folder)
            self._synced |= {path.name for path in found}

    def _files(self) -> Iterator[tuple[Path, int]]:
        """Everything but the lock and the indices, with its size."""
        for path in self.folder.iterdir() if self.folder.is_dir() else ():
            if path.name == "lock" or path.suffix == ".jsonl" or not path.is_file():
                continue
            try:
                yield path, path.stat().st_size
            except FileNotFoundError:
                continue  # It has been removed meanwhile.

    def _lines(self, round_number: int) -> list[Boundary]:
        """The sound lines of an index. A torn or damaged one is passed over."""
        try:
            lines = self._index(round_number).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._refused(error) from error
        return [each for line in lines if (each := _boundary(round_number, line)) is not None]

    def _index(self, round_number: int) -> Path:
        return self.folder / f"round-{round_number}.jsonl"

    def _write(self, path: Path, vector: NDArray[np.float32]) -> None:
        little = np.ascontiguousarray(vector, dtype="<f4")
        if path.is_file() and path.stat().st_size == little.nbytes:
            return
        draft = path.with_name(path.name + ".partial")
        reach("segments.part.before")
        try:
            draft.write_bytes(little.view(np.uint8).data)
            reach("segments.part.written")
            # To a name that is free, so that nothing makes the file system write it out at once.
            draft.replace(path)
        except OSError:
            draft.unlink(missing_ok=True)  # On a full disk every block counts.
            raise
        reach("segments.part.renamed")

    def _read(self, root: bytes, parameters: int) -> NDArray[np.float32] | None:
        if root == ZERO:
            return np.zeros(parameters, np.float32)
        path = self.folder / root.hex()
        try:
            is_whole = path.stat().st_size == VALUE_BYTES * parameters
            found = np.fromfile(path, dtype="<f4") if is_whole else np.zeros(0, np.float32)
        except OSError:
            return None
        if found.size == parameters and pages_root(found, merkle_root) == root:
            return found.astype(np.float32, copy=False)
        if path.is_file():
            self._remove(path)
        return None

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._refused(error) from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Between the trainer that writes and the node that removes. The end of a process lets go of it."""
        self.folder.mkdir(exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _refused(self, error: OSError) -> SegmentStoreError:
        return SegmentStoreError(f"cannot use {error.filename or self.folder}: {disk_advice(error)}")


def _hex(parts: StateParts) -> dict[str, str]:
    return {"theta": parts.theta_root.hex(), "m": parts.m_root.hex(), "v": parts.v_root.hex()}


def _round_of(path: Path) -> int | None:
    number = path.stem.removeprefix("round-")
    return int(number) if number.isascii() and number.isdigit() and len(number) <= 20 else None


def _boundary(round_number: int, line: bytes) -> Boundary | None:
    """What a line says; None if it is torn or damaged."""
    if len(line) > LINE_MAXIMUM:
        return None
    try:
        content: dict[str, Any] = json.loads(line)
        number, v_steps = content["boundary"], content["v_steps"]
        roots = [bytes.fromhex(content[name]) for name in ("theta", "m", "v")]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if type(number) is not int or type(v_steps) is not int or min(number, v_steps) < 0:
        return None
    if any(len(root) != len(ZERO) for root in roots):
        return None
    return Boundary(round_number, number, StateParts(*roots), v_steps)
