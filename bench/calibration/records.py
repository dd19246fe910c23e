"""Results as lines of JSON, appended by many processes."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from training.inner import InnerState
from training.model import FlatVector
from training.replay import Tolerances, compare

# Only to compute distances: the bounds come from them.
ANY = Tolerances(100_000, 1_000_000, 1_000_000)


def append(path: Path, record: dict[str, Any]) -> None:
    """Add one line in one write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def read(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """All whole lines; a process that was ended may have left half of one."""
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                yield json.loads(line)
            except ValueError:
                continue


def distances(before: InnerState, claimed: InnerState, replayed: InnerState) -> dict[str, Any]:
    """What a record says of two ends of a segment, also by plainer measures than the protocol's."""
    found = compare(before, claimed, replayed, ANY)
    return {
        "theta": _short(found.theta),
        "m": _short(found.m),
        "v": _short(found.v),
        "m_plain": _short(_apart(claimed.m, replayed.m, 0)),
        "v_plain": _short(_apart(claimed.v, replayed.v, 0)),
        "moved": _short(float(np.linalg.norm(replayed.theta.astype(np.float64) - before.theta))),
    }


def _apart(one: FlatVector, other: FlatVector, start: float) -> float:
    away = float(np.linalg.norm(one.astype(np.float64) - other))
    return away / max(float(np.linalg.norm(other.astype(np.float64) - start)), 1e-300)


def _short(number: float) -> float | None:
    """Four digits; None for what is not finite."""
    return float(f"{number:.4g}") if np.isfinite(number) else None
