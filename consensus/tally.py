"""Counting: votes become certificates, certificates move the view and make blocks final."""

from chain.crypto.votes import evidence_of, votes_conflict
from consensus import views
from consensus.certificate import certify, check_vote_form, signers_in, verify_certificate, verify_vote
from consensus.committee import is_quorum, next_turn
from consensus.errors import BadProposal
from consensus.events import (
    Accuse,
    Broadcast,
    EndEpoch,
    Finalized,
    Halt,
    Installed,
    Keep,
    Linked,
    Report,
    Send,
)
from consensus.evidence import certificates_conflict
from consensus.messages import (
    FINALIZE,
    KIND_NAMES,
    NOTARIZE,
    NULLIFY,
    Certificate,
    CertificateRequest,
    Proposal,
    Vote,
)
from consensus.state import CALM_BLOCKS, MAX_REPLY, SILENT_VIEWS, VIEWS_AHEAD, VIEWS_BEHIND, Draft, Link, Root


def receive_vote(draft: Draft, vote: Vote) -> None:
    """Count a stranger's vote. Raises BadVote."""
    state = draft.state
    check_vote_form(vote, draft.epoch.committee)
    if not state.root.view < vote.view <= state.view + VIEWS_AHEAD or vote.view < state.view - VIEWS_BEHIND:
        # Too late to count, but it shows that a signer we took for silent is alive.
        if draft.is_silent(vote.signer) and vote.view <= state.view <= vote.view + SILENT_VIEWS:
            _verify(draft, vote)
            _hear(draft, vote.signer, vote.view)
        return
    known = state.votes.get((vote.kind, vote.view), {}).get(vote.signer)
    if known is not None and known.block_hash == vote.block_hash:
        return
    if known is not None and (vote.signer, vote.view) in state.reported:
        return
    _verify(draft, vote)
    count(draft, vote)


def signed(draft: Draft, vote: Vote) -> None:
    """Send our own vote, which is on record by now, and count it. As leader's NOTARIZE it travels as the proposal."""
    state, us = draft.state, draft.epoch.us
    assert vote.signer == us
    if vote.epoch != draft.epoch.number or vote.view <= state.root.view:
        return
    _verify(draft, vote)
    message: Vote | Proposal = vote
    height = draft.height_of(vote.block_hash)
    if vote.kind == NOTARIZE and vote.view == state.view and state.proposing is not None and height is not None:
        parent_view, parent_hash = state.proposing
        message = Proposal(vote.epoch, vote.view, parent_view, parent_hash, vote.block_hash, height, vote)
        state.proposals[vote.view] = message
    draft.emit(Broadcast(message))
    count(draft, vote)


def receive_proposal(draft: Draft, proposal: Proposal) -> None:
    """Keep the first proposal of a view's leader. Raises BadProposal or BadVote."""
    state, vote = draft.state, proposal.leader_vote
    if (vote.kind, vote.epoch, vote.view) != (NOTARIZE, proposal.epoch, proposal.view):
        raise BadProposal(f"the leader's vote is not for view {proposal.view}")
    if vote.block_hash != proposal.block_hash or proposal.parent_view >= proposal.view:
        raise BadProposal(f"the proposal of view {proposal.view} contradicts itself")
    if not state.view <= proposal.view <= state.view + VIEWS_AHEAD:
        return
    if vote.signer != _leader(draft, proposal.view):
        raise BadProposal(f"signer {vote.signer} does not lead view {proposal.view}")
    if proposal.view in state.proposals:
        receive_vote(draft, vote)  # The same again, or evidence.
        return
    known = state.votes.get((NOTARIZE, proposal.view), {}).get(vote.signer)
    if known is None or known.signature != vote.signature:
        _verify(draft, vote)
    if known is None or known.block_hash == proposal.block_hash:
        state.proposals[proposal.view] = proposal
        if proposal.block_hash != proposal.parent_hash:
            state.links.setdefault(proposal.block_hash, Link(proposal.parent_hash, proposal.height))
    if known is None or known.block_hash != proposal.block_hash:
        count(draft, vote)
    resume(draft)


def _leader(draft: Draft, view: int) -> int:
    turn = draft.state.turn
    for _ in range(view - draft.state.view):
        turn = next_turn(draft.epoch.committee, turn)
    return turn.leader


def _verify(draft: Draft, vote: Vote) -> None:
    verify_vote(vote, draft.epoch.committee, draft.epoch.chain_id, draft.scheme)


def _hear(draft: Draft, signer: int, view: int) -> None:
    draft.state.heard[signer] = max(view, draft.state.heard.get(signer, 0))


def count(draft: Draft, vote: Vote) -> None:
    """Add a verified vote; report its signer if it contradicts itself; certify if it completes a quorum."""
    state, place = draft.state, (vote.kind, vote.view)
    _hear(draft, vote.signer, vote.view)
    for kind in KIND_NAMES:
        known = state.votes.get((kind, vote.view), {}).get(vote.signer)
        if known is not None and votes_conflict(known, vote) and (vote.signer, vote.view) not in state.reported:
            state.reported[vote.signer, vote.view] = kind
            draft.emit(Report(evidence_of(known, vote)))
    if vote.signer in state.votes.get(place, {}):
        return
    votes = state.votes[place] = {**state.votes.get(place, {}), vote.signer: vote}
    alike = {signer: each for signer, each in votes.items() if each.block_hash == vote.block_hash}
    if not _is_settled(draft, vote.kind, vote.view) and is_quorum(draft.epoch.committee, alike):
        insert(draft, certify(alike, len(draft.epoch.committee.members), draft.scheme))


def _is_settled(draft: Draft, kind: int, view: int) -> bool:
    """Whether a certificate of this kind and view would tell us nothing, unless it contradicts another."""
    state = draft.state
    if kind == FINALIZE:
        return state.final is not None and state.final.view >= view
    return view in (state.notarized if kind == NOTARIZE else state.nullified)


def receive_certificate(draft: Draft, certificate: Certificate) -> None:
    """Learn from a certificate what its signers decided. Raises BadCertificate."""
    if certificate.view <= draft.state.root.view:
        return
    contradicts = any(certificates_conflict(held, certificate) for held in views.held(draft.state, certificate.view))
    if _is_settled(draft, certificate.kind, certificate.view) and not contradicts:
        return
    verify_certificate(certificate, draft.epoch.committee, draft.epoch.chain_id, draft.scheme)
    insert(draft, certificate)


def insert(draft: Draft, certificate: Certificate) -> None:
    """Take in a verified certificate, pass it on once, and move with it."""
    state, view = draft.state, certificate.view
    if _contradicted(draft, certificate):
        return
    for signer in signers_in(certificate.bitmap, len(draft.epoch.committee.members)):
        _hear(draft, signer, view)
    draft.emit(Broadcast(certificate))
    if certificate.kind == NOTARIZE:
        state.notarized[view] = certificate
        views.fetch(draft, view, certificate.block_hash)
        _vote_to_finalize(draft, certificate)
    elif certificate.kind == NULLIFY:
        state.nullified[view] = certificate
        # A leader known to be silent says nothing about how slow the network is.
        if view == state.view and not draft.is_silent(state.turn.leader):
            state.delta_ms = min(draft.epoch.timing.cap_ms, state.delta_ms * 3 // 2)
            state.calm = 0
    else:
        state.final = certificate
        settle(draft)
    if not state.over and view >= state.view:
        views.enter(draft, view + 1)
    elif not state.over:
        views.act(draft)


def _contradicted(draft: Draft, certificate: Certificate) -> bool:
    """Report certificates that cannot both be honest. True: the first one stays, this one is not taken in."""
    state, view = draft.state, certificate.view
    for held in views.held(state, view):
        if not certificates_conflict(held, certificate):
            continue
        size = len(draft.epoch.committee.members)
        if (size, view) not in state.reported:
            state.reported[size, view] = certificate.kind
            draft.emit(Accuse(held, certificate))
        if held.kind == certificate.kind == FINALIZE:
            state.over = True
            draft.emit(Halt(f"two blocks are final in view {view}"))
        if held.kind == certificate.kind:
            return True
    return False


def _vote_to_finalize(draft: Draft, certificate: Certificate) -> None:
    """FINALIZE what we see notarized, unless we gave the view up, or others provably did."""
    state, own = draft.state, draft.own(certificate.view)
    if own.nullified or own.finalized is not None or certificate.view in state.nullified:
        return
    if draft.epoch.us is not None:
        # Once we vote FINALIZE we never NULLIFY, so after a crash this certificate alone gets us out of the view.
        draft.emit(Keep(certificate))
        draft.cast(FINALIZE, certificate.view, certificate.block_hash)


def settle(draft: Draft) -> None:
    """Make the finalized block and its ancestors final, in order, as soon as all of them are linked."""
    state = draft.state
    final = state.final
    if final is None or final.view <= state.root.view:
        return
    path: list[tuple[bytes, int]] = []
    block_hash = final.block_hash
    while block_hash != state.root.block_hash:
        link = state.links.get(block_hash)
        if link is None:
            views.fetch(draft, final.view, block_hash)
            return
        # Honest members check that heights rise by one, so anything else is a contradiction, and would never end.
        if link.height <= state.root.height or (path and link.height != path[-1][1] - 1):
            state.over = True
            draft.emit(Halt(f"final block {final.block_hash.hex()} does not descend from height {state.root.height}"))
            return
        path.append((block_hash, link.height))
        block_hash = link.parent_hash
    for each, height in reversed(path):
        draft.emit(Finalized(each, height, final))
    height = path[0][1] if path else state.root.height
    _calm_down(draft)
    move_root(draft, Root(final.view, final.block_hash, height))


def _calm_down(draft: Draft) -> None:
    state = draft.state
    state.calm += 1
    if state.calm == CALM_BLOCKS:
        state.calm = 0
        state.delta_ms = max(draft.epoch.timing.base_ms, state.delta_ms * 2 // 3)


def move_root(draft: Draft, root: Root) -> None:
    """Forget what lies at or below the new root; end the epoch if it is its last block."""
    state = draft.state
    state.root = root
    for by_view in (state.notarized, state.nullified, state.own, state.proposals):
        for view in [each for each in by_view if each <= root.view]:
            del by_view[view]
    state.votes = {key: votes for key, votes in state.votes.items() if key[1] > root.view}
    state.reported = {key: kind for key, kind in state.reported.items() if key[1] > root.view}
    state.fetching = {block_hash: view for block_hash, view in state.fetching.items() if view > root.view}
    state.links = {block_hash: link for block_hash, link in state.links.items() if link.height > root.height}
    if root.height == draft.epoch.last_height:
        state.over = True
        draft.emit(EndEpoch(draft.epoch.number, root.block_hash, root.height))


def resume(draft: Draft) -> None:
    """Go on with what was waiting."""
    if not draft.state.over:
        views.act(draft)


def linked(draft: Draft, event: Linked) -> None:
    """A missing block has come: finality, leading or judging may have waited for it."""
    if draft.state.fetching.pop(event.block_hash, None) is not None:
        draft.state.links[event.block_hash] = Link(event.parent_hash, event.height)
        settle(draft)
        resume(draft)


def installed(draft: Draft, event: Installed) -> None:
    """Stand on a block that block sync made final."""
    state, certificate = draft.state, event.certificate
    assert certificate.kind == FINALIZE and certificate.epoch == draft.epoch.number
    if certificate.view <= state.root.view:
        return
    if state.final is None or certificate.view > state.final.view:
        state.final = certificate
    move_root(draft, Root(certificate.view, certificate.block_hash, event.height))
    if not state.over:
        settle(draft)
    if not state.over and certificate.view >= state.view:
        views.enter(draft, certificate.view + 1)
    else:
        resume(draft)


def answer(draft: Draft, peer: bytes, request: CertificateRequest) -> None:
    """Send a peer our highest finalization and what we hold of the views it asks for, up to a bound."""
    state = draft.state
    found = [state.final] if state.final is not None and state.final.view >= request.first_view else []
    first = max(request.first_view, state.root.view + 1)
    for view in range(first, min(request.last_view, state.view - 1, first + MAX_REPLY) + 1):
        found += [each for each in views.held(state, view) if each not in found]
    draft.emit(*[Send(peer, certificate) for certificate in found[:MAX_REPLY]])
