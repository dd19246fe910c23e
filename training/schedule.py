"""How a round is trained, as genesis states it in integers, and the learning rate of every step.

The rate is computed in whole nanos (10⁻⁹), so that every node and auditor has the same one:

    g = round · round_steps + step                                        global step
    rate = peak · min(g + 1, warmup) · min(step + 1, rewarm) // (warmup · rewarm)
    rate = rate · isqrt(10¹² · hold // g) // 10⁶                          once g > hold: falls as 1/sqrt(g)
    rate = at least floor, once g > hold

The re-warm-up is there because AdamW's first moments start at zero in every round, in a node's first round the second
moments too: the first steps would otherwise move every weight by the full rate in a direction that one batch decides.
"""

from dataclasses import dataclass
from math import isqrt

from training.errors import ConfigError

NANOS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class InnerSpec:
    """The inner loop: AdamW (Loshchilov and Hutter 2019) on `round_steps` batches of `sequences` × `length`."""

    round_steps: int
    segment_steps: int
    sequences: int
    length: int
    peak_rate_nanos: int
    floor_rate_nanos: int
    warmup_steps: int
    rewarm_steps: int
    hold_steps: int
    beta1_milli: int
    beta2_milli: int
    weight_decay_micros: int
    clip_milli: int

    def __post_init__(self) -> None:
        free = ("weight_decay_micros", "floor_rate_nanos")
        for name in self.__slots__:
            if getattr(self, name) < (0 if name in free else 1):
                raise ConfigError(f"{name} is {getattr(self, name)}, which is too small")
        if self.round_steps % self.segment_steps:
            raise ConfigError(f"{self.round_steps} steps are no whole number of segments of {self.segment_steps}")
        if max(self.beta1_milli, self.beta2_milli) >= 1000:
            raise ConfigError(f"betas of {self.beta1_milli} and {self.beta2_milli} thousandths must be below 1000")

    @property
    def segments(self) -> int:
        """Segments of a round."""
        return self.round_steps // self.segment_steps

    @property
    def batch_tokens(self) -> int:
        """Tokens that one step trains on."""
        return self.sequences * self.length


def learning_rate_nanos(spec: InnerSpec, round_number: int, step: int) -> int:
    """The learning rate of a step (from 0 within its round), in 10⁻⁹."""
    assert 0 <= step < spec.round_steps and round_number >= 0
    total = round_number * spec.round_steps + step
    rate = spec.peak_rate_nanos * min(total + 1, spec.warmup_steps) * min(step + 1, spec.rewarm_steps)
    rate //= spec.warmup_steps * spec.rewarm_steps
    if total > spec.hold_steps:
        slowed = rate * isqrt(10**12 * spec.hold_steps // total) // 10**6
        # The floor must not lift the re-warm-up.
        rate = min(rate, max(slowed, spec.floor_rate_nanos))
    return rate


def learning_rate(spec: InnerSpec, round_number: int, step: int) -> float:
    """The learning rate of a step, the 64-bit float nearest to the nanos."""
    return learning_rate_nanos(spec, round_number, step) / NANOS
