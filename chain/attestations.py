"""What more than two thirds of a validator set attest: one mechanism, whatever the question.

A poll asks one set, fixed when it opens. Each member votes once, for any of its subjects (32-byte names of statements);
a subject is agreed on as soon as more than two thirds of the set's power voted for it. Who opens a poll gives it a
deadline and a meaning for the case that nothing is agreed on then, so that nobody can stall what depends on it.
Start reading at `cast`.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from chain.block import VALIDATORS_MAXIMUM
from chain.crypto import bls
from chain.errors import BadSignature, InvalidRoundInput
from chain.state import Poll, State, Tally

NOBODY = bytes(VALIDATORS_MAXIMUM // 8)


class Ballot(Protocol):
    """A signed vote of the member at place `validator`."""

    @property
    def validator(self) -> int: ...

    @property
    def signature(self) -> bytes: ...

    def digest(self, chain_id: bytes) -> bytes: ...


def open_poll(set_epoch: int, subjects: Iterable[bytes] = ()) -> Poll:
    """A poll of an epoch's set. Subjects named here keep their order; votes may add others, if they are let to."""
    return Poll(set_epoch, NOBODY, tuple(Tally(subject, 0) for subject in subjects))


def has_voted(poll: Poll, validator: int) -> bool:
    return bool(poll.voted[validator >> 3] >> (validator & 7) & 1)


def cast(state: State, poll: Poll, ballot: Ballot, subjects: Sequence[bytes], chain_id: bytes) -> Poll:
    """The poll with a member's vote for some subjects. Raises InvalidRoundInput or BadSignature.

    A subject that the poll does not know is added: a caller that lets a ballot name one such at most bounds the poll.
    """
    members, validator = state.validators(poll.set_epoch).members, ballot.validator
    if validator >= len(members):
        raise InvalidRoundInput(f"validator {validator} of a set of {len(members)}")
    if has_voted(poll, validator):
        raise InvalidRoundInput(f"validator {validator} has already voted in this poll")
    if not bls.verify(members[validator].public_key, ballot.digest(chain_id), ballot.signature):
        raise BadSignature(f"validator {validator} did not sign this vote")
    power, chosen = members[validator].power, set(subjects)
    tallies = [Tally(t.subject, t.power + power) if t.subject in chosen else t for t in poll.tallies]
    known = {tally.subject for tally in poll.tallies}
    tallies += [Tally(subject, power) for subject in subjects if subject not in known]
    voted = bytearray(poll.voted)
    voted[validator >> 3] |= 1 << (validator & 7)
    return Poll(poll.set_epoch, bytes(voted), tuple(tallies))


def agreed(state: State, poll: Poll) -> list[int]:
    """The places of the subjects that more than two thirds of the power voted for."""
    if not poll.tallies:
        return []  # the set may not be known yet
    total = state.validators(poll.set_epoch).power
    return [place for place, tally in enumerate(poll.tallies) if 3 * tally.power > 2 * total]
