"""Committees, votes and certificates that are valid unless a test says otherwise. Signatures are hashes: fast, pure."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from chain.crypto.hashing import ZERO
from consensus.certificate import bitmap_of
from consensus.committee import Committee, Member
from consensus.events import CastVote, Received
from consensus.messages import NOTARIZE, NULLIFY, Certificate, Proposal, Vote, vote_message
from consensus.state import Epoch, State, Timing
from consensus.step import Effects, start, step

CHAIN = sha256(b"a chain").digest()
ANCHOR = sha256(b"an anchor").digest()
PEER = b"peer"


class HashScheme:
    """Signatures that anyone could forge and nobody in a test does: a keyed hash; aggregates are sums mod 2."""

    def sign(self, public_key: bytes, message: bytes) -> bytes:
        return sha256(public_key + message).digest() * 3

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == self.sign(public_key, message)

    def aggregate(self, signatures: Sequence[bytes]) -> bytes:
        total = 0
        for signature in signatures:
            total ^= int.from_bytes(signature, "big")
        return total.to_bytes(96, "big")

    def fast_aggregate_verify(self, public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        return signature == self.aggregate([self.sign(key, message) for key in public_keys])


SCHEME = HashScheme()


def a_key(number: int) -> bytes:
    return number.to_bytes(2, "big") * 24


def a_committee(*powers: int) -> Committee:
    return Committee(tuple(Member(a_key(place + 1), power) for place, power in enumerate(powers)))


def an_epoch(*powers: int, us: int | None = 0, number: int = 0, last_height: int = 100, base_ms: int = 1_000) -> Epoch:
    """Epoch 0 on the anchor at height 0. In epoch 0, equal members lead in order: member 0 leads view 1."""
    return Epoch(CHAIN, number, a_committee(*powers), us, ANCHOR, 0, last_height, Timing(base_ms))


def a_block(name: str) -> bytes:
    return sha256(name.encode()).digest()


def a_vote(epoch: Epoch, kind: int, view: int, signer: int, block_hash: bytes = ZERO, chain_id: bytes = CHAIN) -> Vote:
    message = vote_message(chain_id, kind, epoch.number, view, block_hash)
    signature = SCHEME.sign(epoch.committee.members[signer].public_key, message)
    return Vote(kind, epoch.number, view, block_hash, signer, signature)


def a_certificate(epoch: Epoch, kind: int, view: int, signers: Iterable[int], block_hash: bytes = ZERO) -> Certificate:
    places = sorted(signers)
    signature = SCHEME.aggregate([a_vote(epoch, kind, view, place, block_hash).signature for place in places])
    bitmap = bitmap_of(places, len(epoch.committee.members))
    return Certificate(kind, epoch.number, view, block_hash, bitmap, signature)


def a_proposal(
    epoch: Epoch, view: int, leader: int, block_hash: bytes, parent: tuple[int, bytes] = (0, ANCHOR), height: int = 1
) -> Proposal:
    vote = a_vote(epoch, NOTARIZE, view, leader, block_hash)
    return Proposal(epoch.number, view, parent[0], parent[1], block_hash, height, vote)


def feed(state: State, epoch: Epoch, *events: object) -> tuple[State, Effects]:
    """Step through events; plain messages come from a peer. Returns the last state and all effects."""
    effects: Effects = ()
    for event in events:
        wrapped = event if type(event).__module__ == "consensus.events" else Received(PEER, event)  # type: ignore
        state, more = step(state, wrapped, epoch, SCHEME)  # type: ignore[arg-type]
        effects += more
    return state, effects


def of_kind(effects: Effects, *kinds: type) -> list:
    return [effect for effect in effects if isinstance(effect, kinds)]


def nullify(epoch: Epoch, view: int, signers: Iterable[int]) -> list[Vote]:
    return [a_vote(epoch, NULLIFY, view, signer) for signer in signers]


FOUR = an_epoch(1, 1, 1, 1)
LAST = replace(FOUR, us=3)  # The same epoch seen by member 3, who leads view 4.
A, B = a_block("a"), a_block("b")
OTHERS = (1, 2, 3)


def begun(epoch: Epoch = FOUR, **more: Any) -> tuple[State, Effects]:
    return start(epoch, scheme=SCHEME, **more)


def in_view_2(epoch: Epoch = FOUR) -> State:
    """A was notarized in view 1; we are in view 2, led by member 1."""
    return feed(begun(epoch)[0], epoch, a_proposal(epoch, 1, 0, A), a_certificate(epoch, NOTARIZE, 1, OTHERS, A))[0]


def casts(effects: Effects) -> list[tuple[int, int, bytes]]:
    """Kind, view and block of each vote cast."""
    return [(cast.kind, cast.view, cast.block_hash) for cast in of_kind(effects, CastVote)]
