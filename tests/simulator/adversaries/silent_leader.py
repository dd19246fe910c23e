"""Votes like everybody else and never proposes: every view that it leads has to be given up."""

from network.kinds import PROPOSAL
from tests.simulator.adversaries import Adversary, Outgoing


class Behaviour(Adversary):
    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        if kind != PROPOSAL:
            yield key, kind, payload
