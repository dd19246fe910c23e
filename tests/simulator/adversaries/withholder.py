"""Shows proposals, blocks and certificates to one half of the others, and its votes to some, for a while; in the end it
falls silent, with what it has said and nobody else can show."""

from network.kinds import BLOCK, CERTIFICATE, MISSING, PROPOSAL, RANGE, VOTE
from tests.simulator.adversaries import Adversary, Outgoing

WITHHELD = {PROPOSAL, BLOCK, MISSING, CERTIFICATE, RANGE}
SPELL_MS = 3_000  # for so long it behaves, then for so long it does not


class Behaviour(Adversary):
    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        favoured = key in self.half()
        if self.machine.world.faults.over and kind in WITHHELD | {VOTE}:
            return
        is_mean = self.machine.world.clock.now_ms // SPELL_MS % 2
        if kind in WITHHELD and not favoured:
            return
        if kind == VOTE and is_mean and (not favoured or self.random.random() < 0.5):
            return
        yield key, kind, payload
