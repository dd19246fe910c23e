"""A node of a village: it trains what the ledger tells it to, says so, and shows what it is asked for.

Start reading at `Trainer.says`. Cheats override what they do differently: `begin`, `batch`, `segment`, `states`,
`distances`, `payload`, `prove`, `serve`. Everything else stays honest, signatures and hashes included.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from chain.audit_messages import PlantReveal, SegmentOpening, StateParts
from chain.block import TRAINING as TRAINING_PROOF
from chain.block import WHOLE, PayloadCommit, PayloadReveal, Proof, RoundInput, state_hash
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.plants import plant_promise, segment_mix
from chain.state import (
    OPENING,
    REVEALING,
    SHOWING,
    TRAINING,
    Audit,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
)
from tests.audits.school import Batch, Draw, School, parts_of, root_of
from tests.builders import NO_SIGNATURE, Key
from training.inner import InnerState
from training.payload import encode_payload
from training.round import distance

Blob = NDArray[np.float32] | bytes
UNITS = 1 << 24


@dataclass
class Work:
    """What a node did, or says that it did, in one round."""

    round: int
    base: NDArray[np.float32]
    states: list[InnerState]  # one more than segments
    parts: list[StateParts]
    distances: tuple[int, ...]
    payload: bytes
    proofs: list[Proof]
    cheated: frozenset[int] = frozenset()  # segments that a replay contradicts

    @property
    def payload_root(self) -> bytes:
        return root_of(self.payload)


@dataclass(frozen=True)
class Told:
    """Of a round long ago: what decides how likely it was to be caught."""

    distances: tuple[int, ...]
    cheated: frozenset[int]


@dataclass
class Trainer:
    """An honest node."""

    school: School
    key: Key
    wallet: Key
    work: dict[int, Work] = field(default_factory=dict)
    history: dict[int, Told] = field(default_factory=dict)
    averages: dict[bytes, NDArray[np.float32]] = field(default_factory=dict)
    blobs: dict[bytes, Blob] = field(default_factory=dict)

    # ---- What it says

    def says(self, state: State, height: int, time_ms: int) -> tuple[list[Proof], list[RoundInput]]:
        """Everything that is due from this node on this state."""
        proofs: list[Proof] = []
        inputs: list[RoundInput] = []
        current = state.round(state.ledger.round)
        if current is not None:
            claim = state.find(Claim, claim_key(current.number, self.key.node))
            has_committed = claim is not None and claim.commitment != ZERO
            if current.phase == TRAINING and not has_committed and self._takes_part(state, current):
                work = self._trained(state, current, time_ms)
                proofs = work.proofs[len(claim.states) if claim else 0 :]
                inputs.append(self.commit(work))
            has_revealed = any(each.node == self.key.node for each in current.revealed)
            if current.phase == REVEALING and has_committed and not has_revealed:
                inputs.append(self.reveal(self.work[current.number]))
        # Who owes an answer has no seat: the answers go first.
        return proofs, [*self._answers(state), *inputs]

    def _takes_part(self, state: State, current: Round) -> bool:
        record = state.find(NodeRecord, node_key(self.key.node))
        return (
            record is not None
            and record.registered_height <= current.opened_height
            and record.suspended_round < current.number
        )

    def _answers(self, state: State) -> Iterator[RoundInput]:
        for name in state.open_audits:
            if name.node != self.key.node:
                continue
            audit = state.audit(*(name.round, name.node))
            assert audit is not None
            if audit.phase == OPENING and self.shows(audit):
                parts = self.work[name.round].parts
                opening = SegmentOpening(
                    name.round, name.node, parts[audit.segment], parts[audit.segment + 1], NO_SIGNATURE
                )
                yield replace(opening, signature=self.key.sign(opening.digest(self._chain_id)))
            claim = state.need(Claim, claim_key(name.round, name.node))
            if audit.phase == SHOWING and claim.plant != ZERO and audit.secret == ZERO:
                shown = PlantReveal(name.round, name.node, self.secret(claim.plant_round), NO_SIGNATURE)
                yield replace(shown, signature=self.key.sign(shown.digest(self._chain_id)))

    @property
    def _chain_id(self) -> bytes:
        return self.school.network.chain_id

    def secret(self, number: int) -> bytes:
        """That the reveal of a round promises."""
        return tagged_hash("plant-secret", self.key.secret, self._chain_id, number.to_bytes(8, "big"))

    def commit(self, work: Work) -> PayloadCommit:
        hidden = self.opening(work).commitment(self._chain_id)
        commit = PayloadCommit(work.round, self.key.node, hidden, NO_SIGNATURE)
        return replace(commit, signature=self.key.sign(commit.digest(self._chain_id)))

    def reveal(self, work: Work) -> PayloadReveal:
        opening = self.opening(work)
        return replace(opening, signature=self.key.sign(opening.digest(self._chain_id)))

    def opening(self, work: Work) -> PayloadReveal:
        """What the commitment hides."""
        last = work.parts[-1]
        hashes = [proof.state_after for proof in work.proofs]
        return PayloadReveal(
            round=work.round,
            node=self.key.node,
            salt=tagged_hash("salt", self.key.secret, work.round.to_bytes(8, "big")),
            payload_root=work.payload_root,
            payload_bytes=len(work.payload),
            states_root=merkle_root(hashes),
            theta_root=last.theta_root,
            m_root=last.m_root,
            v_root=last.v_root,
            steps=len(hashes) * self.school.params.segment_steps,
            distances=work.distances,
            plant=plant_promise(self.secret(work.round)),
            signature=NO_SIGNATURE,
        )

    def prove(self, proofs: list[Proof]) -> list[Proof]:
        """The signed proofs that it publishes."""
        return proofs

    # ---- What it does

    def _trained(self, state: State, current: Round, time_ms: int) -> Work:
        if current.number not in self.work:
            record = state.need(NodeRecord, node_key(self.key.node))
            self.work[current.number] = work = self.train(current, record, time_ms)
            self.history[current.number] = Told(work.distances, work.cheated)
            self._keep(work)
        return self.work[current.number]

    def train(self, current: Round, record: NodeRecord, time_ms: int) -> Work:
        """One round, from the base to the signed proofs."""
        base = self.school.weights(current.base)
        states = self.states(current, record)
        parts = [parts_of(state) for state in states]
        parts[0] = self.first_parts(current, states[0])
        work = Work(
            current.number,
            base,
            states,
            parts,
            self.distances([distance(b.theta, a.theta) for a, b in pairwise(states)]),
            self.payload(base, states[-1].theta),
            [],
            self.cheated(current),
        )
        work.proofs = self.prove(list(self._proofs(work, current, record, time_ms)))
        return work

    def first_parts(self, current: Round, begun: InnerState) -> StateParts:
        """The parts of the state that the ledger lets it begin with."""
        return StateParts(current.base.weights_root, ZERO, root_of(begun.v))

    def begin(self, current: Round, record: NodeRecord) -> InnerState:
        """The base, with the second moments of the node's last reveal."""
        theta = self.school.weights(current.base)
        empty = np.zeros_like(theta)
        carried = self.averages.get(record.averages_root)
        if carried is None:
            return InnerState(theta, empty, empty, 0, 0)
        return InnerState(theta, empty, carried, 0, record.averages_steps)

    def states(self, current: Round, record: NodeRecord) -> list[InnerState]:
        """All states of a round at segment boundaries."""
        states = [self.begin(current, record)]
        secret = self.secret(record.plant_round) if record.plant != ZERO else None
        for segment in range(self.school.params.segments):
            mix = segment_mix(secret, current.mix, segment, self.school.params)
            states.append(self.segment(states[-1], current, segment, self.school.draw(mix, self.key.node)))
        return states

    def segment(self, before: InnerState, current: Round, segment: int, draw: Draw) -> InnerState:
        """The state after a segment."""
        steps = self.school.params.segment_steps
        return self.school.train(before, current.number, lambda step: self.batch(draw, step), steps, self.purpose)

    purpose = "training"

    def batch(self, draw: Draw, step: int) -> Batch:
        """What it trains on in a step."""
        return draw(step)

    def payload(self, base: NDArray[np.float32], theta: NDArray[np.float32]) -> bytes:
        return encode_payload(base, theta, self.school.learning.fragment_sizes)

    def distances(self, moved: list[float]) -> tuple[int, ...]:
        """What it says of how far each segment went, in units of 2⁻²⁴."""
        return tuple(round(each * UNITS) for each in moved)

    def cheated(self, current: Round) -> frozenset[int]:
        """The segments of this round that a replay contradicts, if the cheat is found by replay."""
        return frozenset()

    def exposure(self, number: int) -> float:
        """How likely the draw of a segment of a past round falls on a cheated one: half by number, half by distance.

        By distance, a segment weighs at least as much as one that went as far as the mean.
        """
        known = self.history[number]
        mean = sum(known.distances) / len(known.distances)
        weights = [max(each, mean) for each in known.distances]
        forged = sum(weights[each] for each in known.cheated)
        return len(known.cheated) / len(weights) / 2 + forged / sum(weights) / 2

    def _proofs(self, work: Work, current: Round, record: NodeRecord, time_ms: int) -> Iterator[Proof]:
        params, previous = self.school.params, ZERO
        sequences = params.segment_steps * params.sequences
        for segment in range(len(work.states) - 1):
            before, after = work.parts[segment], work.parts[segment + 1]
            proof = Proof(
                node=self.key.node,
                wallet=record.wallet,
                kind=TRAINING_PROOF,
                role=WHOLE,
                first_layer=0,
                last_layer=0xFFFF,
                round=work.round,
                segment=segment,
                base_root=current.base.outer_root,
                data_first=segment * sequences,
                data_count=sequences,
                batches=params.segment_steps,
                tokens=params.segment_steps * params.batch_tokens,
                samples=0,
                state_before=state_hash(before.theta_root, before.m_root, before.v_root),
                state_after=state_hash(after.theta_root, after.m_root, after.v_root),
                loss_milli=3_000,
                time_ms=time_ms,
                nonce=record.proofs + segment,
                previous_proof=previous,
                signature=NO_SIGNATURE,
            )
            previous = proof.id(self._chain_id)
            yield replace(proof, signature=self.key.sign(previous))

    # ---- What it shows

    def _keep(self, work: Work) -> None:
        for state, parts in zip(work.states, work.parts, strict=True):
            self.blobs |= {parts.theta_root: state.theta, parts.m_root: state.m, parts.v_root: state.v}
        self.blobs[work.payload_root] = work.payload
        last = work.states[-1]
        self.averages[work.parts[-1].v_root] = last.v

    def shows(self, audit: Audit) -> bool:
        """Whether it answers the question of an audit's first phase."""
        return True

    def serve(self, root: bytes, asker: bytes) -> Blob | None:
        """A blob for a validator, by its pages root. None: it does not come."""
        return self.blobs.get(root)

    def forget_before(self, number: int) -> None:
        """Rounds whose audits are settled need no states any more."""
        old = [each for each in self.work if each < number]
        for each in old:
            del self.work[each]
        if old:
            self.blobs = {}
            for work in self.work.values():
                self._keep(work)
