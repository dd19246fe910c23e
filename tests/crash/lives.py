"""One node that lives many times on one data directory, and is ended in many ways."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from node.data_directory import DataDirectory
from tests.node.processes import PASSWORD, ROOT, command_line
from tests.torch_absence import need_torch
from wallet.keys import Wallet
from wallet.keystore_file import save

PATIENCE_SECONDS = 60
Entry = dict[str, Any]


@dataclass
class Lives:
    """A data directory, its journal, and the life that is lived now."""

    folder: Path
    elsewhere: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    _read: int = 0
    _entries: list[Entry] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The data directory: beside the journal, unless it is to be elsewhere."""
        return self.elsewhere or self.folder / "home"

    def with_cheap_wallet(self) -> "Lives":
        """A wallet whose password is checked at once: a tenth of a second of scrypt is for attackers."""
        directory = DataDirectory(self.home)
        directory.create()
        self.environment["NEUROSHARD_PASSWORD"] = PASSWORD
        save(self.home / "keystore.json", Wallet(bytes(range(16))).to_keystore(PASSWORD, scrypt_n=2))
        return self

    def cheapen_wallet(self) -> None:
        """The wallet of the first start under the same password, checked at once."""
        path, password = self.home / "keystore.json", (self.home / "keystore.password").read_text()
        wallet = Wallet.load(path, password)
        path.unlink()
        save(path, wallet.to_keystore(password, scrypt_n=2))

    def with_tokens(self, folder: Path) -> "Lives":
        """The corpus as tokens, made by another."""
        directory = DataDirectory(self.home)
        directory.create()
        for path in folder.iterdir():
            shutil.copy(path, self.home / "tokens" / path.name)
        return self

    def start(self, failpoint: str | None = None, *arguments: str) -> None:
        """Begin another life."""
        if "--no-training" not in (*self.arguments, *arguments):
            need_torch()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
        clean |= self.environment | ({"NEUROSHARD_FAILPOINT": failpoint} if failpoint else {})
        command = [sys.executable, "-m", "tests.crash.journal", str(self.folder / "journal")]
        command += ["--data-dir", str(self.home), "--profile", "lab", "--threads", "1", "--device", "cpu"]
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "out").open("ab") as out, (self.folder / "err").open("wb") as err:
            self.process = subprocess.Popen(
                [*command, "--api", "127.0.0.1:0", *self.arguments, *arguments],
                cwd=ROOT,
                env=clean,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        self.began = time.monotonic()

    def entries(self) -> list[Entry]:
        """What the journal holds, of all lives."""
        path = self.folder / "journal"
        if path.exists():
            with path.open("rb") as file:
                file.seek(self._read)
                content = file.read()
            whole = content.rfind(b"\n") + 1
            self._entries += [json.loads(line) for line in content[:whole].splitlines()]
            self._read += whole
        return self._entries

    def of(self, what: str) -> list[Entry]:
        return [entry for entry in self.entries() if entry["what"] == what]

    def until(self, found: Callable[[], Any]) -> Any:
        """Ask again and again; fail if this life ends before there is an answer."""
        return self._wait(found, may_end=False)

    def until_or_dead(self, found: Callable[[], Any]) -> Any:
        """The answer, or None if the life has ended before there was one."""
        return self._wait(found, may_end=True)

    def _wait(self, found: Callable[[], Any], may_end: bool) -> Any:
        assert self.process is not None
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if answer := found():
                return answer
            if self.process.poll() is not None:
                assert may_end, f"the node ended with status {self.process.returncode}: {self.last_words()}"
                return None
            time.sleep(0.01)
        self.kill_all()
        raise AssertionError(f"nothing came in {PATIENCE_SECONDS} s; {self.last_words()}")

    def last_words(self) -> str:
        return (self.folder / "err").read_text()

    def trainer(self) -> int | None:
        """The process id of the trainer of this life."""
        assert self.process is not None
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            try:
                pids = children.read_text().split()
            except OSError:
                continue
            for child in map(int, pids):
                if b"node.trainer_main" in command_line(child):
                    return child
        return None

    def end(self, how: int = signal.SIGINT) -> int:
        """Send the node a signal; how it ended."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.ended()

    def ended(self) -> int:
        """How this life ends; nothing of it is left running."""
        assert self.process is not None
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.kill_all()

    def kill_all(self) -> None:
        """The node and its trainer at once."""
        assert self.process is not None
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
