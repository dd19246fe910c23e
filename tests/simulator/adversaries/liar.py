"""Answers questions with what is not so: how far it is, which blocks there are, what certifies them."""

from dataclasses import replace

from network.kinds import BLOCK, BLOCK_ABSENT, EPOCHS, MISSING, RANGE, SNAPSHOT, STATE, STATUS
from node.standing import Status
from tests.simulator.adversaries import Adversary, Outgoing

ANSWERS = {BLOCK, MISSING, RANGE, EPOCHS, STATE, SNAPSHOT, BLOCK_ABSENT}


class Behaviour(Adversary):
    def __init__(self) -> None:
        self._before: dict[int, bytes] = {}  # the last answer of each kind

    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        if kind == STATUS:
            yield key, kind, self._status(payload)
        elif kind in ANSWERS and self.random.random() < 0.7:
            yield from self._answer(key, kind, payload)
        else:
            yield key, kind, payload

    def _status(self, payload: bytes) -> bytes:
        """It is always the farthest, and connected to everybody."""
        status = Status.decode(payload)
        ahead = self.random.choice((0, 1, 3, 50, 100_000))
        lie = replace(
            status,
            height=status.height + ahead,
            block_hash=self.random.randbytes(32),
            epoch=status.epoch + self.random.choice((0, 1, 1_000)),
            reach=b"\xff" * len(status.reach),
        )
        return lie.encode()

    def _answer(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        """Nothing, an old answer to another question, or the true one spoilt."""
        before, self._before[kind] = self._before.get(kind), payload
        match self.random.randrange(3):
            case 0:
                return
            case 1 if before is not None:
                yield key, kind, before
            case _:
                spoilt = bytearray(payload)
                if spoilt:
                    spoilt[self.random.randrange(len(spoilt))] ^= 1 << self.random.randrange(8)
                yield key, kind, bytes(spoilt)
