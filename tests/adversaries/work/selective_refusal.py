"""Cheats in half of its segments and is silent when one of these is drawn; answers all other audits."""

from dataclasses import dataclass

from chain.state import Audit
from tests.adversaries.work.invented_states import InventedStates
from tests.audits.trainer import Blob


@dataclass
class RefusesOpening(InventedStates):
    """Does not even show what the states are made of."""

    def shows(self, audit: Audit) -> bool:
        return not self.cheats_in(audit.segment)


@dataclass
class RefusesServing(InventedStates):
    """Shows the roots, and serves nothing."""

    drawn: int | None = None

    def shows(self, audit: Audit) -> bool:
        self.drawn = audit.segment
        return True

    def serve(self, root: bytes, asker: bytes) -> Blob | None:
        return None if self.drawn is not None and self.cheats_in(self.drawn) else super().serve(root, asker)


@dataclass
class ServesGarbage(RefusesServing):
    """Sends as many bytes as are wanted, but others."""

    def serve(self, root: bytes, asker: bytes) -> Blob | None:
        honest = super(RefusesServing, self).serve(root, asker)
        if honest is None or super().serve(root, asker) is not None:
            return honest
        return bytes(len(honest)) if isinstance(honest, bytes) else honest + 1


@dataclass
class ServesFriends(RefusesServing):
    """Serves only validators that it knows to be kind."""

    friends: frozenset[bytes] = frozenset()

    def serve(self, root: bytes, asker: bytes) -> Blob | None:
        return super(RefusesServing, self).serve(root, asker) if asker in self.friends else None
