"""Opening the data directory of a stopped node for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.data_directory import DataDirectory
from node.errors import DataDirectoryError


@contextmanager
def opened(path: Path) -> Iterator[DataDirectory]:
    """The locked directory. Raises DataDirectoryError if it is none, or a node runs on it."""
    directory = DataDirectory(path)
    directory.check_schema()
    if not (directory / "network").exists():
        raise DataDirectoryError(f"{path} has no network yet: start a node there first")
    directory.lock()
    try:
        yield directory
    finally:
        directory.unlock()
