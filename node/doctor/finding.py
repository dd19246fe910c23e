"""What a check finds. Nothing of ours but this may be needed to say that a package is missing."""

from dataclasses import dataclass
from pathlib import Path

OK, WARNING, PROBLEM = "ok", "warning", "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do if it is no good news. `problem`: a node cannot run like this."""

    verdict: str
    sentence: str
    advice: str = ""


def ok(sentence: str) -> Finding:
    return Finding(OK, sentence)


def warning(sentence: str, advice: str) -> Finding:
    return Finding(WARNING, sentence, advice)


def problem(sentence: str, advice: str) -> Finding:
    return Finding(PROBLEM, sentence, advice)


@dataclass(frozen=True, slots=True)
class Place:
    """What is to be checked: a data directory, which need not exist yet, and what a node there would be asked for."""

    directory: Path
    api: str | None = None
    device: str = "auto"
    memory: int | None = None
    network: Path | None = None  # a file
    peers: tuple[tuple[str, int], ...] = ()
    listen: tuple[str, int] | None = None

    @property
    def nearest(self) -> Path:
        """The directory, or the folder that exists above it."""
        return next(path for path in (self.directory, *self.directory.parents) if path.is_dir())


def plain(word: object) -> str:
    """A word from elsewhere, fit for a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(word)[:300])
