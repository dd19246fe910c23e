"""Twins (after Bano et al., "Twins: BFT Systems Made Robust", OPODIS 2021): two machines with one key, no other liar.

A scenario says who leads which view and, for each round of time, into which groups the machines fall and how many
messages come, in any order, before clocks run out. A message reaches only who is in its sender's group when it comes;
others wait or get lost. (In the paper groups go by view; here a view without a quorum would last for ever.)
Afterwards all reach each other. Only the bare core runs: blocks are hashes, every block is valid, and what is signed is
believed. Safety: the finalized chains are prefixes of each other. And once the network is whole, the honest finalize
again.

    python -m tests.simulator.twins --scenarios 50000 --seed 1 --out twins.json
"""

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

from consensus import counting as counting_module
from consensus import events as ev
from consensus import step as step_module
from consensus import tally as tally_module
from consensus import views as views_module
from consensus.committee import Committee, Member, Turn
from consensus.messages import Message, Vote
from consensus.state import Epoch, State, Timing
from consensus.step import start, step

VALIDATORS = 4  # and one twin, of validator 0
VIEWS = 8  # whose leaders the scenario names
ROUNDS = 24  # of time that it rules
MESSAGES = 30  # that come in a round at most, before clocks run out
HEALED = 60  # rounds of time that follow
HEIGHT = 10_000  # of the epoch's last block: never reached
CHAIN, ANCHOR = sha256(b"twins").digest(), sha256(b"anchor").digest()
KEYS = tuple(bytes((number + 1,)) * 48 for number in range(VALIDATORS))
POWERS = ((1, 1, 1, 1), (1, 1, 1, 1), (2, 3, 2, 2), (1, 1, 1, 4), (3, 5, 1, 1))  # the first has the twin: below a third


class Believing:
    """Signatures say nothing: only the twins lie, and they sign with their own key."""

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return True

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        return bytes(96)

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        return True


BELIEVING = Believing()


@dataclass(frozen=True, slots=True)
class Twins:
    """For each view its leader, for each round the group of each machine; the fifth is the twin of the first."""

    leaders: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]
    powers: tuple[int, ...]
    loss: float  # of messages, within a group
    order: int  # chance that decides whose message is handled next, and whose clock runs out

    @classmethod
    def draw(cls, chance: Random) -> "Twins":
        leaders = tuple(chance.randrange(VALIDATORS) for _ in range(VIEWS))
        sizes = [chance.choice((1, 2, 2, 3)) for _ in range(ROUNDS)]
        groups = tuple(tuple(chance.randrange(size) for _ in range(VALIDATORS + 1)) for size in sizes)
        return cls(leaders, groups, chance.choice(POWERS), chance.choice((0, 0.1, 0.3)), chance.randrange(1 << 30))


@dataclass(eq=False)
class Machine:
    """One core and its blocks."""

    place: int
    signer: int
    state: State
    epoch: Epoch
    final: list[bytes] = field(default_factory=list)
    timers: dict[str, int] = field(default_factory=dict)  # kind → view of those that run


class Play:
    """One scenario as it happens. `broken` says what did not hold."""

    def __init__(self, scenario: Twins) -> None:
        self.scenario = scenario
        self.random = Random(scenario.order)
        self.machines: list[Machine] = []
        self.parents: dict[bytes, tuple[bytes, int]] = {}  # block → parent and height
        self.messages: list[tuple[int, int, Message]] = []  # sender, receiver, message
        self.events: deque[tuple[Machine, ev.Event]] = deque()
        self.held: list[tuple[Machine, ev.Event]] = []
        self.chain: dict[int, bytes] = {}
        self.waiting: list[tuple[int, int, Message]] = []  # messages that do not reach their receiver now
        self.healed = False
        self.round = 0
        self.wanted = 1 << 30  # final blocks of every honest machine, for the end
        self.broken = ""
        self.steps = 0
        committee = Committee(tuple(Member(key, power) for key, power in zip(KEYS, scenario.powers, strict=True)))
        for place in range(VALIDATORS + 1):
            signer = place % VALIDATORS
            epoch = Epoch(CHAIN, 0, committee, signer, ANCHOR, 0, HEIGHT, Timing(1_000))
            state, effects = start(epoch, scheme=BELIEVING)
            machine = Machine(place, signer, state, epoch)
            self.machines.append(machine)
            self._perform(machine, effects)

    def run(self) -> str:
        """Let the scenario happen, then heal. Returns what is broken; empty: nothing."""
        for self.round in range(ROUNDS):
            self._settle(self.random.randrange(MESSAGES))
            self._tick()
        self.healed = True
        self.wanted = max(len(machine.final) for machine in self.machines) + 1
        self.events.extend(self.held)
        for _ in range(HEALED):
            self._settle(1 << 30)
            if self.broken or self._has_recovered():
                return self.broken
            self._tick()
        return f"nothing is finalized in {HEALED} rounds after healing"

    def _has_recovered(self) -> bool:
        return all(len(machine.final) >= self.wanted for machine in self.machines[1:VALIDATORS])

    def _settle(self, messages: int) -> None:
        """Handle what machines ask of themselves, and so many messages in any order."""
        while (self.events or self.messages) and not self.broken and not self._has_recovered():
            if self.events:
                machine, event = self.events.popleft()
            elif messages:
                messages -= 1
                place = self.random.randrange(len(self.messages))
                self.messages[place], self.messages[-1] = self.messages[-1], self.messages[place]
                sender, receiver, message = self.messages.pop()
                if not self._reaches(sender, receiver):
                    if self.random.random() < 0.5:
                        self.waiting.append((sender, receiver, message))
                    continue
                machine, event = self.machines[receiver], ev.Received(b"%d" % sender, message)
            else:
                break
            self.steps += 1
            machine.state, effects = step(machine.state, event, machine.epoch, BELIEVING)
            self._perform(machine, effects)

    def _tick(self) -> None:
        """Time passes: clocks run out, of some sooner than of others; what could not reach its receiver may now."""
        self.messages += self.waiting
        self.waiting.clear()
        for machine in self.machines:
            if self.healed or self.random.random() < 0.3:
                timers, machine.timers = machine.timers, {}
                for kind, view in timers.items():
                    self.events.append((machine, ev.TimerFired(kind, view)))

    def _perform(self, machine: Machine, effects: tuple[ev.Effect, ...]) -> None:
        for effect in effects:
            match effect:
                case ev.CastVote(kind, epoch, view, block_hash):
                    vote = Vote(kind, epoch, view, block_hash, machine.signer, bytes(96))
                    self.events.append((machine, ev.Signed(vote)))
                case ev.Propose(view, parent_hash, _):
                    built = machine, ev.Built(view, self._block(machine, view, parent_hash))
                    # Whoever is through with the scenario waits for the others: it could go on for ever.
                    (self.events if self.healed or view <= VIEWS else self.held).append(built)
                case ev.Judge(view, block_hash):
                    self.events.append((machine, ev.Judged(view, block_hash, True)))
                case ev.FetchBlock(_, block_hash):
                    parent_hash, height = self.parents[block_hash]
                    self.events.append((machine, ev.Linked(block_hash, parent_hash, height)))
                case ev.Broadcast(message):
                    for other in self.machines:
                        self._send(machine, other.place, message)
                case ev.Send(peer, message):
                    self._send(machine, int(peer), message)
                case ev.SetTimer(kind, view, _):
                    machine.timers[kind] = view
                case ev.Finalized(block_hash, height, _):
                    self._finalize(machine, block_hash, height)
                case ev.Halt(reason):
                    self.broken = self.broken or f"machine {machine.place} halts: {reason}"
                case _:
                    pass  # Kept certificates and accusations: nobody crashes here, and the twin is guilty.

    def _block(self, machine: Machine, view: int, parent_hash: bytes) -> bytes:
        block_hash = sha256(b"%d %d %s" % (machine.place, view, parent_hash)).digest()
        height = self.parents[parent_hash][1] + 1 if parent_hash in self.parents else 1
        self.parents[block_hash] = parent_hash, height
        return block_hash

    def _send(self, sender: Machine, receiver: int, message: Message) -> None:
        if receiver != sender.place and (self.healed or self.random.random() >= self.scenario.loss):
            self.messages.append((sender.place, receiver, message))

    def _reaches(self, sender: int, receiver: int) -> bool:
        groups = self.scenario.groups[self.round]
        return self.healed or groups[sender] == groups[receiver]

    def _finalize(self, machine: Machine, block_hash: bytes, height: int) -> None:
        machine.final.append(block_hash)
        if machine.place % VALIDATORS == 0:
            return  # What the twins believe is their own affair.
        if height != len(machine.final):
            self.broken = f"machine {machine.place} finalizes height {height} as number {len(machine.final)}"
        elif self.chain.setdefault(height, block_hash) != block_hash:
            self.broken = f"two final blocks at height {height}"


@contextmanager
def scheduled() -> Iterator[None]:
    """Within, the turn of a view is drawn by the scenario: its place in the schedule stands in its priorities."""
    replaced = {"first_turn": _first, "later_turn": _later}
    modules: list[Any] = [step_module, counting_module, tally_module, views_module]
    places = [(module, name) for module in modules for name in replaced if hasattr(module, name)]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, replaced[name])
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)


_leaders: list[int] = []


def _first(committee: Committee, epoch: int) -> Turn:
    return _turn(1)


def _later(committee: Committee, turn: Turn, views: int) -> Turn:
    return _turn(turn.priorities[0] + views)


def _turn(view: int) -> Turn:
    return Turn(_leaders[view - 1] if view <= len(_leaders) else view % VALIDATORS, (view,))


def play(scenario: Twins) -> tuple[str, int, int]:
    """What is broken, the steps taken, and the blocks that became final."""
    _leaders[:] = scenario.leaders
    played = Play(scenario)
    return played.run(), played.steps, len(played.chain)


def play_many(seed: int, number: int) -> dict[str, Any]:
    """Play so many scenarios and sum up; each that breaks something is kept."""
    began, steps, blocks, broken = process_time(), 0, 0, []
    with scheduled():
        for place in range(number):
            scenario = Twins.draw(Random(f"twins {seed} {place}"))
            failure, took, final = play(scenario)
            steps, blocks = steps + took, blocks + final
            if failure:
                broken.append({"seed": seed, "place": place, "failure": failure, "scenario": repr(scenario)})
    return {
        "scenarios": number,
        "steps": steps,
        "blocks": blocks,
        "seconds": round(process_time() - began, 1),
        "violations": broken,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = play_many(options.seed, options.scenarios)
    text = json.dumps(found, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")
    return 1 if found["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
