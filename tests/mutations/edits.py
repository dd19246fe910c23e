"""What an injected bug is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace a text in a file of the repository."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Mutation:
    """An injected bug. `tests`: what to run, in this order, until a test fails."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
