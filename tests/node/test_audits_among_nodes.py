"""Audits over one ledger with real drivers, claims and blocks: replays are made up, all that is said is real."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chain.audit_messages import MISMATCH, PASS, UNSERVED, StateParts
from chain.crypto.hashing import ZERO, tagged_hash
from chain.plants import segment_mix
from chain.receipts import AuditEnded, AuditFault, AuditMissed, Receipt
from chain.seats import has_seat
from chain.state import (
    AUDITING,
    DISPUTED,
    PASSED,
    PROVEN,
    SHOWING,
    TRAINING,
    UNCHECKED,
    WITHHELD,
    Audit,
    AuditName,
    Claim,
    State,
    claim_key,
)
from node.audit_driver import AuditDriver
from node.audit_jobs import Job
from node.audit_words import Word, WordKey, Words
from tests.node.lone_node import state_parts
from tests.node.many_nodes import Cluster, Member

# Enough blocks for who is there, few enough to wait for who is not.
BLOCKS = {"opening_blocks": 8, "audit_blocks": 8, "showing_blocks": 6, "challenge_blocks": 8, "dispute_blocks": 8}
ALL_PLANTED, NONE_PLANTED = {"plant_basis_points": 10_000}, {"plant_basis_points": 0}
ONE_AUDITOR = {"audit_second_basis_points": 0}

Finds = Callable[[Job], int | None]  # None: nothing yet


@dataclass
class Auditing:
    """A member's part in audits, on its disk. `finds` says what it finds; by itself it finds the truth."""

    member: Member
    others: "Audits"

    def __post_init__(self) -> None:
        folder = self.member.folder / "verdicts"
        folder.mkdir(exist_ok=True)
        self.words = Words(folder)
        self.driver = AuditDriver(self.member.network, self.member.identity, self.words, self)
        self.driver.examiner = self
        self.finds: Finds = self.others.finds.get(self.member.identity.node, self.truth)
        self.waiting: dict[WordKey, Job] = {}
        self.is_silent = False

    # What `node.segment_store` knows.

    def parts(self, round_number: int, boundary: int) -> StateParts | None:
        current = self.member.state.round(round_number)
        if self.is_silent or current is None:
            return None
        if boundary == 0:
            return StateParts(current.base.weights_root, ZERO, self.member.began_with[round_number])
        return StateParts(*state_parts(f"{self.member.identity.node.hex()} {round_number} {boundary - 1}"))

    def find(self, root: bytes) -> Path | None:
        return Path()

    # What `node.audit_work` does.

    def begin(self, job: Job) -> None:
        self.waiting[job.key] = job
        self.look(job)

    def give_up(self, job: Job) -> None:
        if job.key in self.waiting:
            self.keep(job, UNSERVED)

    def drop(self, key: WordKey) -> None:
        self.waiting.pop(key, None)

    def look(self, job: Job) -> None:
        finding = self.finds(job)
        if finding is not None:
            self.keep(job, finding)

    def keep(self, job: Job, finding: int) -> None:
        steps = self.member.network.params.segment_steps if job.mix and finding != UNSERVED else 0
        inner = b"".join(tagged_hash("inner", job.mix, bytes((step,))) for step in range(steps))
        self.words.keep(Word(*job.key, finding, job.mix, inner, ""))
        self.waiting.pop(job.key, None)

    def truth(self, job: Job) -> int:
        """What a replay of honest work gives, with the secret that only its node knows."""
        return PASS if not job.mix or job.mix == self.others.true_mix(job) else MISMATCH


class Audits:
    """A cluster whose members audit each other."""

    def __init__(self, folder: Path, size: int, validators: int, **params: int) -> None:
        self.finds: dict[bytes, Finds] = {}
        self.cluster = Cluster(folder, size, validators, **BLOCKS, **params)
        self.parts: dict[bytes, Auditing] = {}
        self.receipts: list[Receipt] = []
        for member in self.cluster.members:
            member.extend = self._extend
            self._extend(member)

    def _extend(self, member: Member) -> None:
        part = self.parts[member.identity.node] = Auditing(member, self)
        member.driver.also.append(part.driver.inputs)
        member.hear.append(part.driver.follow)

    def part(self, index: int) -> Auditing:
        return self.parts[self.cluster.members[index].identity.node]

    def true_mix(self, job: Job) -> bytes:
        state, network = self.cluster.state, self.cluster.network
        claim, current = state.find(Claim, claim_key(job.round, job.node)), state.round(job.round)
        assert claim is not None and current is not None
        identity = self.parts[job.node].member.identity
        secret = None if claim.plant == ZERO else identity.plant_secret(claim.plant_round, network.chain_id)
        return segment_mix(secret, current.mix, job.segment, network.params)

    def block(self) -> None:
        self.receipts += self.cluster.block().receipts

    def round(self) -> None:
        """All train, and the round closes."""
        for _ in range(5):
            if self.cluster.round.phase == TRAINING:
                break
            self.block()
        self.cluster.train()
        number = self.cluster.state.ledger.closed_rounds
        for _ in range(20):
            if self.cluster.state.ledger.closed_rounds > number:
                return
            self.block()
        raise AssertionError("the round does not close")

    def find(self, index: int, number: int) -> Audit | None:
        return self.cluster.state.audit(number, self.cluster.members[index].identity.node)

    def audit(self, index: int, number: int) -> Audit:
        found = self.find(index, number)
        assert found is not None
        return found

    def until_all_end(self, most: int = 60) -> None:
        for _ in range(most):
            self.block()
            if not self.cluster.state.open_audits:
                return
        raise AssertionError("audits are still open")

    @property
    def endings(self) -> Counter[int]:
        return Counter(each.outcome for each in self.receipts if isinstance(each, AuditEnded))

    @property
    def faults(self) -> list[Receipt]:
        return [each for each in self.receipts if isinstance(each, AuditFault | AuditMissed)]


Make = Callable[..., Audits]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Make]:
    all_made: list[Audits] = []

    def make(size: int, validators: int, **params: int) -> Audits:
        all_made.append(Audits(tmp_path, size, validators, **(ONE_AUDITOR | params)))
        all_made[-1].cluster.register()
        return all_made[-1]

    yield make
    for each in all_made:
        each.cluster.close()


def test_honest_work_passes_and_nobody_is_at_fault(made: Make) -> None:
    audits = made(3, 3, **NONE_PLANTED)
    for _ in range(2):
        audits.round()
    audits.until_all_end()
    assert audits.endings == {PASSED: 6} and audits.faults == []


def test_planted_segments_are_looked_at_twice_and_pass(made: Make) -> None:
    audits = made(4, 4, **ALL_PLANTED)
    audits.round()  # In the first round nobody has promised anything yet.
    audits.until_all_end()
    audits.round()
    number = audits.cluster.state.ledger.ended_round
    audits.until_all_end()
    assert audits.endings == {PASSED: 8} and audits.faults == []
    assert [audits.audit(index, number).attempt for index in range(4)] == [2] * 4


def test_an_auditor_that_has_not_looked_is_caught_by_a_plant(made: Make) -> None:
    audits = made(4, 4, **ALL_PLANTED)
    audits.round()
    audits.until_all_end()
    lazy = audits.part(0)
    lazy.finds = lambda job: PASS
    audits.round()
    audits.until_all_end()
    key = lazy.member.identity.validator_public_key
    caught = [each for each in audits.faults if isinstance(each, AuditFault)]
    assert all(each.public_key == key for each in caught) and audits.endings[PROVEN] == 0
    drawn = [
        name
        for name in (AuditName(2, member.identity.node) for member in audits.cluster.members[1:])
        if _was_drawn(audits.cluster.state, name, audits.cluster, key)
    ]
    assert len(caught) == len(drawn)


def _was_drawn(state: State, name: AuditName, cluster: Cluster, key: bytes) -> bool:
    """Whether a validator looked at the first attempt."""
    audit = state.audit(name.round, name.node)
    assert audit is not None
    members = state.validators(audit.set_epoch).members
    return any(members[each.validator].public_key == key and each.attempt == 1 for each in audit.auditors)


def test_nodes_that_are_killed_between_all_blocks_show_what_they_are_bound_to(made: Make) -> None:
    audits = made(3, 3, **NONE_PLANTED)
    audits.round()
    phases = set()
    for _ in range(20):
        audits.block()
        phases |= {audit.phase for index in range(3) if (audit := audits.find(index, 1)) is not None}
        for member in audits.cluster.members:
            member.start()  # from its disk
            member.hear[0](member.state, member.view.tip.height)
            audits.parts[member.identity.node].finds = lambda job: None  # What it had not found it never will.
            member.claims.speak()
        audits.cluster.links.run(50)
    assert {AUDITING, SHOWING} <= phases
    assert audits.endings == {PASSED: 3} and audits.faults == []


def test_a_forged_segment_is_proven_by_all_who_replay_it(made: Make) -> None:
    audits = made(4, 4, **NONE_PLANTED)
    forger = audits.part(3).member.identity.node
    for part in audits.parts.values():
        part.finds = lambda job, part=part: MISMATCH if job.node == forger and job.mix else part.truth(job)  # type: ignore[misc]
    audits.round()
    audits.until_all_end()
    assert audits.endings == {PASSED: 3, PROVEN: 1} and audits.faults == []
    assert audits.audit(3, 1).phase == PROVEN


def test_a_false_accusation_costs_the_accuser_and_not_the_accused(made: Make) -> None:
    audits = made(4, 4, **NONE_PLANTED, audit_second_basis_points=10_000)
    liar = audits.part(0)
    liar.finds = lambda job: MISMATCH if job.question in (AUDITING, DISPUTED) else PASS
    audits.round()
    audits.until_all_end()
    assert audits.endings == {PASSED: 4}
    key = liar.member.identity.validator_public_key
    assert all(isinstance(each, AuditFault) and each.public_key == key for each in audits.faults)
    assert audits.faults


def test_a_node_that_does_not_open_loses_the_round_and_has_no_seat_meanwhile(made: Make) -> None:
    audits = made(3, 3, **NONE_PLANTED)
    audits.part(2).is_silent = True
    audits.round()
    audits.block()
    audits.block()
    state, silent = audits.cluster.state, audits.part(2).member.identity.node
    current = audits.cluster.round
    assert not has_seat(state, current, silent, audits.cluster.network.params)
    audits.until_all_end()
    assert audits.audit(2, 1).phase == WITHHELD and audits.endings == {PASSED: 2, WITHHELD: 1}


def test_states_that_nobody_can_fetch_are_missing_for_all(made: Make) -> None:
    audits = made(3, 3, **NONE_PLANTED)
    for part in audits.parts.values():
        part.finds = lambda job: None
    audits.round()
    audits.until_all_end()
    assert audits.endings == {WITHHELD: 3} and audits.faults == []


def test_an_auditor_without_a_verdict_is_noted_and_another_looks(made: Make) -> None:
    audits = made(4, 4, **NONE_PLANTED)
    asleep = audits.part(0)
    asleep.driver.examiner = None
    audits.round()
    audits.until_all_end()
    key = asleep.member.identity.validator_public_key
    assert audits.endings == {PASSED: 4}
    assert all(isinstance(each, AuditMissed) and each.public_key == key for each in audits.faults)


def test_one_alone_checks_nobody(made: Make) -> None:
    audits = made(1, 1)
    audits.round()
    audits.block()
    audits.block()
    assert audits.endings == {UNCHECKED: 1}
