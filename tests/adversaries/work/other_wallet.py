"""Sends its proofs under another wallet than the one that it is registered for."""

from dataclasses import dataclass, replace

from chain.block import Proof
from tests.adversaries.work.cheat import Cheat
from tests.builders import a_key


@dataclass
class OtherWallet(Cheat):
    def prove(self, proofs: list[Proof]) -> list[Proof]:
        moved = [replace(each, wallet=a_key("whoever").address) for each in proofs]
        return [replace(each, signature=self.key.sign(each.id(self._chain_id))) for each in moved]
