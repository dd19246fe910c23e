"""What this node has found in audits, durably, before anybody hears of it: a word once given is never another.

One file a word under `folder`, written as a whole and synced. Whoever starts again says what it said before, or what
it was about to say. Start reading at `Words.keep`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from chain.audit_messages import NO_FINDING
from chain.state import AuditName
from node.data_directory import write_atomically
from node.errors import TrainerError
from node.logs import log_of
from node.trainer_messages import from_line, to_line

HASH_BYTES = 32
LOG = log_of("audits")


@dataclass(frozen=True, slots=True)
class Word:
    """The answer to one question in one attempt: what an auditor, or every validator, is asked in an audit's phase."""

    round: int
    node: bytes
    question: int  # the phase that asks: AUDITING, CHALLENGED or DISPUTED
    attempt: int
    finding: int
    mix: bytes  # of the data order that was replayed; empty: nothing was
    inner: bytes  # the hashes after each inner step, one after the other
    is_clear: bool  # False: a mismatch at the edge of what honest machines differ by, which convicts nobody
    reason: str  # for people

    @property
    def key(self) -> "WordKey":
        return self.round, self.node, self.question, self.attempt

    @property
    def hashes(self) -> tuple[bytes, ...]:
        return tuple(self.inner[at : at + HASH_BYTES] for at in range(0, len(self.inner), HASH_BYTES))


WordKey = tuple[int, bytes, int, int]


class Words:
    """Kept words by question. `keep` and `prune` write to the disk; all else reads memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[WordKey, Word] = {}
        for path in sorted(folder.glob("word-*.json")):
            word = _read(path)
            if word is not None:
                self._known[word.key] = word

    def find(self, key: WordKey) -> Word | None:
        return self._known.get(key)

    def replayed(self, round_number: int, node: bytes, mix: bytes) -> Word | None:
        """What an earlier replay of the audit's segment with this data order gave."""
        for word in tuple(self._known.values()):
            if (word.round, word.node, word.mix) == (round_number, node, mix):
                return word
        return None

    def keep(self, word: Word) -> Word:
        """The word that counts: this one, durable now, unless another was kept before. Raises OSError."""
        known = self._known.get(word.key)
        if known is not None:
            return known
        assert word.finding != NO_FINDING
        self._write(word)
        self._known[word.key] = word
        return word

    def prune(self, open_audits: Callable[[], Iterable[AuditName]]) -> None:
        """Forget what belongs to audits that are over."""
        known = tuple(self._known)  # before the ledger is read: what is kept meanwhile may be of a newer audit
        names = {(each.round, each.node) for each in open_audits()}
        for key in [key for key in known if key[:2] not in names]:
            del self._known[key]
            self._remove(key)

    def _write(self, word: Word) -> None:
        self.folder.mkdir(exist_ok=True)  # Who has removed it would silence this node until its next start.
        write_atomically(self._path(word.key), to_line(word))

    def _remove(self, key: WordKey) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            LOG.warning("cannot remove a word that is spent", path=str(self._path(key)), error=str(error))

    def _path(self, key: WordKey) -> Path:
        number, node, question, attempt = key
        return self.folder / f"word-{number}-{node.hex()}-{question}-{attempt}.json"


def _read(path: Path) -> Word | None:
    """A word from its file. A damaged one is none: what it said cannot be known, and the node stays silent or anew."""
    try:
        found = from_line(path.read_bytes(), {"Word": Word})
    except (OSError, TrainerError) as error:
        LOG.warning("a word of an audit cannot be read", path=str(path), error=str(error))
        return None
    return found if isinstance(found, Word) else None
