"""How far the payloads of a round agree: from their inner products alone, in whole numbers of 2^-16.

Honest payloads of one round point nearly the same way, each pair about as much as any other; measured in docs/lab.md.
So each payload is judged by the median of its cosines with the others, which a few colluding liars cannot lift, and
against the median of these, the *usual* cosine of the round. Two payloads that agree far more than usual come from
one source, and share one weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

UNIT = 1 << 16

Matrix = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Agreement:
    """cosines: of all pairs. medians: of each payload's cosines with the others. usual: the median of these."""

    cosines: list[list[int]]
    medians: list[int]
    usual: int

    @classmethod
    def of(cls, gram: Matrix) -> "Agreement":
        """Of at least two payloads. Of an even number of cosines the upper one in the middle counts, of medians the
        lower."""
        n = len(gram)
        cosines = [[cosine(gram[i][j], gram[i][i] * gram[j][j]) for j in range(n)] for i in range(n)]
        medians = [sorted(cosines[i][:i] + cosines[i][i + 1 :])[(n - 1) // 2] for i in range(n)]
        return cls(cosines, medians, sorted(medians)[(n - 1) // 2])

    def scores(self) -> list[int | None]:
        """Each payload's median against the usual one, at most 1 in size. None where the usual one is not positive."""
        if self.usual <= 0:
            return [None] * len(self.medians)
        return [max(-UNIT, min(median * UNIT // self.usual, UNIT)) for median in self.medians]

    def merits(self) -> list[int]:
        """What each payload deserves: its standing over the number of payloads of its source; 1 if none is usual."""
        found = []
        for place, score in enumerate(self.scores()):
            others = self.cosines[place][:place] + self.cosines[place][place + 1 :]
            same = UNIT + sum(self._likeness(each) for each in others)
            found.append(UNIT if score is None else standing(score) * UNIT // same)
        return found

    def _likeness(self, cosine: int) -> int:
        """0 up to a quarter of the way from the usual cosine to 1, then rising to 1."""
        begin = self.usual + (UNIT - self.usual) // 4
        return max(0, cosine - begin) * UNIT // (UNIT - begin) if begin < UNIT else 0


def standing(score: int) -> int:
    """Nothing up to a quarter of what is usual, all from three quarters on."""
    return max(0, min((4 * score - UNIT) // 2, UNIT))


def cosine(inner: int, squares: int) -> int:
    """inner / sqrt(squares), rounded towards zero; 0 with a vector of zeros."""
    if squares == 0:
        return 0
    size = isqrt(inner * inner * UNIT * UNIT // squares)
    return size if inner >= 0 else -size
