"""This node's part in audits. Start reading at `AuditDriver.inputs`.

What it has to say follows from the ledger's state, from the states that it keeps of its own rounds, and from words that
are on its disk before anybody hears them: after a restart it says the same again. Audits are of others' rounds that are
over, so nothing here waits for the round in training, nor that for anything here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from chain.attestations import has_voted
from chain.audit_messages import (
    CLEAN,
    FRAUD,
    HERE,
    MISMATCH,
    MISSING,
    NO_FINDING,
    PASS,
    UNSERVED,
    AuditVote,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import RoundInput, state_hash
from chain.crypto.hashing import ZERO
from chain.genesis import Network
from chain.plants import plant_promise
from chain.state import (
    AUDITING,
    CHALLENGED,
    DISPUTED,
    OPENING,
    SHOWING,
    Audit,
    AuditName,
    Claim,
    State,
    audit_key,
    claim_key,
)
from node.audit_jobs import Examiner, Job, job_of
from node.audit_slots import assigned_in
from node.audit_words import WordKey, Words
from node.errors import SegmentStoreError
from node.identity import EMPTY, EMPTY_BLS, Identity, NodeWord, ValidatorWord
from node.logs import log_of
from node.once import Once

ANSWERS = {
    (CHALLENGED, PASS): HERE,
    (CHALLENGED, UNSERVED): MISSING,
    (DISPUTED, PASS): CLEAN,
    (DISPUTED, MISMATCH): FRAUD,
}

LOG = log_of("audits")


class Segments(Protocol):
    """What this node knows of the states of its own rounds: `node.segment_store`."""

    def parts(self, round_number: int, boundary: int) -> StateParts | None: ...

    def find(self, root: bytes) -> Path | None: ...


class AuditDriver:
    """Opens, audits, shows and votes for one node. `watch` is told in a sentence what happens to audits of ours."""

    def __init__(self, network: Network, identity: Identity, words: Words, segments: Segments | None) -> None:
        self.network = network
        self.params = network.params
        self.identity = identity
        self.node = identity.node
        self.validator_key = identity.validator_public_key
        self.words = words
        self.segments = segments  # None: this node does not train
        self.examiner: Examiner | None = None  # None: this node audits nobody
        self.watch: Callable[[str], None] = lambda words: None
        self._audits: dict[AuditName, tuple[bytes, Audit]] = {}  # open ones as last seen, with their bytes
        self._concerns: tuple[AuditName, ...] = ()  # audits in which we are asked for something
        self._openings: dict[AuditName, tuple[StateParts, StateParts] | None] = {}
        self._jobs: dict[WordKey, tuple[Job, int]] = {}  # begun, and at which height
        self._places: dict[int, int | None] = {}  # ours in the validator sets of epochs
        self._once = Once()

    # ---- The ledger goes on

    def follow(self, state: State, height: int) -> None:
        """React to a new finalized state: begin what is asked, drop what nobody wants to know any more."""
        self._look_at(state)
        concerns: list[AuditName] = []
        wanted: dict[WordKey, Job] = {}
        for name, (_, audit) in self._audits.items():
            if name.node == self.node:
                self._prepare(state, name, audit)
                concerns.append(name)
            if self.examiner is not None and self._is_asked(state, audit):
                concerns.append(name)
                job = job_of(state, name, audit, self.params)
                if job is not None and job.question != SHOWING and self.words.find(job.key) is None:
                    wanted[job.key] = job
        self._concerns = tuple(dict.fromkeys(concerns))
        self._employ(wanted, height)

    def _look_at(self, state: State) -> None:
        """Decode what has changed: there may be thousands, of which a block changes a few."""
        names = state.open_audits
        before, self._audits = self._audits, {}
        for name in names:
            data = state.get(audit_key(name.round, name.node))
            if data is None:
                continue
            known = before.pop(name, None)
            self._audits[name] = known if known is not None and known[0] == data else (data, Audit.decode(data))
        for name in before:
            self._openings.pop(name, None)

    def _is_asked(self, state: State, audit: Audit) -> bool:
        """Whether the audit waits for a word of ours as a member of its set."""
        place = self._place_in(state, audit.set_epoch)
        if place is None:
            return False
        match audit.phase:
            case phase if phase in (AUDITING, SHOWING):
                return assigned_in(audit, place) is not None
            case phase if phase in (CHALLENGED, DISPUTED):
                return not has_voted(audit.poll, place)
        return False

    def _place_in(self, state: State, epoch: int) -> int | None:
        if epoch not in self._places:
            if len(self._places) >= 64:
                self._places.clear()
            members = state.validators(epoch).members
            places = (at for at, member in enumerate(members) if member.public_key == self.validator_key)
            self._places[epoch] = next(places, None)
        return self._places[epoch]

    def _employ(self, wanted: dict[WordKey, Job], height: int) -> None:
        examiner = self.examiner
        if examiner is None:
            return
        for key in [key for key in self._jobs if key not in wanted]:
            del self._jobs[key]
            examiner.drop(key)
        for key, job in wanted.items():
            if key not in self._jobs:
                self._jobs[key] = job, height
                examiner.begin(job)
            elif self._is_late(job, self._jobs[key][1], height):
                examiner.give_up(job)

    def _is_late(self, job: Job, since: int, height: int) -> bool:
        """Whether to say that states are missing. Only who has tried for a while can know that."""
        _, audit = self._audits[AuditName(job.round, job.node)]
        if job.question == DISPUTED:
            return False  # Who has not replayed it has no opinion.
        quarter = self._blocks_of(job.question) // 4
        return audit.deadline_height - height <= max(2, quarter) and height - since >= max(1, quarter)

    def _blocks_of(self, question: int) -> int:
        return self.params.challenge_blocks if question == CHALLENGED else self.params.audit_blocks

    # ---- As the audited node

    def _prepare(self, state: State, name: AuditName, audit: Audit) -> None:
        """Look up what the drawn segment's states are made of, until they are here: that reads a small file."""
        if audit.phase != OPENING or self._openings.get(name) is not None or self.segments is None:
            return
        claim = state.find(Claim, claim_key(name.round, name.node))
        found = None if claim is None else self._find_opening(self.segments, name, audit, claim)
        if found is None and name not in self._openings:
            LOG.warning("the states that an audit of ours wants are not here", round=name.round, segment=audit.segment)
        elif found is not None:
            LOG.info("a round of ours is audited", round=name.round, segment=audit.segment)
        self._openings[name] = found

    def _find_opening(
        self, segments: Segments, name: AuditName, audit: Audit, claim: Claim
    ) -> tuple[StateParts, StateParts] | None:
        """The parts of the two states, if they are those that the ledger knows and all files are here.

        What is gone may be made again (`node.remake`); once we have opened, auditors do not wait for long.
        """
        try:
            before, after = (segments.parts(name.round, audit.segment + offset) for offset in (0, 1))
        except SegmentStoreError as error:
            LOG.warning("the index of our states cannot be read", reason=str(error))
            return None
        if before is None or after is None or audit.segment >= len(claim.states):
            return None
        begun = claim.start if audit.segment == 0 else claim.states[audit.segment - 1]
        if (hash_of(before), hash_of(after)) != (begun, claim.states[audit.segment]):
            return None
        # Where a round begins, the weights are its base, which is kept elsewhere.
        files = {before.m_root, before.v_root, after.theta_root, after.m_root, after.v_root, claim.theta_root, ZERO}
        files |= {before.theta_root} if audit.segment else set()
        is_here = all(segments.find(root) is not None for root in files - {ZERO})
        return (before, after) if is_here else None

    # ---- What there is to say

    def inputs(self, state: State) -> list[RoundInput]:
        """All that this node has to say about audits in `state`. Reads memory only: blocks are built in a thread."""
        said: list[RoundInput] = []
        for name in self._concerns:
            audit = state.audit(name.round, name.node)
            if audit is None or not audit.is_open:
                continue
            if name.node == self.node:
                said += self._as_audited(state, name, audit)
            place = self._place_in(state, audit.set_epoch) if self.examiner is not None else None
            if place is not None:
                said += self._as_member(name, audit, place)
        return said

    def _as_audited(self, state: State, name: AuditName, audit: Audit) -> list[RoundInput]:
        if audit.phase == OPENING and (opening := self._openings.get(name)) is not None:
            return [self._by_node(SegmentOpening(name.round, name.node, *opening, EMPTY))]
        if audit.phase == SHOWING and audit.secret == ZERO:
            return self._plant(state, name)
        return []

    def _plant(self, state: State, name: AuditName) -> list[RoundInput]:
        """The secret of our plants. Not before all auditors are bound: it would tell them what to find."""
        claim = state.find(Claim, claim_key(name.round, name.node))
        if claim is None or claim.plant == ZERO:
            return []
        secret = self.identity.plant_secret(claim.plant_round, self.network.chain_id)
        if plant_promise(secret) != claim.plant:
            return []
        return [self._by_node(PlantReveal(name.round, name.node, secret, EMPTY))]

    def _as_member(self, name: AuditName, audit: Audit, place: int) -> list[RoundInput]:
        match audit.phase:
            case phase if phase == AUDITING:
                return self._commit(name, audit, place)
            case phase if phase == SHOWING:
                return self._show(name, audit, place)
            case phase if phase in (CHALLENGED, DISPUTED):
                return self._vote(name, audit, place)
        return []

    def _verdict(self, name: AuditName, audit: Audit, place: int) -> VerdictReveal | None:
        """What our word of this attempt will be shown as."""
        word = self.words.find((name.round, name.node, AUDITING, audit.attempt))
        if word is None:
            return None
        salt = self.identity.verdict_salt(name.round, name.node, audit.attempt, self.network.chain_id)
        return VerdictReveal(name.round, name.node, place, salt, word.finding, word.hashes, EMPTY_BLS)

    def _commit(self, name: AuditName, audit: Audit, place: int) -> list[RoundInput]:
        drawn, verdict = assigned_in(audit, place), self._verdict(name, audit, place)
        if drawn is None or drawn.commitment != ZERO or verdict is None:
            return []
        commitment = verdict.commitment(self.network.chain_id)
        return [self._by_validator(VerdictCommit(name.round, name.node, place, commitment, EMPTY_BLS))]

    def _show(self, name: AuditName, audit: Audit, place: int) -> list[RoundInput]:
        drawn, verdict = assigned_in(audit, place), self._verdict(name, audit, place)
        if drawn is None or drawn.finding != NO_FINDING or verdict is None:
            return []
        # Another machine of the same wallet may have bound us to what it found.
        if drawn.commitment != verdict.commitment(self.network.chain_id):
            return []
        return [self._by_validator(verdict)]

    def _vote(self, name: AuditName, audit: Audit, place: int) -> list[RoundInput]:
        word = self.words.find((name.round, name.node, audit.phase, audit.attempt))
        if word is None or has_voted(audit.poll, place):
            return []
        answer = ANSWERS.get((audit.phase, word.finding))
        if answer is None:
            return []
        return [self._by_validator(AuditVote(name.round, name.node, place, audit.attempt, answer, EMPTY_BLS))]

    def _by_node(self, draft: NodeWord) -> NodeWord:
        return self._once(draft, lambda: self.identity.sign_as_node(draft, self.network.chain_id))

    def _by_validator(self, draft: ValidatorWord) -> ValidatorWord:
        return self._once(draft, lambda: self.identity.sign_as_validator(draft, self.network.chain_id))

    # ---- For people

    @property
    def open_audits(self) -> int:
        return len(self._audits)

    @property
    def own(self) -> list[Audit]:
        """Open ones of this node's rounds."""
        return [audit for name, (_, audit) in self._audits.items() if name.node == self.node]

    @property
    def tasks(self) -> int:
        """What this node has been drawn for or asked, and has not found out yet."""
        return len(self._jobs)


def hash_of(parts: StateParts) -> bytes:
    return state_hash(parts.theta_root, parts.m_root, parts.v_root)
