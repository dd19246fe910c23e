"""A blob that is not whole yet, on disk: NAME.CLAIM.partial beside the file it will be.

There is no journal that could contradict the data: at a new start every page of the file is hashed, and what fits
its hash is there. So a page torn by a crash, a hole and a flipped bit are all just missing pages. CLAIM stands for the
list of page hashes: two lists never share a file.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType

from network.blob_errors import DiskFailed
from network.pages import PAGE_BYTES

SUFFIX = ".partial"
PageHash = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Kept:
    """Pages that are on disk and fit; the last page's length if it is among them."""

    pages: tuple[int, ...]
    last_length: int | None


class PartFile:
    """Blocking; for one thread at a time. Every method raises DiskFailed."""

    def __init__(self, into: Path, hashes: Sequence[bytes]) -> None:
        self.into = into
        self.hashes = hashes
        self.path = into.with_name(f"{into.name}.{sha256(b''.join(hashes)).hexdigest()[:16]}{SUFFIX}")
        self._file: int | None = None

    def __enter__(self) -> "PartFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def open(self, page_hash: PageHash) -> Kept:
        """Open or make the file, and look what of it is good."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            size, good, last = os.fstat(self._file).st_size, [], None
            for index, wanted in enumerate(self.hashes):
                if index * PAGE_BYTES >= size:
                    break
                page = os.pread(self._file, PAGE_BYTES, index * PAGE_BYTES)
                if page_hash(page) == wanted:
                    good.append(index)
                    last = len(page) if index == len(self.hashes) - 1 else None
        except OSError as error:
            raise self._failed("open", error) from error
        return Kept(tuple(good), last)

    def write(self, index: int, page: bytes) -> None:
        """Keep a page that has been verified."""
        assert self._file is not None
        done, at = 0, index * PAGE_BYTES
        try:
            while done < len(page):
                done += os.pwrite(self._file, memoryview(page)[done:], at + done)
        except OSError as error:
            raise self._failed("write", error) from error

    def finish(self, size: int) -> None:
        """All pages are here: give the file its length and, when it is on disk, its name."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, size)
            os.fsync(self._file)
            self.path.replace(self.into)
            _sync_folder(self.into.parent)
            os.close(self._file)
            self._file = None
            for other in parts_of(self.into):
                other.unlink(missing_ok=True)  # of lists that were not the real one
        except OSError as error:
            raise self._failed("finish", error) from error

    def close(self) -> None:
        """Let go of the file; one that holds nothing is removed."""
        if self._file is None:
            return
        is_empty = os.fstat(self._file).st_size == 0
        os.close(self._file)
        self._file = None
        if is_empty:
            self.path.unlink(missing_ok=True)

    def _failed(self, what: str, error: OSError) -> DiskFailed:
        return DiskFailed(
            f"cannot {what} {self.path} ({error.strerror}): free some disk space or check the disk; "
            "the pages that are there will not be fetched again"
        )


def parts_of(into: Path) -> list[Path]:
    """Unfinished files of this blob. Raises OSError."""
    found = (path for path in into.parent.iterdir() if path.name.endswith(SUFFIX))
    return sorted(path for path in found if path.name.startswith(into.name + "."))


def _sync_folder(folder: Path) -> None:
    """A rename lasts only once its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
