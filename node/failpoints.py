"""Named places around everything that is written, where a test can end the process or make the disk fail.

NEUROSHARD_FAILPOINT=name[=action][@n] arms one place: at its n-th passing (the first, if n is not given) the process
is killed (`kill`), or the write fails with a full disk (`enospc`) or a broken one (`eio`); a disk that has failed once
goes on failing there. NEUROSHARD_FAILPOINT=note:FILE writes every place that is passed into a file, once, and
harms nothing. Without the variable a passing costs one comparison.

The moments of a file that is replaced as a whole: `before` anything is written; the draft is `written`; it is `synced`;
it is `renamed` into its place; its folder is synced too, so that it is `durable`.
"""

import errno
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from node.errors import NodeError

VARIABLE = "NEUROSHARD_FAILPOINT"
MOMENTS = ("before", "written", "synced", "renamed", "durable")
ACTIONS = {"kill": 0, "enospc": errno.ENOSPC, "eio": errno.EIO}


def _moments(*files: str) -> tuple[str, ...]:
    return tuple(f"{file}.{moment}" for file in files for moment in MOMENTS)


NAMES = (
    *_moments("schema", "network", "password", "node-key", "api-token", "api-note"),
    *("keystore.before", "keystore.written", "keystore.synced", "keystore.named", "keystore.durable"),
    *_moments("sign-state.new"),
    *("sign-state.vote.before", "sign-state.vote.written", "sign-state.vote.durable"),
    *(f"ledger.{what}.{moment}" for what in ("genesis", "hold", "keep", "append") for moment in ("before", "durable")),
    *_moments("model.candidate"),
    *("model.accept.before", "model.accept.renamed", "model.accept.durable", "model.accept.tidied"),
    *_moments("payload", "averages"),
    *("work.begin", "work.line.before", "work.line.written"),
    *("work.resume.before", "work.resume.written", "work.resume.renamed"),
    *("segments.line.before", "segments.line.written"),
    *("segments.part.before", "segments.part.written", "segments.part.renamed"),
    *("segments.prune.before", "segments.prune.done"),
    *("history.before", "history.written"),
    *("tokens.before", "tokens.durable"),
)


@dataclass(slots=True)
class Armed:
    """The one place that is armed, and how many passings are still let through."""

    name: str
    action: str
    passings: int

    def pass_by(self, name: str) -> None:
        if name != self.name:
            return
        self.passings -= 1
        if self.passings > 0:
            return
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(ACTIONS[self.action], os.strerror(ACTIONS[self.action]))


@dataclass(slots=True)
class Noting:
    """Writes down which places are passed."""

    path: Path
    noted: set[str] = field(default_factory=set)

    def pass_by(self, name: str) -> None:
        if name not in self.noted:
            self.noted.add(name)
            with self.path.open("a") as file:
                file.write(name + "\n")


def parse(text: str) -> Armed | Noting:
    """What the variable asks for. Raises NodeError if there is no such place or action."""
    if text.startswith("note:"):
        return Noting(Path(text.removeprefix("note:")))
    place, _, count = text.partition("@")
    name, _, action = place.partition("=")
    action = action or "kill"
    if name not in NAMES or action not in ACTIONS or (count and not (count.isascii() and count.isdigit())):
        raise NodeError(f"{VARIABLE}={text!r} is none: NAME[=kill|enospc|eio][@N] is wanted, names in docs/crash.md")
    return Armed(name, action, max(1, int(count or 1)))


_watch: Armed | Noting | None = parse(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def arm(text: str | None) -> None:
    """Arm another place in this process, or none."""
    global _watch
    _watch = None if text is None else parse(text)


def reach(name: str) -> None:
    """The place `name` is passed. Raises OSError if a failing disk was asked for there."""
    if _watch is not None:
        _watch.pass_by(name)


def moments_of(file: str) -> Callable[[str], None]:
    """For code that may not import this module: told the moment, it passes the place of that moment of a file."""
    return lambda moment: reach(f"{file}.{moment}")
