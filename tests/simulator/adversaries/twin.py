"""Two machines with one validator key, each with a record of votes of its own; neither minds the other."""

from typing import TYPE_CHECKING

from tests.simulator.adversaries import Adversary

if TYPE_CHECKING:
    from tests.simulator.runtime import SimRuntime


class Behaviour(Adversary):
    twins = 1

    def started(self, runtime: "SimRuntime") -> None:
        """It does not listen for a second machine with its key, and so never stops because of it."""
        node = self.machine.node
        assert node is not None
        node.replica.doppelganger.look = lambda message, epoch, state: None  # type: ignore[method-assign]
