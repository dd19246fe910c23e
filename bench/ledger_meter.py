"""Where the time of some calls goes, by putting a clock around functions of the ledger while they run."""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

# Of each part the places by which the ledger calls it.
PARTS: Mapping[str, Sequence[str]] = {
    "signatures": ("chain.crypto.ecdsa:verify", "chain.crypto.bls:verify"),
    "hashing": (
        "chain.transactions:tagged_hash",
        "chain.address:tagged_hash",
        "chain.block:tagged_hash",
        "chain.transition:tagged_hash",
        "chain.block:merkle_root",
        "chain.transition:merkle_root",
    ),
    "tree": ("chain.tree:Update.apply",),
    "store": ("node.store:Store.append",),
}


@contextmanager
def metered() -> Iterator[dict[str, float]]:
    """Seconds of processor time by part, growing while the block of code runs; a part inside another counts once."""
    spent = dict.fromkeys(PARTS, 0.0)
    running: list[str] = []

    def clocked(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if running:
                return function(*arguments)
            running.append(part)
            begun = time.process_time()
            try:
                return function(*arguments)
            finally:
                spent[part] += time.process_time() - begun
                running.pop()

        return call

    replaced = []
    for part, places in PARTS.items():
        for place in places:
            owner, name = _owner(place)
            replaced.append((owner, name, getattr(owner, name)))
            setattr(owner, name, clocked(part, getattr(owner, name)))
    try:
        yield spent
    finally:
        for owner, name, original in reversed(replaced):
            setattr(owner, name, original)


def _owner(place: str) -> tuple[Any, str]:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    return owner, name
