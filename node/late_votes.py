"""Votes for a block that come after its quorum: the next proposer adds their signers to the certificate in its block.

Who was present is read from these certificates. Without this, the slowest third of the validators would look absent,
however well it votes. So a leader in a hurry also waits a little for those that have spoken lately, and shows the
certificate that more of them have signed: a slow machine learns from others that a block is notarized and votes to
finalize it, before it has judged the block itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chain.crypto import bls
from chain.errors import BadSignature
from consensus.certificate import bitmap_of, signers_in, verify_vote
from consensus.committee import Committee
from consensus.errors import ConsensusError
from consensus.messages import FINALIZE, NOTARIZE, Certificate, Vote, vote_message
from consensus.state import State

VIEWS_KEPT = 8
COPIES_KEPT = 4  # votes in the name of one signer, which may contradict itself

Copies = Mapping[int, tuple[Vote, ...]]  # by signer


@dataclass(frozen=True, slots=True)
class Gathered:
    """A certificate, and further votes for the same: a picture of the moment, for a thread."""

    certificate: Certificate
    votes: Copies

    @property
    def signers(self) -> int:
        """How many it will have if all these votes are true."""
        return int.from_bytes(self.certificate.bitmap, "little").bit_count() + len(self.votes)


class LateVotes:
    """The votes for blocks of the newest views, unverified until they are needed."""

    def __init__(self, chain_id: bytes) -> None:
        self.chain_id = chain_id
        # (epoch, view) → (kind, validator key) → votes. By key, because places change from epoch to epoch.
        self._votes: dict[tuple[int, int], dict[tuple[int, bytes], list[Vote]]] = {}

    def add(self, vote: Vote, state: State, committee: Committee) -> None:
        """Keep a vote of one of the newest views, or of the next. Raises BadVote if it is a second one and forged.

        So the first in a signer's name may be forged, and no more: the true one always finds a place.
        """
        is_near = state.view - VIEWS_KEPT < vote.view <= state.view + 1
        if vote.kind not in (NOTARIZE, FINALIZE) or not is_near or vote.signer >= len(committee.members):
            return
        key = committee.members[vote.signer].public_key
        votes = self._votes.setdefault((vote.epoch, vote.view), {}).setdefault((vote.kind, key), [])
        if len(votes) < COPIES_KEPT and vote not in votes:
            if votes and bls.back_end() != "py_ecc":
                verify_vote(vote, committee, self.chain_id)
            votes.append(vote)
        while len(self._votes) > VIEWS_KEPT:
            del self._votes[min(self._votes)]

    def awaits(self, known: Sequence[Certificate], committee: Committee) -> bool:
        """Whether someone who has spoken lately is in none of these certificates of a block, and no vote of it is here.

        Votes are not verified for this: who forges them makes a hurried leader wait as long as one that has time.
        """
        return bool(known) and all(self._absent(certificate, committee) for certificate in known)

    def _absent(self, certificate: Certificate, committee: Committee) -> bool:
        gathered = self._gather(certificate, committee)
        present = {*signers_in(certificate.bitmap, len(committee.members)), *gathered.votes}
        at = certificate.epoch, certificate.view
        spoke = {key for place, votes in self._votes.items() if place != at for _, key in votes}
        return any(
            place not in present and member.public_key in spoke for place, member in enumerate(committee.members)
        )

    def gather(self, known: Sequence[Certificate], committee: Committee) -> list[Gathered]:
        """All that is here of the certificates of a block, the one that says more first."""
        found = [self._gather(certificate, committee) for certificate in known]
        return sorted(found, key=lambda each: -each.signers)

    def _gather(self, certificate: Certificate, committee: Committee) -> Gathered:
        signed = set(signers_in(certificate.bitmap, len(committee.members)))
        votes = self._votes.get((certificate.epoch, certificate.view), {})
        late: dict[int, tuple[Vote, ...]] = {}
        for place, member in enumerate(committee.members):
            copies = votes.get((certificate.kind, member.public_key), ())
            alike = tuple(vote for vote in copies if (vote.block_hash, vote.signer) == (certificate.block_hash, place))
            if alike and place not in signed:
                late[place] = alike
        return Gathered(certificate, late)

    def complete(self, gathered: Sequence[Gathered], committee: Committee) -> Certificate:
        """The certificate with the most signers whose votes verify. One check for all late votes if none is forged."""
        best: Certificate | None = None
        for each in gathered:
            if best is None or each.signers > _signers(best):
                found = self._completed(each, committee)
                best = found if best is None or _signers(found) > _signers(best) else best
        assert best is not None
        return best

    def _completed(self, gathered: Gathered, committee: Committee) -> Certificate:
        certificate, size = gathered.certificate, len(committee.members)
        votes = [copies[0] for copies in gathered.votes.values()]
        if not self._are_true(votes, committee):
            true = (self._true_one(copies, committee) for copies in gathered.votes.values())
            votes = [vote for vote in true if vote is not None]
        if not votes:
            return certificate
        signers = {*signers_in(certificate.bitmap, size), *(vote.signer for vote in votes)}
        signature = bls.aggregate([certificate.signature, *(vote.signature for vote in votes)])
        place = certificate.kind, certificate.epoch, certificate.view, certificate.block_hash
        return Certificate(*place, bitmap_of(signers, size), signature)

    def _are_true(self, votes: Sequence[Vote], committee: Committee) -> bool:
        """Whether these votes for the same thing are signed by their signers, taken together."""
        if not votes:
            return True
        first, keys = votes[0], [committee.members[vote.signer].public_key for vote in votes]
        message = vote_message(self.chain_id, first.kind, first.epoch, first.view, first.block_hash)
        try:
            total = bls.aggregate([vote.signature for vote in votes])
        except BadSignature:
            return False
        return bls.fast_aggregate_verify(keys, message, total)

    def _true_one(self, copies: Sequence[Vote], committee: Committee) -> Vote | None:
        for vote in copies:
            try:
                verify_vote(vote, committee, self.chain_id)
            except ConsensusError:
                continue
            return vote
        return None


def _signers(certificate: Certificate) -> int:
    return int.from_bytes(certificate.bitmap, "little").bit_count()
