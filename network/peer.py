"""What a node knows of a peer once the handshake is done, and how it hears of peers and their messages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

TRAINER, VALIDATOR, ARCHIVE, LIGHT = 1, 2, 4, 8  # roles, as bits; claims of the peer
ROLE_NAMES = {TRAINER: "trainer", VALIDATOR: "validator", ARCHIVE: "archive", LIGHT: "light"}


@dataclass(frozen=True, slots=True)
class NodeKey:
    """Our identity among peers. `verify(public_key, digest, signature)` must be false for any malformed bytes."""

    public_key: bytes  # 33 bytes, compressed secp256k1
    sign: Callable[[bytes], bytes]  # a 32-byte digest → 64 bytes
    verify: Callable[[bytes, bytes, bytes], bool]


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer whose handshake has succeeded: it owns `key`, and nobody stands between us."""

    key: bytes  # its node public key, 33 bytes
    address: str  # HOST:PORT of the other end of the connection
    outbound: bool  # we dialled
    roles: int
    listen: str  # HOST:PORT where it says that it can be dialled; empty: it only dials out
    voucher: bytes  # what it shows to prove that it validates; opaque here, at most 256 bytes
    agent: str  # name and version of its program, for people


class Listener(Protocol):
    """Who is told what peers do. Called on the event loop, must not block."""

    def joined(self, peer: Peer) -> None: ...

    def left(self, key: bytes) -> None: ...

    def received(self, key: bytes, kind: int, payload: bytes) -> None: ...
