"""What agreeing on a block costs one validator, without blocks and network: `consensus.step` on real signatures.

.venv/bin/python -m bench consensus_core

One validator that does not lead hears a healthy network: the proposal, everybody's votes in a random order, and the two
certificates from everybody else. The reference of a view's cost is checking each of these votes alone when it comes.
"""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from bench.figure import report
from chain.crypto import bls
from chain.crypto.hashing import tagged_hash
from consensus.certificate import certify, verify_vote
from consensus.committee import Committee, Member, first_turn, next_turn
from consensus.events import Built, CastVote, Event, Judge, Judged, Received, Signed
from consensus.messages import FINALIZE, NOTARIZE, Proposal, Vote, vote_message
from consensus.state import Epoch, State
from consensus.step import start, step
from tests.consensus.network import World

SIZES = (4, 16, 64, 128)
CHAIN, ANCHOR = tagged_hash("bench", b"chain"), tagged_hash("bench", b"anchor")
WORLD_VIEWS = 300


class Counted:
    """The real signatures; counts checks, each of two pairings and one final exponentiation."""

    def __init__(self) -> None:
        self.checks = 0

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return bls.verify(public_key, message, signature)

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        return bls.aggregate(signatures)

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        self.checks += 1
        return bls.fast_aggregate_verify(public_keys, message, signature)


@dataclass
class Cost:
    """Of all views together."""

    views: int = 0
    seconds: float = 0.0
    checks: int = 0
    eager_seconds: float = 0.0


class Listener:
    """The validator that is measured: number 0 of a committee whose secrets are all known."""

    def __init__(self, members: int) -> None:
        self.secrets = sorted(range(1, members + 1), key=bls.public_key)
        committee = Committee(tuple(Member(bls.public_key(secret), 1) for secret in self.secrets))
        self.epoch = Epoch(CHAIN, 0, committee, 0, ANCHOR, 0, 1 << 40)
        self.scheme = Counted()
        self.state: State = start(self.epoch, scheme=self.scheme)[0]
        self.turn = first_turn(committee, 0)
        self.random = random.Random(members)
        self.cost = Cost()

    def votes(self, kind: int, view: int, block: bytes) -> list[Vote]:
        message = vote_message(CHAIN, kind, 0, view, block)
        return [Vote(kind, 0, view, block, place, bls.sign(each, message)) for place, each in enumerate(self.secrets)]

    def hear_view(self, parent: bytes, is_measured: bool) -> bytes:
        """One view in which all goes well; returns its block. The first ones fill caches and are not measured."""
        view, members = self.state.view, len(self.secrets)
        block = sha256(parent).digest()
        votes = {kind: self.votes(kind, view, block) for kind in (NOTARIZE, FINALIZE)}
        leader = votes[NOTARIZE][self.turn.leader]
        proposal = Proposal(0, view, view - 1, parent, block, view, leader)
        events: list[Event] = [Received(b"%d" % leader.signer, proposal) if leader.signer else Built(view, block)]
        for kind, alike in votes.items():
            heard = [vote for vote in alike if vote.signer != 0 and (kind == FINALIZE or vote != leader)]
            self.random.shuffle(heard)
            events += [Received(b"%d" % vote.signer, vote) for vote in heard]
            quorum = {vote.signer: vote for vote in alike[: 2 * members // 3 + 1]}
            events += [Received(b"%d" % vote.signer, certify(quorum, members)) for vote in heard]
        own = {kind: Signed(alike[0]) for kind, alike in votes.items()}
        self._run(events, own, view, is_measured and self.turn.leader != 0)
        if is_measured and self.turn.leader != 0:
            began = time.process_time()
            for vote in [*votes[NOTARIZE], *votes[FINALIZE]]:
                verify_vote(vote, self.epoch.committee, CHAIN)
            self.cost.eager_seconds += time.process_time() - began
        self.turn = next_turn(self.epoch.committee, self.turn)
        return block

    def _run(self, events: list[Event], own: dict[int, Signed], view: int, is_measured: bool) -> None:
        waiting, before = list(reversed(events)), self.scheme.checks
        began = time.process_time()
        while waiting:
            self.state, effects = step(self.state, waiting.pop(), self.epoch, self.scheme)
            for effect in effects:
                if isinstance(effect, Judge):
                    waiting.append(Judged(effect.view, effect.block_hash, True))
                elif isinstance(effect, CastVote) and effect.view == view:
                    waiting.append(own[effect.kind])
        if is_measured:
            self.cost.views += 1
            self.cost.seconds += time.process_time() - began
            self.cost.checks += self.scheme.checks - before
        assert self.state.root.view == view, "the block should be final"


def measure(members: int, views: int) -> None:
    listener, block = Listener(members), ANCHOR
    for number in range(2 + views):
        block = listener.hear_view(block, is_measured=number >= 2)
    cost = listener.cost
    each_us, eager_us = cost.seconds / cost.views * 1e6, cost.eager_seconds / cost.views * 1e6
    note = "one validator's steps in a view, processor time; reference: each of its votes checked alone"
    report(f"core_view_us_{members}", each_us, "µs", eager_us, note)
    note = "pairing checks of one validator in a view; reference: one for each vote"
    report(f"core_checks_{members}", cost.checks / cost.views, "checks", 2 * members, note)


def measure_world(members: int, views: int) -> None:
    """The whole network in one process, with hashes for signatures: what the rules themselves cost."""
    best = 0.0
    for _ in range(5):
        world = World(seed=1, keys=members, epoch_length=100)
        world.boot()
        began = time.process_time()
        world.run(10**9, until_height=views)
        best = max(best, world.lowest() / (time.process_time() - began))
    report(f"core_world_views_per_s_{members}", best, "views/s", 1_000 if members == 4 else None, "best of 5, one core")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench consensus_core")
    parser.add_argument("--views", type=int, default=12)
    parser.add_argument("--members", type=int, nargs="*", default=SIZES)
    options = parser.parse_args(arguments)
    bls.use("pyblst")
    for members in options.members:
        measure(members, options.views)
    measure_world(4, WORLD_VIEWS)
    measure_world(16, WORLD_VIEWS // 8)
