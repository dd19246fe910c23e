"""Files that are replaced as a whole, and the lock that lets one program change them at a time."""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from wallet import durable
from wallet.durable import Reached, unwatched
from wallet.errors import FolderBusy, FolderDamaged, FolderError

Content = TypeVar("Content")
LOCK_PATIENCE_S = 5
LOCK_PAUSE_S = 0.02


def replace_whole(path: Path, content: bytes, reached: Reached = unwatched) -> None:
    """After a crash the old file or the new one is there, readable by its owner only. Raises FolderError.

    Only one program may write a path at a time: see `locked`. `reached` is told each step: before, written, synced,
    renamed, durable.
    """
    try:
        durable.replace_whole(path, content, reached)
    except OSError as error:
        raise FolderError(
            f"{path} cannot be written: {error.strerror}; check the free space of the disk and the permissions"
        ) from error


def read_bounded(path: Path, maximum: int) -> bytes | None:
    """A file of at most `maximum` bytes; None if there is none. Raises FolderError."""
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise FolderDamaged(f"{path} is not a file: move it away")
        with path.open("rb") as file:
            content = file.read(maximum + 1)
    except OSError as error:
        raise FolderError(f"{path} cannot be read ({error.strerror}): check its permissions and the disk") from error
    if len(content) > maximum:
        raise FolderDamaged(f"{path} has more than {maximum} bytes: this program did not write it so")
    return content


class Remembered(Generic[Content]):
    """The parsed content of a file that is only ever replaced as a whole: parsed anew when another one lies there."""

    def __init__(self, path: Path, maximum: int, parse: Callable[[bytes], Content]) -> None:
        self._path, self._maximum, self._parse = path, maximum, parse
        self._last: tuple[tuple[int, ...], Content] | None = None

    def read(self) -> Content | None:
        """None if there is no file. Raises what `read_bounded` and the parser raise."""
        # The signature is taken first: if another file comes in between, the next reading sees that.
        signature, last = self._signature(), self._last
        if last is not None and signature == last[0]:
            return last[1]
        content = read_bounded(self._path, self._maximum)
        if content is None:
            return None
        parsed = self._parse(content)
        self._last = None if signature is None else (signature, parsed)
        return parsed

    def _signature(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@contextmanager
def locked(path: Path, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
    """Alone with the files that the lock at `path` stands for. Held for milliseconds only. Raises FolderBusy."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderError(
            f"{path} cannot be opened: {error.strerror}; check the free space of the disk and the permissions"
        ) from error
    try:
        _take(descriptor, path, patience_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: Path, patience_s: float) -> None:
    until = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                raise FolderBusy(f"another program is changing the wallet in {path.parent}: try again") from None
        except OSError as error:
            raise FolderError(f"{path} cannot be locked: {error.strerror}; use a folder on a local disk") from error
        time.sleep(LOCK_PAUSE_S)
