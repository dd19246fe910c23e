"""The votes of one kind and view, checked and not yet checked.

A vote is *proven* once its signature was checked, alone or in a sum with others. Until then it is *unproven*: anyone
may have written it in its signer's name.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from consensus.committee import Committee
from consensus.messages import Vote

DELIVERERS = 4  # peers remembered for an unproven vote


@dataclass(frozen=True, slots=True)
class Unproven:
    """A vote nobody has checked, and the peers that brought it, the first ones first."""

    vote: Vote
    peers: tuple[bytes, ...]

    def also_from(self, peer: bytes) -> "Unproven":
        if peer in self.peers or len(self.peers) == DELIVERERS:
            return self
        return Unproven(self.vote, (*self.peers, peer))


@dataclass(frozen=True, slots=True)
class Ballots:
    """At most one vote of each signer, proven or unproven; `power` is what the signers of each block hold together."""

    proven: Mapping[int, Vote] = field(default_factory=dict)
    unproven: Mapping[int, Unproven] = field(default_factory=dict)
    power: Mapping[bytes, int] = field(default_factory=dict)

    def vote_of(self, signer: int) -> Vote | None:
        """The signer's vote, proven or not."""
        vote = self.proven.get(signer)
        if vote is None and (waiting := self.unproven.get(signer)) is not None:
            return waiting.vote
        return vote

    def with_unproven(self, unproven: Unproven, power: int) -> "Ballots":
        """Add a vote of a signer that has none here yet, or whose deliverers have changed."""
        vote = unproven.vote
        held = self.power
        if vote.signer not in self.unproven:
            held = {**held, vote.block_hash: held.get(vote.block_hash, 0) + power}
        return Ballots(self.proven, {**self.unproven, vote.signer: unproven}, held)

    def with_proven(self, vote: Vote, power: int) -> "Ballots":
        """Add a proven vote of a signer that has none here yet, or the same one unproven."""
        rest, held = self.unproven, self.power
        if vote.signer in rest:
            rest = {signer: each for signer, each in rest.items() if signer != vote.signer}
        else:
            held = {**held, vote.block_hash: held.get(vote.block_hash, 0) + power}
        return Ballots({**self.proven, vote.signer: vote}, rest, held)

    def with_all_proven(self, votes: Collection[Vote]) -> "Ballots":
        """Turn unproven votes into proven ones."""
        signers = {vote.signer for vote in votes}
        rest = {signer: each for signer, each in self.unproven.items() if signer not in signers}
        return Ballots({**self.proven, **{vote.signer: vote for vote in votes}}, rest, self.power)

    def without(self, liars: Collection[bytes], committee: Committee) -> "Ballots":
        """Drop the unproven votes that nobody but these peers brought."""
        kept: dict[int, Unproven] = {}
        held = dict(self.power)
        for signer, each in self.unproven.items():
            peers = tuple(peer for peer in each.peers if peer not in liars)
            if peers:
                kept[signer] = each if peers == each.peers else Unproven(each.vote, peers)
            else:
                held[each.vote.block_hash] -= committee.members[signer].power
        return Ballots(self.proven, kept, held)
