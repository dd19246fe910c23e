"""The inner products of the payloads of a round: exact, block by block, never a whole model.

A block of 256 codes of at most 7 in size multiplies in single precision without rounding: sums stay within
7 * 7 * 256 < 2^24, in whatever order a library adds. Times the two scales of the block, below 2^23 each, this is an
inner product of 256 numbers below 2^26, so below 2^60 in size: it fits 64 bits, and so does the product of the
scales. Two limbs add up without overflow: the low 32 bits and the rest, which is below 2^28 in size. With less than
2^25 blocks (2^32 parameters in 2^24 fragments) the sums stay below 2^57 and 2^53.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.blocks import BLOCK, PAYLOAD, Encoded, check_header, chunks, read_chunk

BLOCKS_LIMIT = 1 << 25
# How many codes are multiplied at once: they and the products of their blocks stay in cache.
WORK_CODES = 1 << 19
# So many rows of a block at once: OpenBLAS starts no threads below 64 rows, and waiting for them took 40 times as long.
TILE = 32


def gram_matrix(payloads: Sequence[Encoded], fragment_sizes: Sequence[int]) -> list[list[int]]:
    """The inner products of n payloads, units of 2^-48. Raises PayloadError on bad bytes."""
    for payload in payloads:
        check_header(PAYLOAD, payload, fragment_sizes)
    assert sum(-(-size // BLOCK) for size in fragment_sizes) < BLOCKS_LIMIT
    size = len(payloads)
    limbs = np.zeros((2, size, size), dtype=np.int64)
    for place in chunks(PAYLOAD, fragment_sizes):
        codes = np.empty((place.blocks, size, BLOCK), dtype=np.float32)
        steps = np.empty((place.blocks, size), dtype=np.int64)
        for row, payload in enumerate(payloads):
            mantissas, exponents, codes[:, row] = read_chunk(PAYLOAD, payload, place)
            steps[:, row] = mantissas << exponents
        _add_products(limbs, codes, steps)
    lower, upper = limbs.tolist()
    # Only tiles with row <= column were computed.
    return [
        [(upper[min(i, j)][max(i, j)] << 32) + lower[min(i, j)][max(i, j)] for j in range(size)] for i in range(size)
    ]


def _add_products(limbs: NDArray[np.int64], codes: NDArray[np.float32], steps: NDArray[np.int64]) -> None:
    """Add the inner products of some blocks, codes (blocks, rows, 256) times steps (blocks, rows), to the two limbs."""
    rows = codes.shape[1]
    blocks = max(1, WORK_CODES // (rows * BLOCK))
    for first in range(0, len(codes), blocks):
        part, step = codes[first : first + blocks], steps[first : first + blocks]
        for top in range(0, rows, TILE):
            for left in range(top, rows, TILE):
                across, down = slice(left, left + TILE), slice(top, top + TILE)
                products = np.matmul(part[:, down], part[:, across].transpose(0, 2, 1)).astype(np.int64)
                products *= step[:, down, None]
                products *= step[:, None, across]
                limbs[0, down, across] += (products & 0xFFFFFFFF).sum(axis=0)
                products >>= 32
                limbs[1, down, across] += products.sum(axis=0)
