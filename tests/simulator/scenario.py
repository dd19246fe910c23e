"""What one run of the simulator is like: everything follows from the seed, and each number may be set by hand."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from random import Random

from tests.simulator.adversaries import ADVERSARIES
from tests.simulator.links import Quality


@dataclass(frozen=True, slots=True)
class Scenario:
    """Times in virtual milliseconds; chances in thousandths; `..._ms` of a fault: mean time between two of them.

    Zero or an empty text means: not at all.
    """

    seed: int
    founders: int = 4  # bootstrap validators, of equal power
    stakers: int = 0  # validators that enter by stake, of unequal power, at the ends of epochs
    observers: int = 0  # that do not validate
    trainers: int = 0  # of all these, that train, so that money is made
    adversary: str = ""
    epoch_blocks: int = 6
    chaos_ms: int = 15_000  # for so long things go wrong
    latency_ms: int = 20
    jitter_ms: int = 20
    resend: int = 0
    lose: int = 0
    double: int = 0
    reorder: int = 0
    bytes_per_ms: int = 0
    crash_ms: int = 0
    blackout_ms: int = 0  # all crash at once
    power_cut_ms: int = 0  # a crash in the middle of writing
    partition_ms: int = 0
    disconnect_ms: int = 0
    skew_ms: int = 0  # wall clocks of the honest differ by up to so much
    transaction_ms: int = 800
    real_crypto: int = 0

    @property
    def validators(self) -> int:
        return self.founders + self.stakers

    @property
    def quality(self) -> Quality:
        numbers = self.latency_ms, self.jitter_ms, self.resend, self.lose, self.double
        return Quality(*numbers, bool(self.reorder), self.bytes_per_ms)

    @property
    def wild(self) -> bool:
        """Whether messages fare worse than TCP allows."""
        return bool(self.lose or self.double or self.reorder)

    def command(self) -> str:
        """The one command that does this again."""
        usual = generate(self.seed)
        names = [field.name for field in fields(self) if getattr(self, field.name) != getattr(usual, field.name)]
        words = "".join(f" {name}={getattr(self, name)}" for name in names)
        return f"make sim SEED={self.seed}" + (f' SET="{words.strip()}"' if words else "")


def generate(seed: int) -> Scenario:
    """The scenario of a seed."""
    chance = Random(f"scenario {seed}")
    founders = chance.choice((1, 3, 4, 4, 4, 5, 6, 7))
    stakers = chance.choice((0, 0, 1, 2, 3)) if founders < 6 else 0
    wild = chance.random() < 0.3

    def maybe(likely: float, *values: int) -> int:
        return chance.choice(values) if chance.random() < likely else 0

    return Scenario(
        seed=seed,
        founders=founders,
        stakers=stakers,
        observers=chance.choice((0, 0, 1)),
        trainers=chance.choice((0, 0, 1, 2)),
        adversary=chance.choice(ADVERSARIES) if founders >= 4 and chance.random() < 0.6 else "",
        epoch_blocks=chance.choice((4, 5, 6, 8, 12)),
        chaos_ms=chance.choice((8_000, 20_000, 40_000)),
        latency_ms=chance.choice((1, 5, 20, 60, 150)),
        jitter_ms=chance.choice((0, 5, 20, 100, 400)),
        resend=maybe(0.4, 5, 20, 80),
        lose=maybe(0.5, 5, 20, 80) if wild else 0,
        double=maybe(0.5, 5, 20, 80) if wild else 0,
        reorder=maybe(0.5, 1) if wild else 0,
        bytes_per_ms=maybe(0.2, 50, 500),
        crash_ms=maybe(0.6, 2_000, 6_000, 15_000),
        blackout_ms=maybe(0.2, 5_000, 15_000),
        power_cut_ms=maybe(0.4, 2_000, 6_000, 15_000),
        partition_ms=maybe(0.5, 3_000, 10_000),
        disconnect_ms=maybe(0.4, 300, 2_000, 8_000),
        skew_ms=maybe(0.5, 50, 500),
        transaction_ms=chance.choice((200, 800, 2_000)),
    )


def with_settings(scenario: Scenario, words: Iterable[str]) -> Scenario:
    """The scenario with `name=value` words applied. Raises ValueError with what is wrong."""
    changes: dict[str, int | str] = {}
    known = {field.name: field.type for field in fields(Scenario)}
    for word in words:
        name, _, value = word.partition("=")
        if name not in known or name == "seed":
            raise ValueError(f"{name!r} is none of {', '.join(sorted(known.keys() - {'seed'}))}")
        if name == "adversary":
            if value and value not in ADVERSARIES:
                raise ValueError(f"{value!r} is none of {', '.join(ADVERSARIES)}")
            changes[name] = value
        else:
            changes[name] = int(value)
    return replace(scenario, **changes)  # type: ignore[arg-type]
