"""Trains one round and claims it for ever: its proofs of later rounds are those of the first, or renamed copies."""

from dataclasses import dataclass, replace

from chain.block import Proof
from tests.adversaries.work.cheat import Cheat


@dataclass
class ReplayedProof(Cheat):
    first: tuple[Proof, ...] = ()

    def prove(self, proofs: list[Proof]) -> list[Proof]:
        self.first = self.first or tuple(proofs)
        return list(self.first)


@dataclass
class RenamedProof(ReplayedProof):
    """The states of the first round under the number of this one, signed anew."""

    def prove(self, proofs: list[Proof]) -> list[Proof]:
        old = super().prove(proofs)
        if old == proofs:
            return proofs
        renamed = [
            replace(new, state_before=kept.state_before, state_after=kept.state_after)
            for new, kept in zip(proofs, old, strict=True)
        ]
        return [replace(each, signature=self.key.sign(each.id(self._chain_id))) for each in renamed]
