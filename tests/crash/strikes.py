"""A life with one failpoint armed, and the lives after it."""

from dataclasses import dataclass

from node.failpoints import NAMES
from tests.crash.lives import Lives

# Only in the first life of a directory.
FIRST = ("schema.", "network.", "password.", "keystore.", "node-key.", "api-token.", "ledger.genesis.")
FIRST += ("sign-state.new.",)
# The trainer passes these, the node goes on.
TRAINER = ("payload.", "averages.", "work.", "segments.line.", "segments.part.", "tokens.")
ATTEMPTS = 8


def is_first(name: str) -> bool:
    return name.startswith(FIRST)


def is_trainers(name: str) -> bool:
    return name.startswith(TRAINER)


@dataclass(frozen=True)
class Struck:
    """How the life with the failpoint ended: its status, and what was said of it."""

    status: int
    words: str


def strike(lives: Lives, failpoint: str) -> Struck:
    """Live until the failpoint is met. It may take several lives: some places are passed only when a round goes on."""
    for _ in range(ATTEMPTS):
        failures, segments = len(lives.of("failed")), len(lives.of("segment"))
        lives.start(failpoint)

        def met(failures: int = failures, segments: int = segments) -> bool:
            """The trainer has failed, or this life has trained for so long that it will not come."""
            return len(lives.of("failed")) > failures or len(lives.of("segment")) > segments + 10

        lives.until_or_dead(met)
        failed = lives.of("failed")[failures:]
        assert lives.process is not None
        status = lives.process.poll()
        lives.kill_all()
        if status is not None:
            return Struck(status, lives.last_words())
        if failed:
            return Struck(0, failed[0]["message"])
    raise AssertionError(f"{failpoint} is never met")


def go_on(lives: Lives, and_train: bool) -> None:
    """Live on without a failpoint until there is a new block, and a new segment if wanted; then be killed."""
    blocks, segments = len(lives.of("final")), len(lives.of("segment"))
    lives.start()
    lives.until(lambda: len(lives.of("final")) > blocks)
    if and_train:
        lives.until(lambda: len(lives.of("segment")) > segments)
    lives.kill_all()


assert all(any(name.startswith(prefix) for name in NAMES) for prefix in (*FIRST, *TRAINER))
