"""Real node processes, watched from outside: what they print, what they answer, and how they end."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.backends import CHOICES
from node.commands.status import ask
from node.errors import NodeError
from tests.torch_absence import need_torch

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120
PASSWORD = "hunter2 hunter2"


@dataclass(slots=True)
class Ended:
    """How a process ended."""

    status: int
    out: str
    err: str


class NodeProcess:
    """`neuroshard` on one data directory."""

    def __init__(self, home: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.home = home
        if "--no-training" not in arguments:
            need_torch()
        clean = {name: value for name, value in os.environ.items() if not name.startswith("NEUROSHARD")}
        clean |= {name: os.environ[name] for name in CHOICES if name in os.environ}
        command = [sys.executable, "-m", "node", "--data-dir", str(home), "--profile", "lab", "--threads", "1"]
        command += ["--log-level", "debug"]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", "--api", "127.0.0.1:0", *arguments],
            cwd=ROOT,
            env={**clean, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def status(self) -> dict[str, Any]:
        """What the running node answers; nothing while it does not listen."""
        try:
            return ask(self.home)
        except NodeError:
            return {}

    def until(self, true_of: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Ask until the answer fits."""
        return wait_for(lambda: (found := self.status()) and true_of(found) and found, self)

    def end(self, how: int = signal.SIGINT) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(how)
        return self.ended()

    def ended(self) -> Ended:
        out, err = self.process.communicate(timeout=PATIENCE_SECONDS)
        return Ended(self.process.returncode, out, err)

    def told_nonsense(self) -> bytes:
        """What the API answers to something that is no HTTP."""
        host, _, port = json.loads((self.home / "api.json").read_text())["address"].rpartition(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as stream:
            stream.sendall(b"\x00\x01 nonsense\r\n\r\n")
            return stream.recv(1000)

    def trainer(self) -> int | None:
        """The process id of the trainer."""
        pid = self.process.pid
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                if b"node.trainer_main" in command_line(int(child)):
                    return int(child)
        return None


def wait_for(found: Callable[[], Any], node: NodeProcess) -> Any:
    """Ask again and again until there is an answer; fail if the node ends before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answer := found():
            return answer
        if node.process.poll() is not None:
            ended = node.ended()
            raise AssertionError(f"the node ended with status {ended.status}:\n{ended.out}\n{ended.err}")
        time.sleep(0.05)
    node.process.kill()
    raise AssertionError(f"nothing came in {PATIENCE_SECONDS} s:\n{node.ended().err}")


def hear_ctrl_c() -> None:
    """For a new process: what a shell starts in the background ignores Ctrl-C, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def command_line(pid: int) -> bytes:
    """What everybody on the machine sees of a process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def is_alive(pid: int) -> bool:
    return bool(command_line(pid))
