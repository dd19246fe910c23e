"""The newest round in numbers, and in one line for people: terminal, status, log and event stream tell the same.

Start reading at `round_line`. It is made of numbers and of our own words: nothing in it was written by a stranger.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from chain.attestations import has_voted
from chain.genesis import Params
from chain.rounds import counted
from chain.state import CLOSED, REVEALING, ROUND_PHASES, TRAINING, VOID, Round, State

BEHIND_BLOCKS = 20  # so far below what peers say is final, a node catches up and its round is an old one
PACE_INTERVALS = 8  # the fewest that tell how fast blocks come
NO_ROUND = "no round yet: nobody has registered to train"


@dataclass(frozen=True, slots=True)
class RoundNow:
    """A round at one height. Powers are those of the set that attests it, 0 before that is fixed."""

    number: int
    phase: str
    height: int  # of the state that tells it
    opened_height: int
    deadline_height: int  # of the phase
    participants: int
    awaited: int  # nodes that the training phase still waits for
    is_hurried: bool  # most of the work is there, so that the deadline has come nearer
    committed: int  # nodes
    revealed: int
    held: int  # payloads that more than two thirds of the power hold
    total_power: int
    voted_power: int  # of the validators that have voted in this phase
    agreed_power: int  # of the outcome that the most power has signed
    own_committed: bool
    after_void: bool  # the round before changed nothing

    @property
    def blocks_left(self) -> int:
        """Blocks until the phase ends at the latest; 0 once the round has ended."""
        is_over = self.phase in (ROUND_PHASES[CLOSED], ROUND_PHASES[VOID])
        return 0 if is_over else max(0, self.deadline_height - self.height)


def read_round(state: State, height: int, node: bytes) -> RoundNow | None:
    """The newest round as `node` sees it; None before the first."""
    current = state.round(state.ledger.round)
    if current is None:
        return None
    before = state.round(current.number - 1)
    return RoundNow(
        number=current.number,
        phase=ROUND_PHASES[current.phase],
        height=height,
        opened_height=current.opened_height,
        deadline_height=current.deadline_height,
        participants=current.participants,
        awaited=max(0, current.awaited.nodes - current.awaited.arrived) if current.phase <= TRAINING else 0,
        is_hurried=current.phase == TRAINING and bool(current.awaited.quorum_height),
        committed=len(current.committed),
        revealed=len(current.revealed),
        held=len(counted(state, current)),
        total_power=power_of_round(state, current),
        voted_power=voted_power(state, current),
        agreed_power=max((tally.power for tally in current.result.tallies), default=0),
        own_committed=node in current.committed,
        after_void=before is not None and before.phase == VOID,
    )


def power_of_round(state: State, current: Round) -> int:
    """Of the set that attests a round, 0 while it is not fixed."""
    is_fixed = current.phase >= REVEALING and current.committed
    return state.validators(current.set_epoch).power if is_fixed else 0


def voted_power(state: State, current: Round) -> int:
    """Of the validators that have voted in the phase."""
    if not power_of_round(state, current):
        return 0
    members = state.validators(current.set_epoch).members
    return sum(member.power for index, member in enumerate(members) if has_voted(current.poll, index))


def pace_ms(times_ms: Sequence[int], params: Params) -> int:
    """Milliseconds from block to block: of the last blocks' times, within what the network allows.

    The usual interval while there are too few of them: the first blocks come in a hurry.
    """
    intervals = [later - earlier for earlier, later in itertools.pairwise(times_ms)]
    found = round(mean(intervals)) if len(intervals) >= PACE_INTERVALS else params.block_interval_ms
    return min(max(found, params.block_interval_min_ms), params.block_interval_max_ms)


def seconds_left(now: RoundNow | None, pace: int) -> int:
    """Until the phase ends at the latest, if blocks go on at this pace."""
    return 0 if now is None else -(-now.blocks_left * pace // 1000)


@dataclass(frozen=True, slots=True)
class Own:
    """What a node adds to the line of its own knowledge."""

    step: int = 0  # inner steps of this round that it has done
    steps: int = 0  # of so many; 0: it does not train
    pace_ms: int = 1_000
    losses: tuple[float, ...] = ()  # on held-out text, oldest first: the last two are shown
    behind: int = 0  # blocks below what peers say is final
    is_without_model: bool = False  # it tried to get the ledger's model, in vain so far


def round_line(now: RoundNow | None, own: Own) -> str:
    """A round at one glance, as in `round 12 training 140/250 steps · 3 of 4 committed · closes in ≤ 18 s`."""
    if own.behind > BEHIND_BLOCKS:
        return _joined(f"catching up, {own.behind:,} blocks behind", "" if now is None else f"round {now.number}")
    if now is None:
        return NO_ROUND
    left = f"closes in ≤ {duration(seconds_left(now, own.pace_ms))}" if now.blocks_left else ""
    void = f"round {now.number - 1} was void" if now.after_void else ""
    lack = "this node lacks the model, see its status" if own.is_without_model else ""
    return _joined(f"round {now.number} {_phase(now, own)}", _who(now), left, loss_words(own.losses), void, lack)


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _phase(now: RoundNow, own: Own) -> str:
    if now.phase == ROUND_PHASES[TRAINING] and own.steps and not now.own_committed:
        return f"training {min(own.step, own.steps)}/{own.steps} steps"
    return PHASE_WORDS[now.phase]


# What the ledger calls a phase, for people.
PHASE_WORDS = {
    "opened": "opened",
    "training": "training",
    "revealing": "revealing payloads",
    "holding": "checking who holds the payloads",
    "result": "voting on the result",
    "closed": "closed",
    "void": "void",
}


def _who(now: RoundNow) -> str:
    """How far those who take part are. Of a lone trainer the steps say it all."""
    match now.phase:
        case "training" if now.committed + now.awaited > 1:
            us = ", this node too" if now.own_committed else ""
            return f"{now.committed} of {now.committed + now.awaited} committed{us}"
        case "training":
            return "committed" if now.own_committed else ""
        case "revealing":
            return f"{now.revealed} of {now.committed} revealed"
        case "holding":
            return f"{now.held} of {now.revealed} held"
        case "result":
            return f"{100 * now.agreed_power // max(1, now.total_power)} % of the power agrees"
        case "closed":
            return f"{now.held} payload{'s' * (now.held != 1)} counted"
        case _:
            return ""


def closed_words(state: State, number: int) -> str:
    """What a round that has just closed counted, as in ` with 3 payloads, 61,440 bytes`."""
    current = state.round(number)
    payloads = () if current is None else counted(state, current)
    size = sum(payload.payload_bytes for payload in payloads)
    return f" with {len(payloads)} payload{'s' * (len(payloads) != 1)}, {size:,} bytes" if payloads else ""


def loss_words(losses: Sequence[float]) -> str:
    """The last measured loss and the one before it."""
    return "loss " + " → ".join(f"{each:.3f}" for each in losses[-2:]) if losses else ""


def duration(seconds: int) -> str:
    """One number and its unit: enough for a glance."""
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 7_200:
        return f"{-(-seconds // 60)} min"
    return f"{-(-seconds // 3_600)} h"
