"""Votes for a block that come after its quorum: the next proposer adds their signers to the certificate in its block.

Who was present is read from these certificates. Without this, the slowest third of the validators would look absent,
however well it votes.
"""

from chain.crypto import bls
from consensus.certificate import bitmap_of, signers_in, verify_vote
from consensus.committee import Committee
from consensus.errors import ConsensusError
from consensus.messages import NOTARIZE, Certificate, Vote
from consensus.state import State

VIEWS_KEPT = 8
COPIES_KEPT = 4  # votes in the name of one signer, which may contradict itself


class LateVotes:
    """The votes to NOTARIZE of the newest views, unverified until they are needed."""

    def __init__(self, chain_id: bytes) -> None:
        self.chain_id = chain_id
        self._votes: dict[tuple[int, int], dict[int, list[Vote]]] = {}  # (epoch, view) → signer → votes

    def add(self, vote: Vote, state: State, committee: Committee) -> None:
        """Keep a vote of one of the newest views. Raises BadVote if a second one in its signer's name is forged.

        So the first may be forged, and no more: the true one always finds a place.
        """
        is_near = state.view - VIEWS_KEPT < vote.view <= state.view
        if vote.kind != NOTARIZE or not is_near or vote.signer >= len(committee.members):
            return
        votes = self._votes.setdefault((vote.epoch, vote.view), {}).setdefault(vote.signer, [])
        if len(votes) < COPIES_KEPT and vote not in votes:
            if votes and bls.back_end() != "py_ecc":
                verify_vote(vote, committee, self.chain_id)
            votes.append(vote)
        while len(self._votes) > VIEWS_KEPT:
            del self._votes[min(self._votes)]

    def complete(self, certificate: Certificate, committee: Committee) -> Certificate:
        """The certificate with every further signer whose vote is here and verifies. Takes a pairing for each."""
        size = len(committee.members)
        signers = set(signers_in(certificate.bitmap, size))
        signatures = [certificate.signature]
        votes = self._votes.get((certificate.epoch, certificate.view), {})
        for signer, copies in sorted(votes.items()) if certificate.kind == NOTARIZE else ():
            if signer in signers:
                continue
            good = next((vote for vote in list(copies) if self._counts(vote, certificate, committee)), None)
            if good is not None:
                signers.add(signer)
                signatures.append(good.signature)
        if len(signatures) == 1:
            return certificate
        place = certificate.kind, certificate.epoch, certificate.view, certificate.block_hash
        return Certificate(*place, bitmap_of(signers, size), bls.aggregate(signatures))

    def _counts(self, vote: Vote, certificate: Certificate, committee: Committee) -> bool:
        if vote.block_hash != certificate.block_hash:
            return False
        try:
            verify_vote(vote, committee, self.chain_id)
        except ConsensusError:
            return False
        return True
