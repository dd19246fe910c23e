"""What goes wrong in a scenario, until its chaos is over; then everything is well again and stays so."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.simulator.links import Quality

if TYPE_CHECKING:
    from tests.simulator.machine import Machine
    from tests.simulator.world import World

AWAY_MS = 5_000  # the longest that a machine stays down
APART_MS = 6_000  # the longest that a partition lasts
WRITES = 30  # power is cut at one of so many writes from now


class Faults:
    """Draws faults at the scenario's rates."""

    def __init__(self, world: "World") -> None:
        self.world, self.clock, self.random = world, world.clock, world.clock.random("faults")
        self.over = False

    def start(self) -> None:
        scenario = self.world.scenario
        for mean_ms, fault in (
            (scenario.crash_ms, self._crash),
            (scenario.blackout_ms, self._crash_all),
            (scenario.power_cut_ms, self._cut_power),
            (scenario.partition_ms, self._divide),
            (scenario.disconnect_ms, self._disconnect),
        ):
            if mean_ms:
                self._again(mean_ms, fault)
        self.clock.at(scenario.chaos_ms, self.end)

    def away_ms(self) -> int:
        """How long a machine stays down."""
        return self.random.randrange(50, AWAY_MS if not self.over else 500)

    def end(self) -> None:
        """All that is honest runs and reaches each other from now on."""
        self.over = True
        self.clock.log("world", "calm")
        world = self.world
        world.watch.calm()
        quality = world.scenario.quality
        world.links.heal()
        world.links.quality = Quality(quality.latency_ms, min(quality.jitter_ms, 50))
        for machine in world.machines:
            machine.disk.cut_at = None
            if machine.runtime is None and machine.honest:
                self.clock.at(self.random.randrange(1, 100), machine.boot)

    def _again(self, mean_ms: int, fault: Callable[[], None]) -> None:
        def happen() -> None:
            if not self.over:
                fault()
                self._again(mean_ms, fault)

        self.clock.at(self.random.randrange(mean_ms // 4, 2 * mean_ms), happen)

    def _victim(self) -> "Machine | None":
        up = [machine for machine in self.world.machines if machine.runtime is not None]
        return self.random.choice(up) if up else None

    def _crash(self) -> None:
        victim = self._victim()
        if victim is not None:
            victim.crash(self.away_ms())

    def _crash_all(self) -> None:
        """At one moment, and they come back at about the same time: nobody remembers what is on no disk."""
        back_ms = self.random.randrange(50, 500)
        for machine in self.world.machines:
            machine.crash(back_ms + self.random.randrange(200))

    def _cut_power(self) -> None:
        victim = self._victim()
        if victim is not None:
            victim.disk.arm(self.random.randrange(1, WRITES))

    def _divide(self) -> None:
        """One is alone, or all fall into two or three groups."""
        places = [machine.place for machine in self.world.machines]
        self.random.shuffle(places)
        if self.random.random() < 0.4:
            groups = [places[:1], places[1:]]
        else:
            number = self.random.randrange(2, 4)
            groups = [places[first::number] for first in range(number)]
        self.clock.log("world", f"divided into {groups}")
        self.world.links.divide(groups)
        self.clock.at(self.random.randrange(200, APART_MS), self.world.links.heal)

    def _disconnect(self) -> None:
        connected = sorted(self.world.links.connections)
        if connected:
            self.world.links.break_up(self.random.choice(connected), self.random.choice((1, 200, 3_000)))
