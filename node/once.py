"""Signing is deterministic, and what this node says is asked for at every block: so each thing is signed once."""

from collections.abc import Callable, Hashable
from typing import TypeVar, cast

SIGNED_MAXIMUM = 4_096

T = TypeVar("T")


class Once:
    """What `make` gave for a draft, remembered for some thousand drafts."""

    def __init__(self) -> None:
        self._known: dict[Hashable, object] = {}

    def __call__(self, draft: Hashable, make: Callable[[], T]) -> T:
        if (known := self._known.get(draft)) is not None:
            return cast(T, known)
        if len(self._known) >= SIGNED_MAXIMUM:
            self._known.clear()
        made = self._known[draft] = make()
        return made
