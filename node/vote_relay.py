"""Passing on what a peer lacks: votes and proposals of members that it is not connected to, each once.

Only what verifies is passed on: a peer that gets a forgery blames whoever it came from.
"""

from chain.block import Block
from chain.crypto import bls
from consensus.certificate import verify_vote
from consensus.committee import Committee
from consensus.errors import ConsensusError
from consensus.messages import Proposal, Vote
from consensus.state import VIEWS_AHEAD, VIEWS_BEHIND, State
from network.kinds import VOTE
from node.block_exchange import BlockExchange
from node.runtime import Runtime
from node.standing import Standing

SEEN_MAXIMUM = 16_384
REMINDED = 24  # kinds and views


class VoteRelay:
    """In a full mesh nobody lacks anybody, and nothing is done."""

    def __init__(self, runtime: Runtime, standing: Standing, chain_id: bytes) -> None:
        self.runtime, self.standing, self.chain_id = runtime, standing, chain_id
        self._seen: dict[tuple[int, int, int, bytes], None] = {}

    def pass_on(self, vote: Vote, source: bytes, committee: Committee, state: State) -> None:
        """Send a vote on to the members that lack its signer. Raises BadVote."""
        if not state.view - VIEWS_BEHIND <= vote.view <= state.view + VIEWS_AHEAD:
            return
        keys = self.standing.lacking(vote.signer, source)
        if keys and self._is_new(vote):
            self._check(vote, committee)
            payload = vote.encode()
            for key in keys:
                self.runtime.send(key, VOTE, payload)

    def remind(self, key: bytes, committee: Committee, state: State) -> None:
        """Show a validator that comes its own votes on what is not final: if its record is older, it has to know."""
        validator = self.standing.validators.get(key)
        place = None if validator is None else committee.place_of(validator)
        if place is None:
            return
        newest = sorted(state.votes, key=lambda place: place[1])[-REMINDED:]
        for ballots in map(state.votes.__getitem__, newest):
            vote, is_proven = ballots.vote_of(place), place in ballots.proven
            if vote is not None and (is_proven or self._is_true(vote, committee)):
                self.runtime.send(key, VOTE, vote.encode())

    def _is_true(self, vote: Vote, committee: Committee) -> bool:
        if bls.back_end() == "py_ecc":
            return False
        try:
            verify_vote(vote, committee, self.chain_id)
        except ConsensusError:
            return False
        return True

    def pass_proposal_on(self, proposal: Proposal, source: bytes, blocks: BlockExchange, block: Block | None) -> None:
        """Send a proposal that consensus has taken on to everybody that lacks its leader."""
        keys = self.standing.lacking(proposal.leader_vote.signer, source, everybody=True)
        if keys and block is not None and self._is_new(proposal.leader_vote):
            blocks.forward(proposal, block, keys)

    def _is_new(self, vote: Vote) -> bool:
        """A vote that has not been passed on. What names it is its bytes: a forgery must not stop the true one."""
        name = vote.kind, vote.view, vote.signer, vote.signature
        if name in self._seen:
            return False
        self._seen[name] = None
        if len(self._seen) > SEEN_MAXIMUM:
            del self._seen[next(iter(self._seen))]
        return True

    def _check(self, vote: Vote, committee: Committee) -> None:
        try:
            verify_vote(vote, committee, self.chain_id)
        except ConsensusError:
            self._seen.pop((vote.kind, vote.view, vote.signer, vote.signature), None)
            raise
