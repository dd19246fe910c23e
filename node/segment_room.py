"""How much room the states of segments may take on the disk, and what happens when it is used up.

A round begins only if all its states will fit beside what audits still want of earlier rounds: a node that could not
show a state would lose the round's reward. So nothing that is wanted is ever removed for want of room. While there is
too little, the trainer waits for the node to remove what is spent, then says what is missing and tries again later.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from node.errors import NodeError, TrainerError
from node.segment_store import VALUE_BYTES, SegmentStore
from node.template import Learning

USUAL_BYTES = 2 * 10**9
# The round in training, the one before until it is drawn which of its states an audit wants, and what others left.
USUAL_ROUNDS, LEAST_ROUNDS = 3, 2
PATIENCE_SECONDS = 20.0
LOOK_SECONDS = 0.2


class SegmentDiskLimit(NodeError):
    """The states of two rounds take more than the user allows."""


def round_bytes(learning: Learning) -> int:
    """What the states of one round take: three vectors after every segment, and one at the start."""
    return VALUE_BYTES * learning.parameters * (3 * learning.inner.segments + 1)


def limit_of(learning: Learning, wish: int | None) -> int:
    """Bytes that the states may take."""
    return max(USUAL_BYTES, USUAL_ROUNDS * round_bytes(learning)) if wish is None else wish


def check_segment_disk(learning: Learning, wish: int | None) -> None:
    """Raise SegmentDiskLimit if rounds could not follow one another within what the user allows."""
    least = LEAST_ROUNDS * round_bytes(learning)
    if limit_of(learning, wish) < least:
        raise SegmentDiskLimit(
            f"the states of a round's segments are kept until it is audited, and those of two rounds take "
            f"{megabytes(least)}: raise --segment-disk to at least that, or start with --no-training"
        )


@dataclass(frozen=True, slots=True)
class RoomFor:
    """A round that wants to begin; `is_over` says when nobody wants that any more."""

    round: int
    is_over: Callable[[], bool]

    def comes(self, states: SegmentStore, learning: Learning, wish: int | None) -> bool:
        """Wait until it may begin; False: it is over. Raises TrainerError if there is no room for long."""
        need, limit = round_bytes(learning), limit_of(learning, wish)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (others := states.bytes_besides(self.round)) + need > limit:
            if self.is_over():
                return False
            if time.monotonic() >= deadline:
                raise TrainerError(
                    f"round {self.round} is not trained: audits still want {megabytes(others)} of earlier rounds' "
                    f"states, this one takes {megabytes(need)}, and --segment-disk allows {megabytes(limit)}; wait for "
                    f"the audits to end, or raise it to at least {megabytes(others + need)}"
                )
            time.sleep(LOOK_SECONDS)
        return True


def megabytes(size: int) -> str:
    """Rounded up, as the setting can be written."""
    return f"{-(-size // 10**6)}MB"
