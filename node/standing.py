"""Who of our peers is which validator, how far each of them is, and who reaches whom. Start reading at `Standing`.

A validator shows a *voucher*: its BLS key's signature over its node key. A status says how far a peer's chain is final,
and which members of the committee it is connected to. In a full mesh nobody passes votes on; a member that only dials
out is reached through those that see both ends: whoever knows that a peer lacks a signer sends that signer's votes on.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from chain.codec import U64, BlsPublicKey, BlsSignature, Hash, Var, Wire
from chain.crypto import bls
from chain.crypto.hashing import tagged_hash
from chain.errors import BadSignature, NeuroError
from consensus.committee import MAX_MEMBERS, Committee
from network.kinds import STATUS
from network.peer import LIGHT, Peer
from node.parts import Handler
from node.runtime import MALFORMED, Runtime, Timer

PERIOD_MS = 5_000  # a status is repeated so often
PAUSE_MS = 200  # and sent at most so often
VOUCHERS_REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Status(Wire):
    """What a node says of itself. `reach`: bit i stands for member i of `epoch`'s committee, lowest bit first."""

    height: U64  # of the last final block
    block_hash: Hash
    epoch: U64  # in which it votes
    view: U64
    reach: Annotated[bytes, Var(MAX_MEMBERS // 8)]


@dataclass(frozen=True, slots=True)
class Voucher(Wire):
    """A validator key's consent to be represented by a node key."""

    public_key: BlsPublicKey
    signature: BlsSignature


def voucher_message(chain_id: bytes, node_public_key: bytes) -> bytes:
    """What the validator key signs."""
    return tagged_hash("voucher", chain_id, node_public_key)


def make_voucher(chain_id: bytes, node_public_key: bytes, validator_secret: bytes) -> bytes:
    signature = bls.sign(validator_secret, voucher_message(chain_id, node_public_key))
    return Voucher(bls.public_key(validator_secret), signature).encode()


@lru_cache(maxsize=VOUCHERS_REMEMBERED)  # Who a peer is, is asked again and again.
def read_voucher(chain_id: bytes, node_public_key: bytes, voucher: bytes) -> bytes:
    """The validator key that vouches for a node. Raises DecodeError or BadSignature."""
    found = Voucher.decode(voucher)
    if not bls.verify(found.public_key, voucher_message(chain_id, node_public_key), found.signature):
        raise BadSignature("the voucher of the peer's validator key does not verify")
    return found.public_key


class Standing:
    """Statuses in and out. `where` tells our own height, hash, epoch and view."""

    def __init__(self, runtime: Runtime, chain_id: bytes, where: Callable[[], tuple[int, bytes, int, int]]) -> None:
        self.runtime = runtime
        self.chain_id = chain_id
        self.where = where
        self.statuses: dict[bytes, Status] = {}
        self.validators: dict[bytes, bytes] = {}  # key of the peer → its validator key
        self.on_status: list[Callable[[bytes, Status], None]] = []
        self._light: set[bytes] = set()
        self._reach: dict[bytes, frozenset[bytes]] = {}  # key of the peer → validator keys that it is connected to
        self._read: dict[bytes, tuple[int, bytes]] = {}  # key of the peer → epoch and bits that say so
        # What follows from the above, asked for with every vote.
        self._members: list[bytes] | None = None
        self._lacking: dict[tuple[int, bool], list[bytes]] = {}
        self._committee: Committee | None = None
        self._epoch = 0
        self._us: bytes | None = None
        self._timer: Timer | None = None
        self._said_at = -PERIOD_MS

    def start(self) -> None:
        """Say now and then where we are."""
        self._timer = self.runtime.later(PERIOD_MS, self._say)

    def handlers(self) -> Mapping[int, Handler]:
        return {STATUS: self._hear}

    def joined(self, peer: Peer) -> None:
        self._others()
        if peer.roles & LIGHT:
            self._light.add(peer.key)
        if peer.voucher:
            try:
                self.validators[peer.key] = read_voucher(self.chain_id, peer.key, peer.voucher)
            except NeuroError as error:
                self.runtime.blame(peer.key, MALFORMED, str(error))
        self.runtime.send(peer.key, STATUS, self._status().encode())
        self.changed(PAUSE_MS)

    def left(self, key: bytes) -> None:
        self._others()
        for table in (self.statuses, self.validators, self._reach, self._read):
            table.pop(key, None)
        self._light.discard(key)
        self.changed(PAUSE_MS)

    def enter(self, epoch: int, committee: Committee, us: int | None) -> None:
        """An epoch has begun: its committee counts from now on."""
        self._epoch, self._committee = epoch, committee
        self._us = None if us is None else committee.members[us].public_key
        self._others()
        self.changed(0)

    def _others(self) -> None:
        """Who is who, or who reaches whom, is about to be another."""
        self._members = None
        self._lacking.clear()

    def changed(self, wait_ms: int = PAUSE_MS) -> None:
        """We are somewhere else: say so soon."""
        due = max(wait_ms, self._said_at + PAUSE_MS - self.runtime.now_ms())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self.runtime.later(max(due, 1), self._say)

    # ---- Whom to send what

    def full_peers(self) -> list[bytes]:
        """All peers that follow the chain, by key."""
        return sorted(key for key in self.runtime.peers() if key not in self._light)

    def members(self) -> list[bytes]:
        """The peers that are in the committee, by key."""
        if self._members is None:
            wanted = self._keys()
            voters = (key for key, validator in self.validators.items() if validator in wanted)
            self._members = sorted(key for key in voters if key not in self._light)
        return self._members

    def lacking(self, signer: int, but: bytes, everybody: bool = False) -> list[bytes]:
        """The peers (members, or everybody that follows) that are not connected to this member, `but` aside."""
        if self._committee is None or signer >= len(self._committee.members):
            return []
        if (signer, everybody) not in self._lacking:
            who = self._committee.members[signer].public_key
            self._lacking[signer, everybody] = [
                key
                for key in (self.full_peers() if everybody else self.members())
                if self.validators.get(key) != who and who not in self._reach.get(key, frozenset((who,)))
            ]
        return [key for key in self._lacking[signer, everybody] if key != but]

    def are_others_above(self, height: int) -> bool:
        """Whether members with more than a third of the power say that they are farther: at least one is honest.

        Each counts once, however many peers speak for it.
        """
        if self._committee is None:
            return False
        ahead = {self.validators.get(key) for key, status in self.statuses.items() if status.height > height}
        power = sum(member.power for member in self._committee.members if member.public_key in ahead)
        return 3 * power > self._committee.total_power

    def best(self) -> tuple[bytes, Status] | None:
        """The peer that claims the highest final block; None: nobody has said anything."""
        if not self.statuses:
            return None
        return max(self.statuses.items(), key=lambda item: (item[1].height, item[0]))

    def _keys(self) -> frozenset[bytes]:
        return (
            frozenset() if self._committee is None else frozenset(each.public_key for each in self._committee.members)
        )

    # ---- Statuses

    def _status(self) -> Status:
        height, block_hash, epoch, view = self.where()
        bits = bytearray()
        if self._committee is not None:
            epoch, reached = self._epoch, {*self.validators.values(), self._us}
            bits = bytearray((len(self._committee.members) + 7) // 8)
            for place, member in enumerate(self._committee.members):
                if member.public_key in reached:
                    bits[place >> 3] |= 1 << (place & 7)
        return Status(height, block_hash, epoch, view, bytes(bits))

    def _say(self) -> None:
        self._said_at = self.runtime.now_ms()
        payload = self._status().encode()
        for key in self.runtime.peers():
            self.runtime.send(key, STATUS, payload)
        self._timer = self.runtime.later(PERIOD_MS, self._say)

    def _hear(self, key: bytes, payload: bytes) -> None:
        status = Status.decode(payload)
        self.statuses[key] = status
        committee, said = self._committee, (status.epoch, status.reach)
        if committee is not None and status.epoch == self._epoch and self._read.get(key) != said:
            reach = int.from_bytes(status.reach, "little")
            self._read[key] = said
            self._reach[key] = frozenset(
                member.public_key for place, member in enumerate(committee.members) if reach >> place & 1
            )
            self._others()
        for hear in self.on_status:
            hear(key, status)
