"""Audits, made up: states are where their node is, replays end as they must, and words outlive a crash.

Who asks, draws, binds itself, shows and votes is real. Every node trains honestly here, so no audit may ever find one
guilty, nor an auditor at fault, whatever crashes and whatever is lost.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from chain.audit_messages import MISMATCH, PASS, UNSERVED, StateParts
from chain.crypto.hashing import ZERO, tagged_hash
from chain.plants import segment_mix
from chain.receipts import AuditEnded, AuditFault, Receipt
from chain.state import ACQUITTED, PROVEN, Claim, State, claim_key
from node.audit_jobs import Job
from node.audit_words import Word, WordKey, Words
from tests.simulator.disk import Disk, PowerCut
from tests.simulator.runtime import SimRuntime
from tests.simulator.training import parts_of

if TYPE_CHECKING:
    from tests.simulator.machine import Machine

REPLAY_MS = 200  # about so long a replay takes
FETCH_MS = 100  # between two looks for a node that is gone


class SimWords(Words):
    """On the machine's disk, each written at once or not at all."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self._known = {word.key: word for word in disk.words.values()}

    def _write(self, word: Word) -> None:
        cut = self.disk.passes()
        self.disk.words[word.key] = word
        if cut:
            raise PowerCut

    def _remove(self, key: WordKey) -> None:
        self.disk.words.pop(key, None)


class SimSegments:
    """The states of a machine's own rounds, which its disk keeps."""

    def __init__(self, machine: "Machine", state: Callable[[], State]) -> None:
        self.machine, self.state = machine, state

    def parts(self, round_number: int, boundary: int) -> StateParts | None:
        if boundary:
            return StateParts(*parts_of(self.machine.name, round_number, boundary - 1))
        current = self.state().round(round_number)
        began_with = self.machine.disk.averages.get(round_number)
        if current is None or began_with is None:
            return None
        return StateParts(current.base.weights_root, ZERO, began_with)

    def find(self, root: bytes) -> Path | None:
        return Path()


class MadeUpExaminer:
    """In place of `node.audit_work.AuditWork`, with the truth about every machine. `news`: there is more to say."""

    def __init__(self, machine: "Machine", runtime: SimRuntime, words: Words, state: Callable[[], State]) -> None:
        self.machine, self.runtime, self.words, self.state = machine, runtime, words, state
        self.news: Callable[[], None] = lambda: None
        self.wanted: dict[WordKey, Job] = {}

    def begin(self, job: Job) -> None:
        self.wanted[job.key] = job
        self._look(job)

    def give_up(self, job: Job) -> None:
        if job.key in self.wanted and self._holder(job) is None:
            self._keep(job, UNSERVED)

    def drop(self, key: WordKey) -> None:
        self.wanted.pop(key, None)

    def _holder(self, job: Job) -> "Machine | None":
        """The machine of the audited node, if it is up."""
        machines = self.machine.world.machines
        return next((each for each in machines if each.identity.node == job.node and each.runtime is not None), None)

    def _look(self, job: Job) -> None:
        if job.key not in self.wanted:
            return
        if self._holder(job) is None:
            self.runtime.later(FETCH_MS, lambda: self._look(job))
            return
        delay = self.runtime.random.randrange(1, 2 * REPLAY_MS) if job.mix else 1
        self.runtime.later(delay, lambda: self._replayed(job))

    def _replayed(self, job: Job) -> None:
        if job.key in self.wanted:
            self._keep(job, PASS if not job.mix or job.mix == self._true_mix(job) else MISMATCH)

    def _true_mix(self, job: Job) -> bytes:
        """Of the data that the node really trained on."""
        state = self.state()
        current, claim = state.round(job.round), state.find(Claim, claim_key(job.round, job.node))
        holder = next(each for each in self.machine.world.machines if each.identity.node == job.node)
        assert current is not None and claim is not None
        network = self.machine.world.network
        secret = None if claim.plant == ZERO else holder.identity.plant_secret(claim.plant_round, network.chain_id)
        return segment_mix(secret, current.mix, job.segment, network.params)

    def _keep(self, job: Job, finding: int) -> None:
        steps = self.machine.world.network.params.segment_steps if job.mix and finding != UNSERVED else 0
        hashes = (tagged_hash("simulated", job.mix, bytes((step,))) for step in range(steps))
        word = Word(*job.key, finding, job.mix, b"".join(hashes), "")
        self.drop(job.key)
        self.runtime.offload("audits", lambda: self.words.keep(word), lambda kept: self.news())


def unjust(receipts: tuple[Receipt, ...]) -> str:
    """What a block says of audits that cannot be true of honest nodes; empty if nothing is."""
    for receipt in receipts:
        if isinstance(receipt, AuditEnded) and receipt.outcome in (PROVEN, ACQUITTED):
            return f"an audit of honest work of round {receipt.round} has ended otherwise than clean"
        if isinstance(receipt, AuditFault):
            return f"an honest auditor of round {receipt.round} is at fault"
    return ""
