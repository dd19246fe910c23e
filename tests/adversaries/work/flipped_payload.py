"""Trains honestly and publishes the opposite. No replay contradicts it: the payload is compared with the last state."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.adversaries.work.cheat import Cheat
from training.payload import encode_payload


@dataclass
class FlippedPayload(Cheat):
    def payload(self, base: NDArray[np.float32], theta: NDArray[np.float32]) -> bytes:
        return encode_payload(theta, base, self.school.learning.fragment_sizes)
