"""Sends much: the same again, questions without end, votes for views to come, and bytes that mean nothing."""

from dataclasses import replace
from typing import TYPE_CHECKING

from chain.crypto import bls
from chain.crypto.votes import Vote, vote_message
from consensus.messages import CertificateRequest
from network.kinds import BLOCK_REQUEST, CERTIFICATE_REQUEST, KINDS, RANGE_REQUEST, TRANSACTION_REQUEST, VOTE
from tests.simulator.adversaries import Adversary, Outgoing

if TYPE_CHECKING:
    from tests.simulator.runtime import SimRuntime

PAUSE_MS = 100
BURST = 6  # messages to one peer at a time


class Behaviour(Adversary):
    def __init__(self) -> None:
        self._votes: list[bytes] = []

    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        if kind == VOTE:
            self._votes = [*self._votes[-50:], payload]
        yield key, kind, payload

    def started(self, runtime: "SimRuntime") -> None:
        runtime.later(PAUSE_MS, lambda: self._flood(runtime))

    def _flood(self, runtime: "SimRuntime") -> None:
        peers = self.peers()
        if peers:
            key = self.random.choice(peers)
            for _ in range(self.random.randrange(1, BURST)):
                self._one(key)
        runtime.later(PAUSE_MS, lambda: self._flood(runtime))

    def _one(self, key: bytes) -> None:
        chance = self.random
        match chance.randrange(5):
            case 0 if self._votes:
                self.say(key, VOTE, chance.choice(self._votes))
            case 1 if self._votes:
                self.say(key, VOTE, self._ahead(Vote.decode(self._votes[-1])))
            case 2:
                epoch = max(self.machine.world.watch.committees, default=0)
                self.say(key, CERTIFICATE_REQUEST, CertificateRequest(epoch, 0, 1 << 40).encode())
            case 3:
                self.say(key, chance.choice((BLOCK_REQUEST, RANGE_REQUEST, TRANSACTION_REQUEST)), chance.randbytes(32))
            case _:
                self.say(key, chance.choice(sorted(KINDS)), chance.randbytes(chance.randrange(200)))

    def _ahead(self, vote: Vote) -> bytes:
        """A vote of its own for a view that is far away."""
        view = vote.view + self.random.choice((1, 5, 9, 1_000, 1 << 40))
        message = vote_message(self.machine.world.network.chain_id, vote.kind, vote.epoch, view, vote.block_hash)
        signature = bls.sign(self.machine.identity.validator_secret, message)
        return replace(vote, view=view, signature=signature).encode()
