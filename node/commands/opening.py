"""Opening the data directory of a stopped node for a command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chain.genesis import Network, parse_network
from node.data_directory import DataDirectory
from node.errors import DataDirectoryError


def network_of(directory: DataDirectory) -> Network:
    """The network of a data directory, whether or not a node runs on it. Raises NodeError or InvalidGenesis."""
    directory.check_schema()
    try:
        return parse_network((directory / "network").read_bytes())
    except OSError as error:
        raise DataDirectoryError(
            f"{directory.root} has no network yet ({error.strerror}): start a node there first"
        ) from error


@contextmanager
def opened(path: Path) -> Iterator[DataDirectory]:
    """The locked directory. Raises DataDirectoryError if it is none, or a node runs on it."""
    directory = DataDirectory(path)
    network_of(directory)
    directory.lock()
    try:
        yield directory
    finally:
        directory.unlock()
