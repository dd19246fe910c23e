"""Models measured on held-out text, a few windows at a time, so that a round which can begin goes first."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.trainer_messages import Validate, Validated
from training.errors import CheckpointError
from training.evaluate import validation_parts
from training.model import FlatVector, NeuroLLM, load_flat

WAITING_MAXIMUM = 2  # models that a round may overtake; then the older one is measured first


class Measuring:
    """`base`: reads the weights of a model file. The model is shared with the inner loop."""

    def __init__(self, model: NeuroLLM, held_out: NDArray[np.uint16], base: Callable[[Path], FlatVector]) -> None:
        self.model, self.held_out, self.base = model, held_out, base
        self._waiting: deque[Validate] = deque()
        self._parts: Iterator[tuple[float, int]] | None = None
        self._total, self._windows = 0.0, 0
        self._is_loaded = False
        self._is_first = True

    def ask(self, command: Validate) -> None:
        """Measure this model too."""
        self._waiting.append(command)

    def __bool__(self) -> bool:
        """Whether there is anything to measure."""
        return bool(self._waiting)

    @property
    def is_pressing(self) -> bool:
        """Whether rounds have gone first for long enough: a trainer that is never idle shall still tell losses.

        The first model is measured at once: people want to see where it all begins.
        """
        return len(self._waiting) >= WAITING_MAXIMUM or bool(self._waiting and self._is_first)

    def disturbed(self) -> None:
        """Somebody else has used the model."""
        self._is_loaded = False

    def go_on(self) -> Validated | None:
        """Measure on some windows more; the result, once it is there. Raises CheckpointError if the file is damaged."""
        asked = self._waiting[0]
        if self._parts is None:
            self._parts = validation_parts(self.model, self.held_out)
            self._total, self._windows, self._is_loaded = 0.0, 0, False
        if not self._is_loaded:
            path = Path(asked.base)
            try:
                load_flat(self.model, self.base(path))
            except CheckpointError:
                self._finish()
                if path.exists():
                    raise
                return None  # The node has gone on by two rounds meanwhile and keeps it no more.
            self._is_loaded = True
        part = next(self._parts, None)
        if part is not None:
            self._total += part[0] * part[1]
            self._windows += part[1]
            return None
        self._finish()
        return Validated(asked.round, self._total / self._windows)

    def _finish(self) -> None:
        self._is_first = False
        self._waiting.popleft()
        self._parts = None
