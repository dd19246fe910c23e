"""Whole numbers divided and rounded half to even: the one rounding that the outer step knows."""

import numpy as np
from numpy.typing import NDArray


def divide_half_even(numbers: NDArray[np.int64], divisor: int) -> NDArray[np.int64]:
    """numbers / divisor in whole numbers, ties to even. `divisor` is even and positive."""
    assert divisor > 0 and divisor % 2 == 0
    low = numbers // divisor
    rest = numbers - low * divisor
    # `rest` plus the parity of `low` exceeds half a divisor exactly if the next number is nearer, or ties and is even.
    return low + (rest + (low & 1) > divisor // 2)


def shift_half_even(numbers: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """numbers / 2^bits, ties to even, for |numbers| < 2^62 and 1 <= bits <= 61."""
    odd = numbers >> bits
    odd &= 1
    odd += (1 << (bits - 1)) - 1
    odd += numbers
    odd >>= bits
    return odd
