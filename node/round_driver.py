"""This node's part in the rounds. Start reading at `RoundDriver.inputs`.

What the node has to say follows from the ledger's state and from its finished work alone: after a restart it says the
same again, and nothing has to be remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from chain.attestations import has_voted
from chain.block import TRAINING as TRAINING_PROOF
from chain.block import WHOLE, PayloadReveal, Proof, RoundInput
from chain.crypto.hashing import ZERO, merkle_root
from chain.genesis import Network
from chain.plants import plant_promise
from chain.proofs import LAYERS_MAXIMUM
from chain.round_inputs import write_bitmap
from chain.rounds import counted_root
from chain.seats import has_seat, is_seat_free
from chain.state import (
    HOLDING,
    OPENED,
    RESULT,
    REVEALING,
    TRAINING,
    Claim,
    NodeRecord,
    Round,
    State,
    claim_key,
    node_key,
)
from chain.transition import epoch_of
from node.identity import EMPTY, Identity
from node.once import Once
from node.outcomes import Claimed, Outcomes
from node.relay_messages import Claimed as Said
from node.trainer_messages import Abandon, Command, RoundDone, SegmentDone, Train, WrapUp

# Blocks for a payload, the last proofs and the commitment to them.
WRAP_UP_BLOCKS = 20
# Blocks before the deadline at which a validator votes although it still waits for some payload.
HOLD_BLOCKS = 8


@dataclass(slots=True)
class Work:
    """What this node has trained in one round."""

    round: int
    segments: list[SegmentDone] = field(default_factory=list)
    done: RoundDone | None = None


class RoundDriver:
    """Trains, proves, commits, reveals, holds and signs for one node."""

    def __init__(self, network: Network, identity: Identity, outcomes: Outcomes) -> None:
        self.network = network
        self.params = network.params
        self.identity = identity
        self.node = identity.node
        self.validator_key = identity.validator_public_key
        self.outcomes = outcomes
        self.work = Work(0)
        self.ask: Callable[[Command], None] | None = None  # None: this node does not train
        self.also: list[Callable[[State], list[RoundInput]]] = []  # what there is to say of other things than the round
        self._height = 0
        self._once = Once()

    def follow(self, state: State, height: int) -> None:
        """React to a new finalized state: start, hurry or stop the trainer."""
        self._height = height
        current = state.round(state.ledger.round)
        if self.ask is None or current is None:
            return
        if self._takes_part(state, current):
            if self.work.round != current.number:
                self.work = Work(current.number)
                record = state.need(NodeRecord, node_key(self.node))
                base, averages = str(self.outcomes.model_path), (record.averages_root, record.averages_steps)
                self.ask(Train(current.number, current.mix, base, *averages, self._plant_secret(state, record)))
            if self._is_late(current, height) or (self._owes_reveal(state, current) and self.work.done is None):
                self.ask(WrapUp(current.number))
        elif self.work.round == current.number and self.work.done is None and current.phase > TRAINING:
            self.ask(Abandon(current.number))

    def _plant_secret(self, state: State, record: NodeRecord) -> bytes:
        """Of the newest round: the claim took the promise from the record, which changes only when we reveal."""
        claim = state.find(Claim, claim_key(state.ledger.round, self.node))
        return self.plant_secret_of(record if claim is None else claim)

    def plant_secret_of(self, promised: NodeRecord | Claim) -> bytes:
        """What decides which segments read other data; ZERO: nothing that we could show later."""
        secret = self.identity.plant_secret(promised.plant_round, self.network.chain_id)
        return secret if promised.plant == plant_promise(secret) else ZERO

    def _is_late(self, current: Round, height: int) -> bool:
        """Whether to end the round with the segments that we have: another one would miss the deadline.

        The deadline may have come nearer. Below half of the segments nothing can be committed, so we go on until then.
        """
        done = len(self.work.segments)
        if current.phase != TRAINING or 2 * done < self.params.segments:
            return False
        return current.deadline_height - height <= wrap_up_blocks(current, done, height)

    def _takes_part(self, state: State, current: Round) -> bool:
        """Whether the trainer has to do with the round."""
        record = state.find(NodeRecord, node_key(self.node))
        is_participant = record is not None and record.registered_height <= current.opened_height
        is_on = current.phase == TRAINING or (current.phase == REVEALING and self._owes_reveal(state, current))
        # A model that is still being fetched must not be trained: the work would start from another base.
        return is_participant and is_on and self.outcomes.model_root == current.base.outer_root

    def _owes_reveal(self, state: State, current: Round) -> bool:
        """Whether we have committed to work that nobody has seen: after a restart the trainer has it on its disk."""
        claim = state.find(Claim, claim_key(current.number, self.node))
        is_shown = any(revealed.node == self.node for revealed in current.revealed)
        return claim is not None and claim.commitment != ZERO and not is_shown

    def add_segment(self, segment: SegmentDone) -> None:
        if segment.round == self.work.round and segment.segment == len(self.work.segments):
            self.work.segments.append(segment)

    def add_payload(self, done: RoundDone) -> None:
        if done.round == self.work.round:
            self.work.done = done

    def is_urgent(self, state: State) -> bool:
        """Whether a block is worth making at once: the round waits for it."""
        current = state.round(state.ledger.round)
        if current is None or current.phase == OPENED:
            return current is not None
        is_lost = self._is_lost(state, current)
        return bool(self.of_round(state)) or self._is_awaited(state, current) or (current.participants == 1 and is_lost)

    def waits_for_absent(self, state: State) -> bool:
        """Whether the round waits for some who may be gone: its deadline, in blocks, is then to come at a usual pace.

        In the phases after that whoever is late has work to do, and blocks that come rarely leave it time.
        """
        current = state.round(state.ledger.round)
        if current is None:
            return False
        return current.phase == REVEALING or (current.phase == TRAINING and current.awaited.quorum_height > 0)

    def _is_awaited(self, state: State, current: Round) -> bool:
        """Whether the next block can take our last proofs and the commitment to them together."""
        done = self.work.done
        if current.phase != TRAINING or self.work.round != current.number or done is None:
            return False
        claim = state.find(Claim, claim_key(current.number, self.node))
        is_enough = 2 * done.segments >= self.params.segments and self._is_seated(state, current)
        return is_enough and not self._is_lost(state, current) and (claim is None or claim.commitment == ZERO)

    def _is_seated(self, state: State, current: Round) -> bool:
        """Whether a seat was drawn for us and is free."""
        place = state, current, self.node, self.params
        return has_seat(*place) and is_seat_free(*place)

    def _is_lost(self, state: State, current: Round) -> bool:
        """Whether nobody but us is waited for, and we cannot continue what an earlier run of ours has proven."""
        claim = state.find(Claim, claim_key(current.number, self.node))
        if claim is None or current.phase != TRAINING or self.work.round != current.number:
            return False
        ours = [segment.state_after for segment in self.work.segments]
        return any(one != other for one, other in zip(ours, claim.states, strict=False))

    def claims(self, state: State, time_ms: int) -> list[Said]:
        """All that this node has to say on `state`."""
        return [*self.proofs(state, time_ms), *self.inputs(state)]

    def proofs(self, state: State, time_ms: int) -> list[Proof]:
        """Signed proofs of the segments that the ledger does not know yet, for a block of time `time_ms`."""
        current, claim = self._current(state)
        record = state.find(NodeRecord, node_key(self.node))
        if current is None or record is None or current.phase != TRAINING or (claim and claim.commitment != ZERO):
            return []
        work = self.work  # a block may be built in a thread, beside the event loop which may begin another
        if work.round != current.number:
            return []  # a block may be built before we have heard of the round: old work is not claimed for it
        known = len(claim.states) if claim else 0
        before = claim.states[-1] if claim else _start(current, record, work)
        if before is None:
            return []
        if known and (len(work.segments) < known or work.segments[known - 1].state_after != before):
            return []  # another run of this node proved other work: this round cannot be continued
        previous, proofs = claim.last_proof if claim else ZERO, []
        for nonce, segment in enumerate(work.segments[known:], record.proofs):
            proof = self._proof(current, segment, (nonce, before, previous), time_ms)
            previous, before = proof.id(self.network.chain_id), segment.state_after
            proofs.append(proof)
        return proofs

    def _proof(self, current: Round, segment: SegmentDone, place: tuple[int, bytes, bytes], time_ms: int) -> Proof:
        params = self.params
        sequences = params.segment_steps * params.sequences
        nonce, state_before, previous = place
        draft = Proof(
            node=self.node,
            wallet=self.identity.address,
            kind=TRAINING_PROOF,
            role=WHOLE,
            first_layer=0,
            last_layer=LAYERS_MAXIMUM,
            round=current.number,
            segment=segment.segment,
            base_root=current.base.outer_root,
            data_first=segment.segment * sequences,
            data_count=sequences,
            batches=params.segment_steps,
            tokens=params.segment_steps * params.batch_tokens,
            samples=0,
            state_before=state_before,
            state_after=segment.state_after,
            loss_milli=segment.loss_milli,
            time_ms=_proof_time(segment.time_ms, time_ms, params.proof_window_ms),
            nonce=nonce,
            previous_proof=previous,
            signature=EMPTY,
        )
        return self._once(draft, lambda: self.identity.sign_proof(draft, self.network.chain_id))

    def inputs(self, state: State) -> list[RoundInput]:
        """What this node has to say in `state`: about the round, and then about all else."""
        return [*self.of_round(state), *(each for more in self.also for each in more(state))]

    def of_round(self, state: State) -> list[RoundInput]:
        """At most one thing, which moves the round on."""
        current, claim = self._current(state)
        if current is None:
            return []
        match current.phase:
            case phase if phase == TRAINING and claim is not None:
                return self._commit(state, current, claim)
            case phase if phase == REVEALING and claim is not None:
                return self._reveal(current, claim)
            case phase if phase == HOLDING:
                return self._hold(state, current)
            case phase if phase == RESULT:
                return self._result(state, current)
            case _:
                return []

    def _current(self, state: State) -> tuple[Round | None, Claim | None]:
        number = state.ledger.round
        return state.round(number), state.find(Claim, claim_key(number, self.node))

    def _commit(self, state: State, current: Round, claim: Claim) -> list[RoundInput]:
        opening = self._opening(current.number, claim)
        if opening is None or claim.commitment != ZERO or 2 * len(claim.states) < self.params.segments:
            return []
        if not self._is_seated(state, current):
            return []
        place = opening.round, opening.commitment(self.network.chain_id)
        return [self._once(("commit", place), lambda: self.identity.sign_commit(*place, self.network.chain_id))]

    def _reveal(self, current: Round, claim: Claim) -> list[RoundInput]:
        opening = self._opening(current.number, claim)
        if opening is None or claim.commitment == ZERO or any(r.node == self.node for r in current.revealed):
            return []
        return [self._once(opening, lambda: self.identity.sign_reveal(opening, self.network.chain_id))]

    def _opening(self, number: int, claim: Claim) -> PayloadReveal | None:
        """What the commitment hides, once the payload is done and all its segments are on the ledger."""
        work = self.work
        done, segments = work.done, work.segments
        if (
            done is None
            or number != done.round
            or tuple(s.state_after for s in segments[: done.segments]) != claim.states
        ):
            return None
        return PayloadReveal(
            round=done.round,
            node=self.node,
            salt=self.identity.salt(done.round, self.network.chain_id),
            payload_root=done.payload_root,
            payload_bytes=done.payload_bytes,
            states_root=merkle_root(claim.states),
            theta_root=done.theta_root,
            m_root=done.m_root,
            v_root=done.v_root,
            steps=done.segments * self.params.segment_steps,
            distances=tuple(segment.distance for segment in segments[: done.segments]),
            plant=plant_promise(self.identity.plant_secret(done.round, self.network.chain_id)),
            signature=EMPTY,
        )

    def _hold(self, state: State, current: Round) -> list[RoundInput]:
        validator = self._may_vote(state, current)
        claims = [Claimed(each.payload_root, each.payload_bytes, each.path) for each in current.revealed]
        held = [self.outcomes.holds(claimed) for claimed in claims]
        is_late = current.deadline_height - self._height <= HOLD_BLOCKS and True in held
        if validator is None or (None in held and not is_late):
            return []
        place = current.number, validator, write_bitmap([bool(flag) for flag in held])
        return [self._once(("hold", place), lambda: self.identity.sign_availability(*place, self.network.chain_id))]

    def _result(self, state: State, current: Round) -> list[RoundInput]:
        validator = self._may_vote(state, current)
        outcome = self.outcomes.prepared(counted_root(state, current), current.base.outer_root)
        if validator is None or outcome is None:
            return []
        place = current.number, validator, outcome
        return [self._once(("result", place), lambda: self.identity.sign_result(*place, self.network.chain_id))]

    def _may_vote(self, state: State, current: Round) -> int | None:
        """Our index in the set that attests this round, if we are in it and have not voted in this phase."""
        index = self._place_in(state, current.set_epoch)
        return None if index is None or has_voted(current.poll, index) else index

    def attests(self, state: State, current: Round) -> bool:
        """Whether we are in the set that says what this round gave; while it still trains, in the set of today."""
        is_set_fixed = current.phase > TRAINING
        epoch = current.set_epoch if is_set_fixed else epoch_of(self._height + 1, self.params)
        return self._place_in(state, epoch) is not None

    def _place_in(self, state: State, epoch: int) -> int | None:
        members = state.validators(epoch).members
        return next((at for at, member in enumerate(members) if member.public_key == self.validator_key), None)


def _start(current: Round, record: NodeRecord, work: Work) -> bytes | None:
    """The state with which the trainer really began; None if the ledger would not take that, or nothing is trained."""
    if not work.segments or work.segments[0].averages_root not in (ZERO, record.averages_root):
        return None
    return current.base.carried_state(work.segments[0].averages_root)


def wrap_up_blocks(current: Round, segments: int, height: int) -> int:
    """How long before the deadline a node ends its round that has done so many segments, one at least, by `height`.

    The segment in work may need as long as the others did; in a short round two thirds are for training.
    """
    began = current.opened_height + 1
    of_a_segment = -(-max(0, height - began) // segments)
    return min(WRAP_UP_BLOCKS + of_a_segment, (current.deadline_height - began) // 3)


def _proof_time(finished_ms: int, now_ms: int, window_ms: int) -> int:
    """When a segment was finished; one finished long ago is claimed lately, and for a while at the same time."""
    if now_ms - finished_ms <= window_ms * 3 // 4:
        return max(0, min(finished_ms, now_ms))
    return now_ms - now_ms % max(1, window_ms // 4)
