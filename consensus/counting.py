"""Counting votes: none is checked before it can matter, and then all that matter together.

Checking one signature costs as many pairings as checking the sum of a hundred. So a vote waits unproven until the votes
for its block would be a quorum if all were true. Then their sum is checked, once. If it is wrong, halving finds forged
ones, and the peers that brought them lose whatever nobody else brought too.

Three kinds of vote are checked at once: a leader's in its proposal, because it starts work; one that says something
else than another of the same signer, because one of them is forged or both are evidence; and one of a signer that would
soon be taken for silent, because only proven votes count as heard. So a forged vote never keeps the true one out, and
costs its deliverer the connection.

Two votes that are wrong alone can be right in sum. That the signers said it is proven all the same, for nobody can make
such a sum without their true signatures; but it is no evidence, so both votes are checked alone before a Report.
"""

from collections.abc import Sequence

from chain.crypto.votes import evidence_of, votes_conflict
from chain.errors import BadSignature
from consensus import tally
from consensus.ballots import Ballots, Unproven
from consensus.certificate import certify, check_vote_form, verify_vote
from consensus.committee import later_turn
from consensus.errors import BadProposal
from consensus.events import Blame, Broadcast, Report
from consensus.messages import KIND_NAMES, NOTARIZE, NULLIFY, Certificate, Proposal, Vote, vote_message
from consensus.state import SILENT_VIEWS, VIEWS_AHEAD, VIEWS_BEHIND, Draft, Link


def receive_vote(draft: Draft, peer: bytes, vote: Vote) -> None:
    """Take in a stranger's vote. Raises BadVote."""
    state = draft.state
    check_vote_form(vote, draft.epoch.committee)
    news = vote.view <= state.view and vote.view > draft.last_heard(vote.signer) and draft.is_fading(vote.signer)
    if not state.root.view < vote.view <= state.view + VIEWS_AHEAD or vote.view < state.view - VIEWS_BEHIND:
        # Too late to count, but it shows that a signer we might take for silent is alive.
        if news and state.view <= vote.view + SILENT_VIEWS:
            _verify(draft, vote)
            tally.hear(draft, vote.view, [vote.signer])
        return
    ballots = state.ballots(vote.kind, vote.view)
    known = ballots.proven.get(vote.signer)
    if known is not None and (known.block_hash == vote.block_hash or (vote.signer, vote.view) in state.reported):
        return
    waiting = ballots.unproven.get(vote.signer)
    if news or _has_rival(draft, vote):
        _verify(draft, vote)
        count(draft, vote)
    elif waiting is not None:
        _put(draft, vote, ballots.with_unproven(waiting.also_from(peer), 0))
    else:
        power = draft.epoch.committee.members[vote.signer].power
        _put(draft, vote, ballots.with_unproven(Unproven(vote, (peer,)), power))
        _certify(draft, vote)


def signed(draft: Draft, vote: Vote) -> None:
    """Send our own vote, which is on record by now, and count it. As leader's NOTARIZE it travels as the proposal.

    A vote for what is final meanwhile decides nothing, but the next leader shows who was present.
    """
    state, us = draft.state, draft.epoch.us
    assert vote.signer == us
    if vote.epoch != draft.epoch.number or vote.view <= state.root.view:
        if vote.epoch == draft.epoch.number and vote.kind != NULLIFY:
            draft.emit(Broadcast(vote))
        return
    message: Vote | Proposal = vote
    height = draft.height_of(vote.block_hash)
    if vote.kind == NOTARIZE and vote.view == state.view and state.proposing is not None and height is not None:
        parent_view, parent_hash = state.proposing
        message = Proposal(vote.epoch, vote.view, parent_view, parent_hash, vote.block_hash, height, vote)
        state.proposals = {**state.proposals, vote.view: message}
    draft.emit(Broadcast(message))
    count(draft, vote)


def receive_proposal(draft: Draft, peer: bytes, proposal: Proposal) -> None:
    """Keep the first proposal of a view's leader. Raises BadProposal or BadVote."""
    state, vote = draft.state, proposal.leader_vote
    if (vote.kind, vote.epoch, vote.view) != (NOTARIZE, proposal.epoch, proposal.view):
        raise BadProposal(f"the leader's vote is not for view {proposal.view}")
    if vote.block_hash != proposal.block_hash or proposal.parent_view >= proposal.view:
        raise BadProposal(f"the proposal of view {proposal.view} contradicts itself")
    if not state.view <= proposal.view <= state.view + VIEWS_AHEAD:
        return
    if vote.signer != later_turn(draft.epoch.committee, state.turn, proposal.view - state.view).leader:
        raise BadProposal(f"signer {vote.signer} does not lead view {proposal.view}")
    if proposal.view in state.proposals:
        receive_vote(draft, peer, vote)  # The same again, or evidence.
        return
    known = state.ballots(NOTARIZE, proposal.view).proven.get(vote.signer)
    if known is None or known.signature != vote.signature:
        _verify(draft, vote)
        _check_rivals(draft, vote)
        known = state.ballots(NOTARIZE, proposal.view).proven.get(vote.signer)
    if known is None or known.block_hash == vote.block_hash:
        state.proposals = {**state.proposals, proposal.view: proposal}
        if proposal.block_hash != proposal.parent_hash and proposal.block_hash not in state.links:
            state.links = {**state.links, proposal.block_hash: Link(proposal.parent_hash, proposal.height)}
    if known is None or known.block_hash != vote.block_hash:
        count(draft, vote)
    tally.resume(draft)


def count(draft: Draft, vote: Vote) -> None:
    """Add a vote known to be true; report its signer if it contradicts itself; certify if it completes a quorum."""
    state = draft.state
    tally.hear(draft, vote.view, [vote.signer])
    _check_rivals(draft, vote)
    for kind in KIND_NAMES:
        known = state.ballots(kind, vote.view).proven.get(vote.signer)
        if known is not None and votes_conflict(known, vote) and (vote.signer, vote.view) not in state.reported:
            state.reported = {**state.reported, (vote.signer, vote.view): kind}
            if _is_true(draft, known):
                draft.emit(Report(evidence_of(known, vote)))
    ballots = state.ballots(vote.kind, vote.view)
    if vote.signer not in ballots.proven:
        _put(draft, vote, ballots.with_proven(vote, draft.epoch.committee.members[vote.signer].power))
        _certify(draft, vote)


def _certify(draft: Draft, vote: Vote) -> None:
    """Make a certificate of the votes like this one if they are a quorum, and true."""
    epoch, ballots, size = draft.epoch, draft.state.ballots(vote.kind, vote.view), len(draft.epoch.committee.members)
    if 3 * ballots.power[vote.block_hash] <= 2 * epoch.total_power or tally.is_settled(draft, vote.kind, vote.view):
        return
    proven = {signer: each for signer, each in ballots.proven.items() if each.block_hash == vote.block_hash}
    waiting = [each for each in ballots.unproven.values() if each.vote.block_hash == vote.block_hash]
    votes = [each.vote for each in waiting]
    certificate = _joined(draft, [*proven.values(), *votes]) if waiting else certify(proven, size, draft.scheme)
    if certificate is not None:
        _put(draft, vote, ballots.with_all_proven(votes))
        tally.insert(draft, certificate)
        return
    liars: list[bytes] = []
    good = _sift(draft, sorted(waiting, key=lambda each: (each.peers, each.vote.signer)), liars)
    _put(draft, vote, ballots.with_all_proven(good))
    tally.hear(draft, vote.view, [each.signer for each in good])
    _convict(draft, liars, vote)
    _certify(draft, vote)  # Once more: now all votes like this one are proven.


def _sift(draft: Draft, waiting: Sequence[Unproven], liars: list[bytes]) -> list[Vote]:
    """The true ones of these votes. Who brought a forged one joins the liars, and what only liars brought is left out.

    In order of peers a liar's votes stand together, so finding it takes twice the logarithm of the votes, however many
    it forged.
    """
    suspects = [each for each in waiting if not all(peer in liars for peer in each.peers)]
    votes = [each.vote for each in suspects]
    if not votes or _joined(draft, votes) is not None:
        return votes
    if len(votes) == 1:
        liars += [peer for peer in suspects[0].peers if peer not in liars]
        return []
    half = len(suspects) // 2
    return _sift(draft, suspects[:half], liars) + _sift(draft, suspects[half:], liars)


def _has_rival(draft: Draft, vote: Vote) -> bool:
    """Whether another vote of its signer in this view says something else: one is forged, or both are evidence."""
    state, signer = draft.state, vote.signer
    for kind in KIND_NAMES:
        ballots = state.votes.get((kind, vote.view))
        if ballots is None:
            continue
        waiting, known = ballots.unproven.get(signer), ballots.proven.get(signer)
        if waiting is not None and _are_rivals(waiting.vote, vote):
            return True
        if known is not None and votes_conflict(known, vote) and (signer, vote.view) not in state.reported:
            return True
    return False


def _are_rivals(one: Vote, other: Vote) -> bool:
    return votes_conflict(one, other) or (one.kind == other.kind and one.signature != other.signature)


def _check_rivals(draft: Draft, vote: Vote) -> None:
    """Check every unproven vote that says something else than this true one of the same signer and view."""
    state = draft.state
    for kind in KIND_NAMES:
        ballots = state.ballots(kind, vote.view)
        waiting = ballots.unproven.get(vote.signer)
        if waiting is None or not _are_rivals(waiting.vote, vote):
            continue
        if _is_true(draft, waiting.vote):
            _put(draft, waiting.vote, ballots.with_all_proven([waiting.vote]))
        else:
            _convict(draft, waiting.peers, waiting.vote)


def _convict(draft: Draft, liars: Sequence[bytes], vote: Vote) -> None:
    """Blame who brought a forged vote, and forget what else nobody but them brought."""
    state = draft.state
    draft.emit(*[Blame(peer, f"a vote of view {vote.view} that its signer did not sign") for peer in liars])
    committee = draft.epoch.committee
    state.votes = {place: ballots.without(liars, committee) for place, ballots in state.votes.items()}


def _put(draft: Draft, vote: Vote, ballots: Ballots) -> None:
    draft.state.votes = {**draft.state.votes, (vote.kind, vote.view): ballots}


def _verify(draft: Draft, vote: Vote) -> None:
    verify_vote(vote, draft.epoch.committee, draft.epoch.chain_id, draft.scheme)


def _is_true(draft: Draft, vote: Vote) -> bool:
    return _joined(draft, [vote]) is not None


def _joined(draft: Draft, votes: Sequence[Vote]) -> Certificate | None:
    """These votes for the same thing in one, if their signers signed them, taken together: one pairing check."""
    first, members = votes[0], draft.epoch.committee.members
    try:
        certificate = certify({vote.signer: vote for vote in votes}, len(members), draft.scheme)
    except BadSignature:
        return None
    message = vote_message(draft.epoch.chain_id, first.kind, first.epoch, first.view, first.block_hash)
    keys = [members[vote.signer].public_key for vote in votes]
    return certificate if draft.scheme.fast_aggregate_verify(keys, message, certificate.signature) else None
