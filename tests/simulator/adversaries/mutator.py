"""Changes some of what it sends: a bit, a byte, the length, or the kind."""

from network.kinds import KINDS
from tests.simulator.adversaries import Adversary, Outgoing

SHARE = 0.1  # of its messages


class Behaviour(Adversary):
    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        chance = self.random
        if chance.random() >= SHARE:
            yield key, kind, payload
            return
        changed = bytearray(payload)
        match chance.randrange(5):
            case 0 | 1 if changed:
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 2:
                del changed[chance.randrange(len(changed) + 1) :]
            case 3:
                changed += chance.randbytes(chance.randrange(1, 40))
            case _:
                kind = chance.choice(sorted(KINDS))
        yield key, kind, bytes(changed)
