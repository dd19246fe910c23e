"""The processes of the hand-over: one founder and others, each a usual node with a trainer, and what they answer."""

import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from node.identity import Identity
from node.localnet.crew import Crew, Member, last_line
from node.localnet.hosts import Place
from node.localnet.plan import Wishes, prepared
from wallet.keys import Wallet

ASK_SECONDS = 5.0
STOP_SECONDS = 30.0


def free_places(count: int) -> list[Place]:
    """Ports of this machine that nobody has now."""
    with ExitStack() as held:
        ports = []
        for _ in range(2 * count):
            stream = held.enter_context(socket.socket())
            stream.bind(("127.0.0.1", 0))
            ports.append(f"127.0.0.1:{stream.getsockname()[1]}")
    return [Place(listen, api) for listen, api in zip(ports[::2], ports[1::2], strict=True)]


class Nodes:
    """Node 0 is the founder. `numbers`: parameters of the network, as `localnet --set` takes them."""

    def __init__(self, root: Path, count: int, numbers: Sequence[str]) -> None:
        self.plan = prepared(root, Wishes(count, 1, "lab", tuple(numbers)))
        more = {number: ["--validator"] for number in range(1, count)}
        options = ["--training", "--threads", "1", "--device", "cpu"]
        self.places = free_places(count)
        self.crew = Crew(self.plan, self.places, options, more)
        self.members: dict[int, Member] = {}
        self.identities = [self._identity(self.plan.home(number)) for number in range(count)]

    def _identity(self, home: Path) -> Identity:
        return Identity.of(Wallet.load(home / "keystore.json", (home / "keystore.password").read_text()))

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.members[number] = self.crew.spawn(number)

    def kill(self, number: int) -> None:
        """Node and trainer at once, with no chance to say anything."""
        member = self.members[number]
        with suppress(ProcessLookupError):
            os.killpg(member.process.pid, signal.SIGKILL)
        self._buried(member)

    def stop(self) -> list[str]:
        """End all as Ctrl-C does; returns what did not end so."""
        running = [member for member in self.members.values() if member.runs]
        for member in running:
            member.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + STOP_SECONDS
        while any(member.runs for member in running) and time.monotonic() < deadline:
            time.sleep(0.05)
        bad = [f"node {each.number} did not end within {STOP_SECONDS:.0f} s" for each in running if each.runs]
        self.end()
        return bad + [f"node {each.number} {each.end}" for each in running if each.failed and not bad]

    def end(self) -> None:
        """Leave nothing running."""
        for number, member in self.members.items():
            if member.runs:
                self.kill(number)
            self._buried(member)

    def _buried(self, member: Member) -> None:
        member.process.wait()
        if member.process.stdin is not None:
            member.process.stdin.close()

    @property
    def running(self) -> list[int]:
        return sorted(number for number, member in self.members.items() if member.runs)

    def fallen(self, killed: Sequence[int]) -> list[str]:
        """Nodes that ended by themselves, and the last that each said."""
        ended = [member for number, member in self.members.items() if not member.runs and number not in killed]
        return [f"node {member.number} {member.end}: {last_line(member.output)}" for member in ended]

    def get(self, number: int, path: str) -> Mapping[str, Any] | None:
        """What a node answers; None if it does not."""
        try:
            with urllib.request.urlopen(f"http://{self.places[number].api}{path}", timeout=ASK_SECONDS) as answer:
                found: Mapping[str, Any] = json.loads(answer.read())
        except (OSError, ValueError):
            return None
        return found

    def status(self, number: int) -> Mapping[str, Any] | None:
        return self.get(number, "/v1/status")


@contextmanager
def running(root: Path, count: int, numbers: Sequence[str]) -> Iterator[Nodes]:
    """Nodes that are not running any more afterwards, whatever happens."""
    nodes = Nodes(root, count, numbers)
    try:
        yield nodes
    finally:
        nodes.end()
