"""Who votes in an epoch, what a quorum is, and who leads which view."""

from collections.abc import Iterable
from dataclasses import dataclass
from operator import add
from typing import Annotated

from chain.codec import U128, BlsPublicKey, Wire
from chain.crypto.hashing import merkle_root
from consensus.errors import BadCommittee

MAX_MEMBERS = 1024


@dataclass(frozen=True, slots=True)
class Member(Wire):
    """A validator: 48-byte BLS public key and voting power in nanos of bonded stake (or phantom weight)."""

    public_key: BlsPublicKey
    power: U128


@dataclass(frozen=True, slots=True)
class Committee(Wire):
    """The validator set of one epoch, ordered by public key; a signer's number is its place here.

    Raises BadCommittee unless 1 to 1024 members stand in strictly ascending order of public key, each with power.
    """

    members: Annotated[tuple[Member, ...], MAX_MEMBERS]

    def __post_init__(self) -> None:
        if not 1 <= len(self.members) <= MAX_MEMBERS:
            raise BadCommittee(f"1 to {MAX_MEMBERS} members allowed, {len(self.members)} given")
        for place, member in enumerate(self.members):
            if member.power < 1:
                raise BadCommittee(f"member {place} has no power")
            # One order, so that two nodes can never number the same signers differently.
            if place and member.public_key <= self.members[place - 1].public_key:
                raise BadCommittee(f"member {place} is not above its predecessor in order of public key")

    @property
    def total_power(self) -> int:
        return sum(member.power for member in self.members)

    def place_of(self, public_key: bytes) -> int | None:
        """The number of the member with this key; None if it is not a member."""
        for place, member in enumerate(self.members):
            if member.public_key == public_key:
                return place
        return None


def committee_root(committee: Committee) -> bytes:
    """Merkle root of the members' encodings, in order. 32 bytes."""
    return merkle_root([member.encode() for member in committee.members])


def is_quorum(committee: Committee, signers: Iterable[int]) -> bool:
    """Whether these signers, each counted once, hold strictly more than two thirds of the power."""
    signed = sum(committee.members[place].power for place in frozenset(signers))
    return 3 * signed > 2 * committee.total_power


@dataclass(frozen=True, slots=True)
class Turn:
    """The place of one view in the schedule: its leader, and every member's priority after it was chosen."""

    leader: int
    priorities: tuple[int, ...]


def next_turn(committee: Committee, turn: Turn) -> Turn:
    """The turn of the following view, by smooth weighted round-robin in integers.

    Each member gains its power, the highest priority leads and pays the total. The sum stays zero and no priority falls
    to minus the total, so counted from zero priorities nobody leads more than its share plus one. Equal priorities:
    the smaller public key leads.
    """
    return later_turn(committee, turn, 1)


def later_turn(committee: Committee, turn: Turn, views: int) -> Turn:
    """The turn so many views later. Takes time proportional to them."""
    powers = [member.power for member in committee.members]
    total = sum(powers)
    leader, priorities = turn.leader, list(turn.priorities)
    for _ in range(views):
        priorities = list(map(add, priorities, powers))
        leader = priorities.index(max(priorities))
        priorities[leader] -= total
    return Turn(leader, tuple(priorities))


def first_turn(committee: Committee, epoch: int) -> Turn:
    """The turn of view 1 of an epoch.

    Priorities start at zero in each epoch, so leaving and joining again gains nothing; the start is moved on by the
    epoch number, so that the same member does not open every epoch.
    """
    start = Turn(0, (0,) * len(committee.members))
    return later_turn(committee, start, epoch % len(committee.members) + 1)


def leader_of(committee: Committee, epoch: int, view: int) -> int:
    """The number of the leader of a view. Takes time proportional to the view."""
    return later_turn(committee, first_turn(committee, epoch), view - 1).leader
