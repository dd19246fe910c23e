"""What each round did to the model, as this node measured it: rounds.jsonl, one line per measurement. Not consensus."""

import json
import math
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median_low

from node.failpoints import reach

ROUNDS_TIMED = 10


@dataclass(frozen=True, slots=True)
class Measured:
    """The loss of the model after `round` rounds on held-out text; `training_loss` of the round that led to it."""

    round: int
    validation_loss: float
    training_loss: float | None
    tokens: int
    time_ms: int


def finite(loss: float | None) -> float | None:
    """A loss as JSON can tell it: none if the model has diverged, or nothing has been measured."""
    return loss if loss is not None and math.isfinite(loss) else None


def is_later(after: Measured, one: Measured) -> bool:
    """In the round and by the clock, which somebody may have set."""
    return after.round > one.round and after.time_ms > one.time_ms


class RoundHistory:
    """Append-only; a damaged line is passed over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries: list[Measured] = []
        # After a kill the last line may lack its end.
        self._torn = False
        # Measurements are worth having, not worth refusing to start: what cannot be read is measured anew.
        with suppress(OSError):
            content = path.read_bytes()
            self._torn = bool(content) and not content.endswith(b"\n")
            for line in content.splitlines():
                try:
                    self.entries.append(Measured(**json.loads(line)))
                except (ValueError, TypeError):
                    continue

    def add(self, entry: Measured) -> None:
        if any(known.round == entry.round for known in self.entries):
            return
        self.entries.append(entry)
        line = "\n" * self._torn + json.dumps(asdict(entry)) + "\n"
        self._torn = False
        # A measurement is not worth ending the node for: a full disk will be reported by the ledger.
        with suppress(OSError):
            reach("history.before")
            with self.path.open("a") as file:
                file.write(line)
            reach("history.written")

    @property
    def first(self) -> float | None:
        return self.entries[0].validation_loss if self.entries else None

    @property
    def last(self) -> float | None:
        return self.entries[-1].validation_loss if self.entries else None

    @property
    def losses(self) -> tuple[float, ...]:
        """The last measurement and the one before it, as far as there are any."""
        return tuple(entry.validation_loss for entry in self.entries[-2:])

    @property
    def round_ms(self) -> int | None:
        """From the end of a round to the end of the next one: the median of the newest, as the node may have paused."""
        pairs = pairwise(self.entries[-ROUNDS_TIMED - 1 :])
        times = [
            (after.time_ms - one.time_ms) // (after.round - one.round) for one, after in pairs if is_later(after, one)
        ]
        return median_low(times) if times else None

    def has(self, round_number: int) -> bool:
        return any(entry.round == round_number for entry in self.entries)
