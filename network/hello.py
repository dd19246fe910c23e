"""The messages of the handshake and what they prove. Pure bytes; `network.transport` sends them.

Each side sends a Greeting with a fresh nonce; then the dialler a Hello, then the listener one. A Hello is signed by the
node key over both Greetings, the side, and the certificate that the dialler saw and the listener uses. Whoever stands
between with a certificate of his own cannot hand on a Hello: TLS 1.3's own channel binding (RFC 9266) would do the
same, but Python's ssl does not offer it.
"""

import hashlib
import struct
from dataclasses import dataclass, replace
from enum import IntEnum

from network.address import ADDRESS_CHARACTERS_MAXIMUM, parse_address
from network.errors import BadAddress, Impostor, Malformed, NotANode, OtherNetwork, OtherVersion, Ourselves
from network.peer import NodeKey

MAGIC = b"neuroshard"
VERSION = 1
NONCE_BYTES, KEY_BYTES, SIGNATURE_BYTES = 32, 33, 64
VOUCHER_BYTES_MAXIMUM, AGENT_BYTES_MAXIMUM = 256, 64
TAG = b"neuroshard/hello/1"
GREETING = struct.Struct(">10sH32s32s")
HELLO_BYTES_MAXIMUM = (
    KEY_BYTES
    + 1
    + 1
    + ADDRESS_CHARACTERS_MAXIMUM
    + 2
    + VOUCHER_BYTES_MAXIMUM
    + 1
    + AGENT_BYTES_MAXIMUM
    + SIGNATURE_BYTES
)


class Side(IntEnum):
    DIALLER = 1
    LISTENER = 2


@dataclass(frozen=True, slots=True)
class Greeting:
    """What each side sends first."""

    chain_id: bytes  # 32 bytes
    nonce: bytes  # 32 bytes, never used again

    def encode(self) -> bytes:
        return GREETING.pack(MAGIC, VERSION, self.chain_id, self.nonce)


def check_greeting(data: bytes, own: Greeting) -> bytes:
    """The other side's Greeting as it came. Raises NotANode, OtherVersion, OtherNetwork, Malformed."""
    if data[: len(MAGIC)] != MAGIC or len(data) < len(MAGIC) + 2:
        raise NotANode("it does not greet as a NeuroShard node does")
    version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "big")
    if version != VERSION:  # Before the length: a later version may greet with more.
        newer = "this program" if version > VERSION else "the other program"
        raise OtherVersion(f"it speaks version {version} of the protocol, this node version {VERSION}: update {newer}")
    if len(data) != GREETING.size:
        raise Malformed("its Greeting has another length")
    _, _, chain_id, nonce = GREETING.unpack(data)
    if chain_id != own.chain_id:
        raise OtherNetwork(
            f"it belongs to network {chain_id.hex()[:16]}, this node to {own.chain_id.hex()[:16]}: "
            "give both the same network file with --network"
        )
    if nonce == own.nonce:
        raise Malformed("it repeats the nonce of this node")
    return data


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a node is and what it says of itself."""

    key: bytes  # 33 bytes
    roles: int  # one byte
    listen: str  # HOST:PORT or empty
    voucher: bytes
    agent: str  # printable ASCII
    signature: bytes = bytes(SIGNATURE_BYTES)

    def unsigned(self) -> bytes:
        listen, agent = self.listen.encode("ascii"), self.agent.encode("ascii")
        return b"".join(
            (
                self.key,
                bytes((self.roles, len(listen))),
                listen,
                len(self.voucher).to_bytes(2, "big"),
                self.voucher,
                bytes((len(agent),)),
                agent,
            )
        )

    def encode(self) -> bytes:
        return self.unsigned() + self.signature


class _Reader:
    """Takes strictly what is there."""

    def __init__(self, data: bytes) -> None:
        self.data, self.place = data, 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.place : self.place + count]
        if len(piece) != count:
            raise Malformed("its Hello ends too early")
        self.place += count
        return piece

    def number(self, count: int, maximum: int) -> int:
        value = int.from_bytes(self.take(count), "big")
        if value > maximum:
            raise Malformed(f"its Hello has a field of {value} bytes where {maximum} are allowed")
        return value


def decode_hello(data: bytes) -> Hello:
    """The one Hello that has this encoding. Raises Malformed."""
    if len(data) > HELLO_BYTES_MAXIMUM:
        raise Malformed(f"its Hello has {len(data)} bytes, {HELLO_BYTES_MAXIMUM} are allowed")
    reader = _Reader(data)
    key, roles = reader.take(KEY_BYTES), reader.take(1)[0]
    listen = reader.take(reader.number(1, ADDRESS_CHARACTERS_MAXIMUM))
    voucher = reader.take(reader.number(2, VOUCHER_BYTES_MAXIMUM))
    agent = reader.take(reader.number(1, AGENT_BYTES_MAXIMUM))
    signature = reader.take(SIGNATURE_BYTES)
    if reader.place != len(data):
        raise Malformed("its Hello goes on after its end")
    if not all(32 <= letter < 127 for letter in listen + agent):
        raise Malformed("its Hello has text that cannot be shown")  # It will stand in logs and on terminals.
    try:
        if listen:
            parse_address(listen.decode("ascii"))
    except BadAddress as error:
        raise Malformed(f"its Hello says that it listens at a place that is none: {error}") from None
    return Hello(key, roles, listen.decode("ascii"), voucher, agent.decode("ascii"), signature)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What both sides know before the first Hello, if nobody stands between."""

    dialler: bytes  # its Greeting as sent
    listener: bytes
    certificate: bytes  # SHA-256 of the listener's, as DER

    def digest(self, side: Side, unsigned: bytes) -> bytes:
        """What the node key of `side` signs."""
        parts = (bytes((len(TAG),)), TAG, bytes((side,)), self.dialler, self.listener, self.certificate, unsigned)
        return hashlib.sha256(b"".join(parts)).digest()


def signed(hello: Hello, key: NodeKey, side: Side, transcript: Transcript) -> Hello:
    return replace(hello, signature=key.sign(transcript.digest(side, hello.unsigned())))


def check_hello(data: bytes, side: Side, transcript: Transcript, key: NodeKey) -> Hello:
    """The Hello of the node at `side`, proven; `key` is ours. Raises Malformed, Ourselves, Impostor."""
    hello = decode_hello(data)
    if not key.verify(hello.key, transcript.digest(side, hello.unsigned()), hello.signature):
        raise Impostor("its signature does not fit this connection: somebody stands between, or it shows another's key")
    if hello.key == key.public_key:
        raise Ourselves("this address leads back to this node")
    return hello
