"""Killed twenty times at random moments, a node loses nothing, contradicts itself nowhere, and does no work twice."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from node.failpoints import NAMES
from tests.crash.kills import Seen, kill_many
from tests.crash.lives import Lives
from tests.crash.promises import broken, verified
from tests.crash.strikes import go_on

KILLS = 20
pytestmark = pytest.mark.timeout(300)


@dataclass
class Killed:
    lives: Lives
    seed: int
    seen: Seen
    broken: list[str]
    verified: dict[str, Any]
    places: set[str]

    @property
    def replay(self) -> str:
        return f"again with: make crash N={KILLS} SEED={self.seed}"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, tokens: Path) -> Killed:
    folder = tmp_path_factory.mktemp("killed")
    seed = int(os.environ.get("CRASH_SEED") or secrets.randbelow(1 << 32))
    print(f"seed {seed}; again with: make crash N={KILLS} SEED={seed}")
    notes = folder / "notes"
    lives = Lives(folder, environment={"NEUROSHARD_FAILPOINT": f"note:{notes}"})
    try:
        first_lives(lives, tokens)
        seen = kill_many(lives, seed, KILLS)
        last_life(lives)
    finally:
        if lives.process is not None:
            lives.kill_all()
    return Killed(lives, seed, seen, broken(lives), verified(lives), set(notes.read_text().split()))


def first_lives(lives: Lives, tokens: Path) -> None:
    """From an empty folder to a closed round: makes wallet and network, and learns."""
    go_on(lives, and_train=False)
    lives.cheapen_wallet()
    lives.with_tokens(tokens)
    lives.start()
    lives.until(lambda: any(entry["round"] == 2 for entry in lives.of("segment")))
    lives.kill_all()


def last_life(lives: Lives) -> None:
    """Goes on as if nothing had been, up to one more closed round, and ends when it is asked to."""
    lives.start()
    last = max(entry["round"] for entry in lives.of("segment"))
    lives.until(lambda: any(entry["round"] >= last + 1 for entry in lives.of("segment")))
    assert lives.end() == 0, lives.last_words()


def test_no_promise_is_broken(killed: Killed) -> None:
    assert killed.broken == [], killed.replay


def test_everything_executes_again_and_every_nano_is_accounted_for(killed: Killed) -> None:
    found = killed.verified
    final = killed.lives.of("final")[-1]["height"]
    assert found["ok"] and found["blocks"] >= final and found["rounds_void"] == 0, killed.replay
    assert found["proofs"] == len({(e["round"], e["segment"]) for e in killed.lives.of("segment")}) - unproven(killed)


def unproven(killed: Killed) -> int:
    """Segments of the round that was in training at the end, which no block holds yet."""
    rounds = [entry["round"] for entry in killed.lives.of("segment")]
    heard = len({e["segment"] for e in killed.lives.of("segment") if e["round"] == max(rounds)})
    proven = killed.verified["proofs"] - killed.verified["rounds_closed"] * 4
    assert 0 <= proven <= heard, killed.replay
    return heard - proven


def test_every_life_ended_by_being_killed(killed: Killed) -> None:
    assert sum(killed.seen.kills.values()) == KILLS
    assert "Traceback" not in (killed.lives.folder / "out").read_text()


def test_a_short_life_passes_every_failpoint(killed: Killed) -> None:
    assert killed.places == set(NAMES), killed.replay
