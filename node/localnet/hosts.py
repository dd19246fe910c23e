"""Where the nodes of a local network are: on ports of this machine, or each in a network namespace of its own."""

import fcntl
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from node.errors import NodeError

LISTEN_PORT, API_PORT = 18_430, 18_530  # of the first node; the next one has the next
SUBNETS_TRIED = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where one node listens for peers and for questions, and what stands before its command.

    `reached` is where others find it, if that is somewhere else: the tests put a line between nodes that can be cut.
    """

    listen: str
    api: str
    prefix: tuple[str, ...] = ()
    reached: str = ""

    @property
    def peer(self) -> str:
        """What others are given as its address."""
        return self.reached or self.listen


class Loopback:
    """All on 127.0.0.1: ports that are free, the usual ones if they are."""

    @contextmanager
    def places(self, count: int) -> Iterator[list[Place]]:
        with _usual_ports() as usual:
            with ExitStack() as held:  # All are held until the last is found, so that none is given twice.
                ports = [(LISTEN_PORT + number, API_PORT + number) if usual else (0, 0) for number in range(count)]
                found = [Place(_free(listen, held), _free(api, held)) for listen, api in ports]
            yield found


@contextmanager
def _usual_ports() -> Iterator[bool]:
    """Whether the usual ports may be taken: by one network at a time, for they look free until its nodes listen."""
    path = Path(tempfile.gettempdir()) / f"neuroshard-localnet-{os.getuid()}.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def _free(wanted: int, held: ExitStack) -> str:
    for port in (wanted, 0):
        stream = socket.socket()
        held.callback(stream.close)
        # As a server does it: what a killed node left behind in the system does not count.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            stream.bind(("127.0.0.1", port))
            stream.listen(1)
        except OSError:
            continue
        return f"127.0.0.1:{stream.getsockname()[1]}"
    raise NodeError("no port of 127.0.0.1 is free: end other programs first")


class Namespaces:
    """Each node in a namespace of its own (`ip netns`), all joined by a bridge. Needs root on Linux."""

    def __init__(self, root: Path) -> None:
        tag = sha256(str(root).encode()).hexdigest()[:6]
        self.bridge = f"ns{tag}"
        self.names = f"neuroshard-{tag}-"
        self.first_subnet = int(tag, 16)

    @contextmanager
    def places(self, count: int) -> Iterator[list[Place]]:
        self._check()
        self.remove()  # What a killed localnet left behind.
        subnet = self._free_subnet()
        try:
            addresses = list(subnet.hosts())
            self._join(f"link add {self.bridge} type bridge")
            self._join(f"addr add {addresses[0]}/{subnet.prefixlen} dev {self.bridge}")
            self._join(f"link set {self.bridge} up")
            yield [self._place(number, f"{addresses[number + 9]}", subnet.prefixlen) for number in range(count)]
        finally:
            self.remove()

    def name(self, number: int) -> str:
        """The namespace of a node."""
        return f"{self.names}{number}"

    def remove(self) -> None:
        """All of ours. A namespace is gone when its last process has ended."""
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=False).stdout
        for line in listed.splitlines():
            name = line.split(" ")[0]
            if name.startswith(self.names):
                subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
        links = subprocess.run(["ip", "-o", "link", "show"], capture_output=True, text=True, check=False).stdout
        for line in links.splitlines():
            name = line.split(": ")[1].split("@")[0]
            if name == self.bridge or name.startswith(f"{self.bridge}-"):
                subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)

    def _place(self, number: int, address: str, prefix_length: int) -> Place:
        name, link = self.name(number), f"{self.bridge}-{number}"
        self._join(f"netns add {name}")
        self._join(f"link add {link} type veth peer name eth0 netns {name}")
        self._join(f"link set {link} master {self.bridge} up")
        for words in ("link set lo up", f"addr add {address}/{prefix_length} dev eth0", "link set eth0 up"):
            self._join(f"-n {name} {words}")
        return Place(f"{address}:8430", f"{address}:8420", ("ip", "netns", "exec", name))

    def _check(self) -> None:
        if not sys.platform.startswith("linux"):
            raise NodeError("--hosts netns needs Linux: use --hosts loopback here")
        if shutil.which("ip") is None:
            raise NodeError(
                "--hosts netns needs the command `ip`: install the package iproute2, or use --hosts loopback"
            )
        if os.geteuid() != 0:
            raise NodeError("--hosts netns makes network namespaces, which needs root: use sudo, or --hosts loopback")

    def _free_subnet(self) -> ipaddress.IPv4Network:
        """A private network that no interface of this machine is in, the same each time if possible."""
        shown = subprocess.run(["ip", "-4", "-o", "addr", "show"], capture_output=True, text=True, check=False).stdout
        taken = [ipaddress.ip_interface(line.split()[3]).network for line in shown.splitlines()]
        for step in range(SUBNETS_TRIED):
            number = (self.first_subnet + step) % (64 * 256)
            subnet = ipaddress.IPv4Network(f"10.{128 + number // 256}.{number % 256}.0/24")
            if not any(subnet.overlaps(other) for other in taken if other.version == 4):
                return subnet
        raise NodeError("no private network 10.x.y.0/24 is free here: use --hosts loopback")

    def _join(self, words: str) -> None:
        done = subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NodeError(
                f"this machine does not allow network namespaces (`ip {words}`: {done.stderr.strip()}): "
                "use --hosts loopback"
            )
