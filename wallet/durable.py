"""Files that are whole after a crash: written beside their place, synced, and only then given their name."""

import os
from collections.abc import Callable
from pathlib import Path

# Told each step of a write, so that tests can end the process there.
Reached = Callable[[str], None]


def unwatched(step: str) -> None:
    """Nobody asks."""


def replace_whole(path: Path, content: bytes, reached: Reached = unwatched) -> None:
    """After a crash the old file or the new one is there, readable by its owner only. Raises OSError.

    Only one program may write a path at a time. `reached` is told each step: before, written, synced, renamed, durable.
    """
    draft = path.with_name(path.name + ".partial")
    reached("before")
    try:
        # What a write that was cut short has left, or somebody has put there, is not written into.
        draft.unlink(missing_ok=True)
        write_new(draft, content, reached)
        draft.replace(path)
    except OSError:
        # On a full disk every block counts.
        draft.unlink(missing_ok=True)
        raise
    reached("renamed")
    sync_folder(path.parent)
    reached("durable")


def write_new(path: Path, content: bytes, reached: Reached = unwatched) -> None:
    """A file that is not there yet, its content on the disk. `reached`: written, synced. Raises OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        reached("written")
        os.fsync(descriptor)
    reached("synced")


def sync_folder(folder: Path) -> None:
    """A name lasts only once its folder is synced. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
