"""Proposes two blocks in each of its views, each to one half, and signs votes that exclude each other."""

from dataclasses import replace

from chain.block import Header
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.crypto.votes import FINALIZE, NOTARIZE, NULLIFY, Vote, vote_message
from network.kinds import PROPOSAL, VOTE
from node.relay_messages import CompactProposal
from tests.simulator.adversaries import Adversary, Outgoing


class Behaviour(Adversary):
    def __init__(self) -> None:
        self._second: tuple[bytes, bytes] = (b"", b"")  # the last proposal, and the one that stands against it

    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        favoured = key in self.half()
        if kind == PROPOSAL and not favoured:
            yield key, kind, self._other_proposal(payload)
            return
        yield key, kind, payload
        if kind == VOTE and self.random.random() < 0.5:
            vote = Vote.decode(payload)
            if vote.kind == NOTARIZE and not favoured:
                yield key, VOTE, self._signed(replace(vote, block_hash=self.random.randbytes(32))).encode()
            elif vote.kind == FINALIZE:
                yield key, VOTE, self._signed(replace(vote, kind=NULLIFY, block_hash=ZERO)).encode()

    def _signed(self, vote: Vote) -> Vote:
        message = vote_message(self.machine.world.network.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
        return replace(vote, signature=bls.sign(self.machine.identity.validator_secret, message))

    def _other_proposal(self, payload: bytes) -> bytes:
        """The same offer with a block that is a millisecond younger: as valid as the first."""
        if self._second[0] == payload:
            return self._second[1]
        offer = CompactProposal.decode(payload)
        proposal = offer.proposal
        other = payload
        ours = self.machine.voter == self._leader_key(proposal.epoch, proposal.leader_vote.signer)
        if ours and proposal.block_hash != proposal.parent_hash:
            header: Header = replace(offer.header, time_ms=offer.header.time_ms + 1)
            vote = self._signed(replace(proposal.leader_vote, block_hash=header.hash()))
            changed = replace(proposal, block_hash=header.hash(), leader_vote=vote)
            other = replace(offer, proposal=changed, header=header).encode()
        self._second = (payload, other)
        return other

    def _leader_key(self, epoch: int, signer: int) -> bytes:
        committee = self.machine.world.watch.committees.get(epoch)
        return committee.members[signer].public_key if committee is not None else b""
