"""Training, made up: segments and payloads come after a while, the same again after a crash, and the ledger pays."""

from collections.abc import Callable
from hashlib import sha256
from typing import TYPE_CHECKING

from chain.block import Outcome, state_hash
from chain.crypto.hashing import ZERO, tagged_hash
from chain.state import State
from node.round_driver import RoundDriver
from node.trainer_messages import Abandon, Command, RoundDone, SegmentDone, Train, WrapUp
from tests.simulator.runtime import SimRuntime

if TYPE_CHECKING:
    from tests.simulator.machine import Machine

SEGMENT_MS = 150  # about so long a segment takes
LOST_ONE_IN = 8  # rounds that begin fresh although the ledger knows averages


class MadeUpOutcomes:
    """In place of `node.outcomes.Outcomes`: every payload is here and sound, every outer step has some result."""

    model_path = "none"

    def __init__(self, state: Callable[[], State]) -> None:
        self.state = state

    @property
    def model_root(self) -> bytes:
        """The newest model is always here."""
        return self.state().ledger.model.outer_root

    def holds(self, claimed: object) -> bool | None:
        return True

    def prepared(self, counted_root: bytes, outer_root: bytes) -> Outcome | None:
        roots = (tagged_hash("simulated", name, counted_root, outer_root) for name in (b"m", b"w", b"v", b"a", b"t"))
        return Outcome(counted_root, *roots)


class MadeUpTrainer:
    """What `node.trainer.Trainer` is to the driver. `news` is told when there is more to say."""

    def __init__(self, machine: "Machine", runtime: SimRuntime, driver: RoundDriver, news: Callable[[], None]) -> None:
        self.machine, self.runtime, self.driver, self.news = machine, runtime, driver, news
        self.segments = machine.world.network.params.segments
        self.round = 0
        self.began_with = ZERO
        driver.ask = self.ask

    def ask(self, command: Command) -> None:
        match command:
            case Train(round=number, averages_root=averages_root) if number != self.round:
                self.round = number
                is_lost = self._named(number, "lost")[0] % LOST_ONE_IN == 0
                self.began_with = ZERO if is_lost else averages_root
                self.machine.disk.averages[number] = self.began_with
                self._next(number, 0)
            case Abandon():
                self.round = 0
            case WrapUp():
                pass  # It is quick enough.
            case _:
                pass

    def _next(self, number: int, segment: int) -> None:
        delay = self.runtime.random.randrange(1, 2 * SEGMENT_MS)
        self.runtime.later(delay, lambda: self._done(number, segment) if number == self.round else None)

    def _done(self, number: int, segment: int) -> None:
        driver = self.driver
        if segment == self.segments:
            parts = self._parts(number, segment - 1)
            driver.add_payload(RoundDone(number, segment, self._named(number, "payload"), 1_000, *parts))
        else:
            root, now = state_hash(*self._parts(number, segment)), self.runtime.wall_ms()
            driver.add_segment(SegmentDone(number, segment, root, 9_000 - segment, 1 << 20, now, 1, self.began_with))
            self._next(number, segment + 1)
        self.news()

    def _parts(self, number: int, segment: int) -> tuple[bytes, bytes, bytes]:
        return parts_of(self.machine.name, number, segment)

    def _named(self, number: int, what: str) -> bytes:
        return named(self.machine.name, number, what)


def named(machine: str, number: int, what: str) -> bytes:
    return sha256(f"{machine} {number} {what}".encode()).digest()


def parts_of(machine: str, number: int, segment: int) -> tuple[bytes, bytes, bytes]:
    """Roots of the weights and moments after a segment."""
    theta, m, v = (named(machine, number, f"{what} {segment}") for what in ("theta", "m", "v"))
    return theta, m, v
