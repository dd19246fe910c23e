"""The lines typed before, kept in a file of their owner's; never a secret.

Passwords and words are asked for by prompts of their own, which have no history. Somebody may still type them at the
wrong prompt: a line with words of a mnemonic is kept nowhere, and one that begins with no command only in memory.
"""

import os
import secrets
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from prompt_toolkit.history import History

MAX_BYTES = 256 * 1024  # read of the file; a longer one is cut at the next start
MAX_LINE = 1000
SECRET_WORDS = 6  # this many words of the list on one line: half of a mnemonic


class FileOfLines(History):
    """What the arrow keys bring back. Trouble with the disk costs the history only, and is kept in `trouble`."""

    def __init__(self, path: Path, is_command: Callable[[str], bool]) -> None:
        super().__init__()
        self.path = path
        self.is_command = is_command
        self.trouble = ""

    def load_history_strings(self) -> Iterable[str]:
        """Newest first."""
        try:
            lines, is_long = self._read()
            if is_long:
                self._rewrite(lines)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.trouble = f"{self.path} cannot be read ({error.strerror}): earlier lines are not at hand"
            return []
        return reversed(lines)

    def append_string(self, string: str) -> None:
        line = " ".join(string.split())
        if line and not may_hold_mnemonic(line) and self.get_strings()[-1:] != [line]:
            super().append_string(line)

    def store_string(self, string: str) -> None:
        if not self.is_command(string) or len(string) > MAX_LINE:
            return
        if not self.path.parent.is_dir():
            return  # nothing is kept before there is a wallet or a node
        try:
            opened = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                file.write(string + "\n")
        except (OSError, UnicodeError) as error:
            self.trouble = f"{self.path} cannot be written ({error}): this line is remembered until you leave"

    def _read(self) -> tuple[list[str], bool]:
        """The last lines, and whether the file has more."""
        if not self.path.is_file():
            raise FileNotFoundError(self.path)
        with self.path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MAX_BYTES))
            raw = file.read(MAX_BYTES)
        if size > MAX_BYTES:
            raw = raw.partition(b"\n")[2]
        lines = raw.decode("utf-8", "replace").split("\n")
        return [line for line in lines if line and line.isprintable() and len(line) <= MAX_LINE], size > MAX_BYTES

    def _rewrite(self, lines: list[str]) -> None:
        """The newest half of the lines, so that this is seldom needed."""
        draft = self.path.with_name(f".wallet-history-{secrets.token_hex(8)}.draft")
        kept = lines[len(lines) // 2 :]
        try:
            opened = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w", encoding="utf-8") as file:
                file.write("".join(line + "\n" for line in kept))
            draft.replace(self.path)
        finally:
            draft.unlink(missing_ok=True)


def may_hold_mnemonic(line: str) -> bool:
    """Whether a line has so many words of the list of mnemonics that it may be one, or a part."""
    words = line.lower().replace(",", " ").split()
    return len(words) >= SECRET_WORDS and sum(word.strip("'\".;") in _list() for word in words) >= SECRET_WORDS


@cache
def _list() -> frozenset[str]:
    from mnemonic import Mnemonic

    return frozenset(Mnemonic("english").wordlist)
