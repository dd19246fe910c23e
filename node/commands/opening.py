"""Opening the data directory of a stopped node for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.genesis import Network
from node.data_directory import DataDirectory
from node.errors import DataDirectoryError
from node.network_file import kept_network


def network_of(directory: DataDirectory) -> Network:
    """The network of a data directory, whether or not a node runs on it. Raises NodeError."""
    directory.check_schema()
    if not (directory / "network").exists():
        raise DataDirectoryError(f"{directory.root} has no network yet: start a node there first")
    return kept_network(directory / "network")


@contextmanager
def opened(path: Path) -> Iterator[DataDirectory]:
    """The locked directory. Raises DataDirectoryError if it is none, or a node runs on it."""
    directory = DataDirectory(path)
    network_of(directory)
    directory.lock()
    try:
        directory.create()  # A folder that is gone is made again; what was in it can be rebuilt or is asked for.
        yield directory
    finally:
        directory.unlock()
