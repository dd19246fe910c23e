"""Changes some of what it sends: a bit, the length, the kind, or just the signature of a vote."""

from chain.crypto.bls import SIGNATURE_BYTES
from network.kinds import KINDS, VOTE
from tests.simulator.adversaries import Adversary, Outgoing

SHARE = 0.1  # of its messages


class Behaviour(Adversary):
    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        chance = self.random
        if chance.random() >= SHARE:
            yield key, kind, payload
            return
        changed = bytearray(payload)
        if kind == VOTE and chance.random() < 0.5:
            changed[-1 - chance.randrange(SIGNATURE_BYTES - 1)] ^= 1 << chance.randrange(8)
            yield key, kind, bytes(changed)
            return
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
