"""Proposes blocks that break a rule, with all around them in order: the right view, hash, vote and signature. Now and
then it shows a certificate that nobody has signed."""

from dataclasses import replace

from chain.block import Header, certificate_root
from chain.crypto import bls
from chain.crypto.votes import Certificate, Vote, vote_message
from network.kinds import CERTIFICATE, PROPOSAL, VOTE
from node.relay_messages import CompactProposal
from tests.simulator.adversaries import Adversary, Outgoing

DAY_MS = 86_400_000
FORGED = 0.05  # of its votes, that a made-up certificate goes before


class Behaviour(Adversary):
    def __init__(self) -> None:
        self._last: tuple[bytes, bytes] = (b"", b"")  # a proposal, and what goes out in its place

    def outgoing(self, key: bytes, kind: int, payload: bytes) -> Outgoing:
        if kind == VOTE and self.random.random() < FORGED:
            yield key, CERTIFICATE, self._certificate(Vote.decode(payload))
        if kind != PROPOSAL:
            yield key, kind, payload
            return
        if self._last[0] != payload:
            self._last = payload, self._forged(payload)
        yield key, kind, self._last[1]

    def _forged(self, payload: bytes) -> bytes:
        offer = CompactProposal.decode(payload)
        proposal = offer.proposal
        if proposal.block_hash == proposal.parent_hash or self._is_anothers(proposal.leader_vote):
            return payload
        forged = self._broken(offer)
        block_hash = forged.header.hash()
        vote = self._signed(replace(proposal.leader_vote, block_hash=block_hash))
        changed = replace(proposal, block_hash=block_hash, leader_vote=vote)
        return replace(forged, proposal=changed).encode()

    def _broken(self, offer: CompactProposal) -> CompactProposal:
        """One rule of many is broken."""
        header: Header = offer.header
        match self.random.randrange(6):
            case 0:
                return replace(offer, header=replace(header, state_root=self.random.randbytes(32)))
            case 1:
                return replace(offer, header=replace(header, time_ms=header.time_ms - DAY_MS))
            case 2:
                return replace(offer, header=replace(header, proposer=(header.proposer + 1) % 4))
            case 3:
                return replace(offer, header=replace(header, next_validators_root=self.random.randbytes(32)))
            case _:
                return self._with_certificate(offer)

    def _with_certificate(self, offer: CompactProposal) -> CompactProposal:
        """The parent's certificate claims more signers than there were, or is signed by nobody."""
        if not offer.parent_certificate:
            return offer
        certificate = Certificate.decode(offer.parent_certificate)
        signature = certificate.signature[:32] + self.random.randbytes(64)
        spoilt = replace(certificate, signature=signature).encode()
        header = replace(offer.header, certificate_root=certificate_root(spoilt))
        return replace(offer, header=header, parent_certificate=spoilt)

    def _certificate(self, vote: Vote) -> bytes:
        """All members are said to have voted as it has."""
        committee = self.machine.world.watch.committees.get(vote.epoch)
        size = len(committee.members) if committee is not None else 1
        bitmap = ((1 << size) - 1).to_bytes((size + 7) // 8, "little")
        signature = vote.signature[:32] + self.random.randbytes(64)
        return Certificate(vote.kind, vote.epoch, vote.view, vote.block_hash, bitmap, signature).encode()

    def _is_anothers(self, vote: Vote) -> bool:
        committee = self.machine.world.watch.committees.get(vote.epoch)
        return committee is None or committee.members[vote.signer].public_key != self.machine.voter

    def _signed(self, vote: Vote) -> Vote:
        message = vote_message(self.machine.world.network.chain_id, vote.kind, vote.epoch, vote.view, vote.block_hash)
        return replace(vote, signature=bls.sign(self.machine.identity.validator_secret, message))
