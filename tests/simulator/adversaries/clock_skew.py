"""Its wall clock is hours off, runs fast or slow, and is set back and forth while it runs."""

from tests.simulator.adversaries import Adversary

HOUR_MS = 3_600_000
PHASE_MS = 2_000


class Behaviour(Adversary):
    def wall_ms(self, true_ms: int) -> int:
        phase = self.machine.world.clock.now_ms // PHASE_MS
        place = self.machine.place
        match (phase + place) % 5:
            case 0:
                return true_ms + 3 * HOUR_MS
            case 1:
                return true_ms - 5 * HOUR_MS
            case 2:
                return true_ms + 7 * (self.machine.world.clock.now_ms % PHASE_MS)
            case 3:
                return true_ms - 1_500
            case _:
                return true_ms
