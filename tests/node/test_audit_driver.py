"""What a node says about audits follows from the ledger, its states and its kept words: the same after a restart."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from chain.attestations import NOBODY
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISMATCH,
    MISSING,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.crypto.hashing import ZERO
from chain.plants import plant_promise, segment_mix
from chain.state import (
    AUDITING,
    AUDITS_KEY,
    CHALLENGED,
    DISPUTED,
    OPENING,
    PASSED,
    SHOWING,
    Audit,
    AuditName,
    AuditQueue,
    Claim,
    audit_key,
    claim_key,
)
from node.audit_driver import AuditDriver, hash_of
from node.audit_jobs import Job
from node.audit_words import Word, WordKey, Words
from node.claim_pool import is_early, is_past
from node.identity import Identity
from tests.builders import NODE, named, secret_of
from tests.node.test_audit_slots import ROUND, a_chain, an_audit

STATES = [StateParts(named(f"theta {at}"), named(f"m {at}"), named(f"v {at}")) for at in range(5)]
NAME = AuditName(ROUND, NODE.node)


@dataclass
class Asked:
    """An examiner that finds nothing out by itself."""

    begun: list[Job] = field(default_factory=list)
    given_up: list[Job] = field(default_factory=list)
    dropped: list[WordKey] = field(default_factory=list)

    def begin(self, job: Job) -> None:
        self.begun.append(job)

    def give_up(self, job: Job) -> None:
        self.given_up.append(job)

    def drop(self, key: WordKey) -> None:
        self.dropped.append(key)


class Kept:
    """The states of NODE's round, as `node.segment_store` knows them."""

    def __init__(self) -> None:
        self.lost: set[bytes] = set()

    def parts(self, round_number: int, boundary: int) -> StateParts | None:
        return STATES[boundary] if round_number == ROUND else None

    def find(self, root: bytes) -> Path | None:
        return None if root in self.lost else Path()


class Scene:
    """An audit of NODE's round, and the driver of one node: of NODE itself, or of the validator at a place."""

    def __init__(self, folder: Path, audit: Audit, place: int | None = None, segments: object = None) -> None:
        self.chain = a_chain(audit)
        self.folder = folder
        self.params = self.chain.network.params
        node = NODE.secret if place is None else named("node of a validator")
        voter = 99 if place is None else secret_of(self.chain.members[place].public_key)
        self.identity = Identity(named("wallet"), node, voter.to_bytes(32, "big"))
        self.segments = segments
        secret = self.identity.plant_secret(0, self.chain.network.chain_id)
        self.claim = Claim(
            wallet=bytes(21), batches=8, tokens=64, debt=0, last_proof=ZERO, commitment=named("committed"),
            previous_claimant=ZERO, averages_steps=0, states=tuple(hash_of(each) for each in STATES[1:]),
            start=hash_of(STATES[0]), plant=plant_promise(secret), plant_round=0, payload_root=named("payload"),
            theta_root=STATES[4].theta_root, distances=(1, 2, 3, 4), forfeited=False,
        )  # fmt: skip
        self.secret = secret
        self.put(audit)
        self.start()

    def start(self) -> None:
        """Also what a restart does."""
        self.words, self.asked, self.told = Words(self.folder), Asked(), list[str]()
        self.driver = AuditDriver(self.chain.network, self.identity, self.words, self.segments)  # type: ignore[arg-type]
        self.driver.examiner, self.driver.watch = self.asked, self.told.append
        self.driver.follow(self.chain.state, 1)

    def put(self, audit: Audit | None, claim: Claim | None = None) -> None:
        records = self.chain.records
        self.claim = claim or self.claim
        records[claim_key(ROUND, NODE.node)] = self.claim.encode()
        records[AUDITS_KEY] = AuditQueue(() if audit is None else (NAME,)).encode()
        if audit is not None:
            records[audit_key(ROUND, NODE.node)] = audit.encode()

    def follow(self, audit: Audit, height: int = 1) -> None:
        self.put(audit if audit.is_open else None)
        self.chain.records[audit_key(ROUND, NODE.node)] = audit.encode()
        self.driver.follow(self.chain.state, height)

    @property
    def said(self) -> list[object]:
        state = self.chain.state
        said = self.driver.inputs(state)
        assert not any(is_past(each, state) or is_early(each, state) for each in said)
        return list(said)

    def finds(self, question: int, finding: int, attempt: int = 1, inner: bytes = b"") -> Word:
        return self.words.keep(Word(ROUND, NODE.node, question, attempt, finding, ZERO, inner, "why"))


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    def make(audit: Audit, place: int | None = None, segments: object = None) -> Scene:
        return Scene(tmp_path, audit, place, segments)

    return make


Make = Callable[..., Scene]


# ---- The audited node


@pytest.mark.parametrize("segment", [0, 1, 3])
def test_the_audited_node_opens_the_drawn_segment(scene: Make, segment: int) -> None:
    it = scene(an_audit(OPENING, segment=segment), segments=Kept())
    [opening] = it.said
    assert isinstance(opening, SegmentOpening)
    assert (opening.before, opening.after) == (STATES[segment], STATES[segment + 1])
    it.start()
    assert it.said == [opening]


def test_states_that_the_ledger_does_not_know_are_not_shown(scene: Make) -> None:
    it = scene(an_audit(OPENING, segment=1), segments=Kept())
    it.put(an_audit(OPENING, segment=1), replace(it.claim, states=(named("another run"), *it.claim.states[1:])))
    it.start()
    assert it.said == []
    assert scene(an_audit(OPENING), segments=None).said == []


@pytest.mark.parametrize("lost", [STATES[1].v_root, STATES[2].theta_root, STATES[4].theta_root])
def test_what_is_not_here_is_opened_when_it_has_been_made_again(scene: Make, lost: bytes) -> None:
    kept, audit = Kept(), an_audit(OPENING, segment=1)
    kept.lost.add(lost)
    it = scene(audit, segments=kept)
    assert it.said == []
    kept.lost.clear()
    it.follow(audit, 2)
    assert len(it.said) == 1


def test_the_secret_of_the_plants_is_shown_when_auditors_are_bound_and_not_before(scene: Make) -> None:
    it = scene(an_audit(OPENING), segments=Kept())
    for phase in (AUDITING, CHALLENGED, DISPUTED):
        it.follow(an_audit(phase, 0))
        assert not any(isinstance(each, PlantReveal) for each in it.said)
    it.follow(an_audit(SHOWING, 0))
    [shown] = it.said
    assert isinstance(shown, PlantReveal) and plant_promise(shown.secret) == it.claim.plant
    it.follow(an_audit(SHOWING, 0, secret=shown.secret))
    assert it.said == []


def test_who_has_promised_nothing_shows_nothing(scene: Make) -> None:
    it = scene(an_audit(SHOWING, 0), segments=Kept())
    it.put(an_audit(SHOWING, 0), replace(it.claim, plant=ZERO))
    it.start()
    assert it.said == []


# ---- The auditor


def test_a_drawn_auditor_is_asked_once_and_only_while_its_audit_wants_it(scene: Make) -> None:
    it = scene(an_audit(AUDITING, 0), 0)
    [job] = it.asked.begun
    state = it.chain.state
    current = state.round(ROUND)
    assert current is not None
    assert (job.mix, job.payload_root, job.distance) == (current.mix, it.claim.payload_root, it.claim.distances[0])
    it.follow(an_audit(AUDITING, 0), 2)
    assert len(it.asked.begun) == 1
    it.follow(an_audit(AUDITING, 1, attempt=2))
    assert it.asked.dropped == [job.key] and len(it.asked.begun) == 1
    assert scene(an_audit(AUDITING, 1), 0).asked.begun == []


def test_a_later_auditor_replays_the_data_order_that_the_shown_secret_gives(scene: Make) -> None:
    it = scene(an_audit(AUDITING, 0, attempt=2, secret=named("shown")), 0)
    [job] = it.asked.begun
    current = it.chain.state.round(ROUND)
    assert current is not None
    assert job.mix == segment_mix(named("shown"), current.mix, 0, it.params)


def test_nothing_is_said_before_something_is_found(scene: Make) -> None:
    for phase in (AUDITING, SHOWING, CHALLENGED, DISPUTED):
        assert scene(an_audit(phase, 0), 0).said == []


def test_an_auditor_shows_exactly_what_it_is_bound_to_also_after_a_restart(scene: Make) -> None:
    it = scene(an_audit(AUDITING, 0), 0)
    it.finds(AUDITING, PASS, inner=named("one") + named("two"))
    [bound] = it.said
    assert isinstance(bound, VerdictCommit)
    it.start()
    assert it.said == [bound]
    drawn = an_audit(SHOWING, 0)
    it.follow(replace(drawn, auditors=(replace(drawn.auditors[0], commitment=bound.commitment),)))
    [shown] = it.said
    assert isinstance(shown, VerdictReveal) and shown.inner == (named("one"), named("two"))
    assert shown.commitment(it.chain.network.chain_id) == bound.commitment
    it.start()
    assert it.said == [shown]


def test_an_auditor_bound_to_something_else_shows_nothing(scene: Make) -> None:
    it = scene(an_audit(SHOWING, 0), 0)
    it.finds(AUDITING, PASS)
    drawn = an_audit(SHOWING, 0)
    it.follow(replace(drawn, auditors=(replace(drawn.auditors[0], commitment=named("another machine")),)))
    assert it.said == []


def test_a_commitment_of_one_attempt_is_none_of_another(scene: Make) -> None:
    it = scene(an_audit(AUDITING, 0), 0)
    it.finds(AUDITING, PASS)
    it.finds(AUDITING, PASS, attempt=2)
    [first] = it.said
    it.follow(an_audit(AUDITING, 0, attempt=2))
    [second] = it.said
    assert isinstance(first, VerdictCommit) and isinstance(second, VerdictCommit)
    assert first.commitment != second.commitment


def test_who_cannot_fetch_the_states_says_so_late_and_only_after_having_tried(scene: Make) -> None:
    audit = an_audit(AUDITING, 0)
    deadline, margin = audit.deadline_height, 2
    it = scene(audit, 0)
    it.follow(audit, deadline - margin - 1)
    assert it.asked.given_up == []
    it.follow(audit, deadline - margin)
    assert len(it.asked.given_up) == 1
    late = scene(an_audit(PASSED), 0)
    late.follow(audit, deadline - margin)
    assert late.asked.begun and late.asked.given_up == []


# ---- The validator


@pytest.mark.parametrize(
    ("phase", "finding", "answer"),
    [
        (CHALLENGED, PASS, HERE), (CHALLENGED, UNSERVED, MISSING),
        (DISPUTED, PASS, CLEAN), (DISPUTED, MISMATCH, FRAUD), (DISPUTED, UNSERVED, None),
    ],
)  # fmt: skip
def test_every_validator_answers_what_it_has_found(scene: Make, phase: int, finding: int, answer: int | None) -> None:
    it = scene(an_audit(phase), 1)
    assert len(it.asked.begun) == 1
    it.finds(phase, finding)
    votes = it.said
    assert [each.answer for each in votes if isinstance(each, AuditVote)] == ([] if answer is None else [answer])
    it.start()
    assert it.said == votes


def test_a_challenge_asks_for_the_states_and_for_no_replay(scene: Make) -> None:
    [job] = scene(an_audit(CHALLENGED), 1).asked.begun
    assert job.mix == b""


def test_who_has_voted_says_and_seeks_nothing_more(scene: Make) -> None:
    it = scene(an_audit(DISPUTED), 1)
    it.finds(DISPUTED, PASS)
    voted = bytearray(NOBODY)
    voted[0] = 0b10
    audit = an_audit(DISPUTED)
    it.follow(replace(audit, poll=replace(audit.poll, voted=bytes(voted))))
    assert it.said == []


def test_a_dispute_without_the_data_gets_no_vote_however_late_it_is(scene: Make) -> None:
    audit = an_audit(DISPUTED)
    it = scene(audit, 1)
    it.follow(audit, audit.deadline_height - 1)
    assert it.asked.given_up == [] and it.said == []


def test_who_is_neither_validator_nor_audited_has_nothing_to_do(scene: Make) -> None:
    it = scene(an_audit(DISPUTED), 1)
    it.driver.validator_key = bytes(48)
    it.driver._places.clear()
    it.put(an_audit(DISPUTED))
    it.asked.begun.clear()
    it.driver.follow(it.chain.state, 2)
    assert it.asked.begun == [] and it.said == []
    assert it.driver.open_audits == 1


def test_audits_that_are_over_are_forgotten(scene: Make) -> None:
    it = scene(an_audit(AUDITING, 0), 0)
    it.follow(an_audit(PASSED, 0))
    assert it.driver.open_audits == it.driver.tasks == 0 and len(it.asked.dropped) == 1
