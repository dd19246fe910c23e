"""The second moments of earlier rounds, on the trainer's disk: with them this node's next round begins.

The ledger names those that it lets us begin with by their root. Any that are missing or damaged cost some learning and
nothing else: the round begins fresh, which the ledger allows as well. Only the trainer writes here.
"""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from chain.crypto.hashing import ZERO, merkle_root
from node.errors import TrainerError, disk_advice
from node.failpoints import moments_of
from training.checkpoint import Averages, load_averages, save_averages
from training.errors import CheckpointError
from training.pages import pages_root

# Those of the newest rounds. A round may end without our reveal: then the ledger still names older ones.
KEPT = 3


def averages_root(v: NDArray[Any]) -> bytes:
    return pages_root(v, merkle_root)


class AveragesStore:
    """A file for each round, named by round and root, under `folder`."""

    def __init__(self, folder: Path, parameters: int) -> None:
        self._folder = folder
        self._parameters = parameters

    def find(self, root: bytes, steps: int) -> Averages | None:
        """Those that the ledger names; None if it names none. Raises CheckpointError if they are not here and sound."""
        if root == ZERO:
            return None
        paths = sorted(self._folder.glob(f"averages-*-{root.hex()}.safetensors"), key=_round_of)
        if not paths:
            raise CheckpointError(f"the averages {root.hex()[:16]} are not in {self._folder}")
        found = load_averages(paths[-1], self._parameters, averages_root)
        if (found.root, found.steps) != (root, steps):
            raise CheckpointError(f"{paths[-1]} holds averages of {found.steps} steps, the ledger knows {steps}")
        return found

    def keep(self, averages: Averages, named: bytes) -> None:
        """Write durably, and let go of old ones, but for those that the ledger names. Raises an error of ours."""
        path = self._folder / f"averages-{averages.round}-{averages.root.hex()}.safetensors"
        save_averages(path, averages, moments_of("averages"))
        try:
            for leftover in self._folder.glob("averages-*.partial"):
                leftover.unlink(missing_ok=True)
            for old in sorted(self._folder.glob("averages-*-*.safetensors"), key=_round_of)[:-KEPT]:
                if not old.stem.endswith(named.hex()):
                    old.unlink(missing_ok=True)
        except OSError as error:
            raise TrainerError(f"cannot use {error.filename or self._folder}: {disk_advice(error)}") from error


def _round_of(path: Path) -> int:
    number = path.name.split("-")[1]
    return int(number) if number.isascii() and number.isdigit() else 0
