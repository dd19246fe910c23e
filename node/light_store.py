"""What a light client keeps between two calls: what it believes, and two histories that exclude each other."""

from pathlib import Path

from chain.errors import DecodeError
from chain.genesis import Network
from node.data_directory import write_atomically
from node.errors import NodeError, disk_advice
from node.light import Conflict, Trusted

PREFIX = b"neuroshard-light-1\n"
NAME = "trusted"
BYTES_MAXIMUM = 1 << 20


class LightStore:
    """A folder of its own. Raises NodeError."""

    def __init__(self, folder: Path, network: Network) -> None:
        self.folder = folder
        self.network = network

    def load(self) -> Trusted | None:
        """What was believed last; None: nothing yet."""
        path = self.folder / NAME
        try:
            with path.open("rb") as file:
                data = file.read(BYTES_MAXIMUM)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NodeError(f"cannot read {path}: {disk_advice(error)}") from error
        head = PREFIX + self.network.chain_id
        if data.startswith(PREFIX) and not data.startswith(head) and len(data) > len(head):
            raise NodeError(f"{path} belongs to another network: choose another --data-dir")
        try:
            if not data.startswith(head):
                raise DecodeError("it does not begin as it should")
            return Trusted.decode(data[len(head) :])
        except DecodeError as error:
            raise NodeError(f"{path} is damaged ({error}): remove it and give a --checkpoint, or start anew") from error

    def save(self, trusted: Trusted) -> None:
        self._write(NAME, PREFIX + self.network.chain_id + trusted.encode())

    def keep_conflict(self, conflict: Conflict) -> Path:
        """Evidence for people; nothing overwrites what is kept of another block."""
        return self._write(f"conflict-{conflict.second.header.hash().hex()[:16]}", PREFIX + conflict.encode())

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomically(path, content)
        except OSError as error:
            raise NodeError(f"cannot write {path}: {disk_advice(error)}") from error
        return path
