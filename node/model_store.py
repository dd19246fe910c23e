"""Outer states on disk: the model after each of the last rounds, and the way back to it from the payloads."""

from collections.abc import Collection, Sequence
from pathlib import Path

from chain.block import Outcome
from chain.crypto.hashing import merkle_root, tagged_hash
from node.counted import Counted
from node.errors import ModelDiffers, StoreError, disk_advice
from node.failpoints import moments_of, reach
from node.payload_store import PayloadStore
from node.template import Learning
from training.checkpoint import SavedOuter, load_outer, save_outer
from training.errors import CheckpointError
from training.outer import Entry, OuterState, outer_step, roots
from wallet.durable import sync_folder

KEPT = 2


def outer_root(state: OuterState, learning: Learning) -> bytes:
    return roots(state, learning.fragment_sizes, merkle_root, tagged_hash).outer_root


def load_base(path: Path, learning: Learning) -> SavedOuter:
    """An outer state from its file, verified against its own root. Raises CheckpointError."""
    return load_outer(path, learning.fragment_sizes, lambda state: outer_root(state, learning))


class ModelStore:
    """outer-R.safetensors: the state after round R closed. candidate-ROOT.safetensors: computed, not agreed on yet."""

    def __init__(self, folder: Path, learning: Learning) -> None:
        self.folder = folder
        self.learning = learning
        self.audited: Collection[int] = ()  # rounds whose base an audit may still want (`node.segment_keep`)

    def path(self, round_number: int) -> Path:
        return self.folder / f"outer-{round_number}.safetensors"

    def save(self, state: OuterState, round_number: int, root: bytes) -> None:
        """Write a state that the ledger has. Raises CheckpointError."""
        self.save_candidate(state, round_number, root)
        self.accept(round_number, root)

    def save_candidate(self, state: OuterState, round_number: int, root: bytes) -> None:
        """Write durably what may become the model. Raises CheckpointError."""
        saved = SavedOuter(state, round_number, root)
        save_outer(self._candidate(root), saved, self.learning.fragment_sizes, moments_of("model.candidate"))

    def accept(self, round_number: int, root: bytes) -> None:
        """The ledger has this candidate as its model now: keep it and its predecessor, forget the rest.

        Bases of audited rounds stay as well. Raises StoreError.
        """
        try:
            reach("model.accept.before")
            self._rename(round_number, root)
            reach("model.accept.renamed")
            # Before the older ones go, the newer one must be sure to stay.
            sync_folder(self.folder)
            reach("model.accept.durable")
            for old in [*map(self.path, self._spent()), *self._candidates()]:
                old.unlink(missing_ok=True)
            reach("model.accept.tidied")
        except OSError as error:
            raise StoreError(f"cannot keep the model {self.path(round_number)}: {disk_advice(error)}") from error

    def _rename(self, round_number: int, root: bytes) -> None:
        try:
            self._candidate(root).replace(self.path(round_number))
        except FileNotFoundError:
            # Another thread that looked for this root has accepted it in the meantime.
            if not self._holds(self.path(round_number), root):
                raise

    def _holds(self, path: Path, root: bytes) -> bool:
        try:
            return load_base(path, self.learning).root == root
        except CheckpointError:
            return False

    def find(self, root: bytes) -> SavedOuter | None:
        """The stored state with this root, if there is a sound file of it: afterwards it is an accepted one."""
        for path in [*(self.path(number) for number in reversed(self._rounds())), self._candidate(root)]:
            try:
                saved = load_base(path, self.learning)
            except CheckpointError:
                continue
            if saved.root == root:
                if path == self._candidate(root):
                    self.accept(saved.round, root)
                return saved
        return None

    def base_of(self, round_number: int, root: bytes) -> Path | None:
        """The file of the state with this root from which a round began, if it is here and sound."""
        number = max((each for each in self._rounds() if each < round_number), default=0)
        try:
            saved = load_base(self.path(number), self.learning)
        except CheckpointError:
            return None
        return self.path(number) if saved.root == root else None

    def newest_sound(self, round_number: int) -> SavedOuter | None:
        """The newest accepted state up to this round, if there is a sound file of one."""
        for number in reversed(self._rounds()):
            try:
                saved = load_base(self.path(number), self.learning)
            except CheckpointError:
                continue
            if saved.round <= round_number:
                return saved
        return None

    def newest_round(self) -> int:
        """The round of the newest accepted state, sound or not; 0 if there is none."""
        return max(self._rounds(), default=0)

    def newest(self) -> Path | None:
        """The file of the newest accepted state, if there is any."""
        rounds = self._rounds()
        return self.path(rounds[-1]) if rounds else None

    def files(self) -> list[Path]:
        """The files of the accepted states, the oldest first."""
        return [self.path(number) for number in self._rounds()]

    def _spent(self) -> list[int]:
        """Rounds whose states nothing wants. A round begins with the newest state before it, which was kept so far."""
        rounds = self._rounds()
        bases = {max((number for number in rounds if number < audited), default=0) for audited in self.audited}
        return [number for number in rounds[:-KEPT] if number not in bases]

    def _candidate(self, root: bytes) -> Path:
        return self.folder / f"candidate-{root.hex()[:16]}.safetensors"

    def _candidates(self) -> list[Path]:
        return list(self.folder.glob("candidate-*"))

    def _rounds(self) -> list[int]:
        names = (
            path.name.removeprefix("outer-").removesuffix(".safetensors")
            for path in self.folder.glob("outer-*.safetensors")
        )
        return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def step_from_payloads(
    state: OuterState, chosen: Sequence[Counted], payloads: PayloadStore, learning: Learning
) -> OuterState:
    """The state after a round that counted these payloads. Raises StoreError or PayloadError."""
    entries = [Entry(each.node, payloads.open(each.payload_root), each.steps) for each in chosen]
    return outer_step(state, entries, learning.fragment_sizes, learning.outer)


def check_outcome(found: Outcome, expected: Outcome, round_number: int) -> None:
    """Raise ModelDiffers unless the replayed round gave the recorded roots."""
    if found != expected:
        raise ModelDiffers(
            f"round {round_number} gives the outer root {found.outer_root.hex()[:16]}, the ledger has "
            f"{expected.outer_root.hex()[:16]}: either its signers have lied or this node computes wrongly; run "
            "`neuroshard archive verify` here and on another machine"
        )
