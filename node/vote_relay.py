"""Passing on what a peer lacks: votes and proposals of members that it is not connected to, each once.

Only what verifies is passed on: a peer that gets a forgery blames whoever it came from.
"""

from chain.block import Block
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
