"""What a validator does in its current view: lead, judge, give up, say again."""

from chain.crypto.hashing import ZERO
from consensus.committee import later_turn
from consensus.events import (
    LEADER,
    RETRY,
    VIEW,
    Broadcast,
    Built,
    CastVote,
    FetchBlock,
    Judge,
    Judged,
    Propose,
    SetTimer,
    TimerFired,
)
from consensus.messages import NOTARIZE, NULLIFY, Certificate, CertificateRequest, Proposal
from consensus.state import MAX_REPLY, VIEWS_BEHIND, Draft, Link, State


def enter(draft: Draft, view: int) -> None:
    """Leave the current view for a later one, for which a certificate of the view before it is held."""
    state = draft.state
    assert view > state.view
    if view > state.view + 1:
        state.heard_floor = view  # We were away: whom we did not hear is not to blame.
    state.turn = later_turn(draft.epoch.committee, state.turn, view - state.view)
    state.nullified_from = _first_of_run(state, view)
    state.view = view
    state.proposing = state.judging = None
    state.retrying = state.asked = False
    state.votes = {key: ballots for key, ballots in state.votes.items() if key[1] >= view - VIEWS_BEHIND}
    state.proposals = {each: proposal for each, proposal in state.proposals.items() if each >= view}
    begin(draft)


def begin(draft: Draft) -> None:
    """Start the clocks of the current view, and act as its leader or on a proposal that is already here."""
    state, timing = draft.state, draft.epoch.timing
    wait_ms = 0 if draft.is_silent(state.turn.leader) else 2 * state.delta_ms + timing.patience_ms
    draft.emit(SetTimer(LEADER, state.view, wait_ms))
    draft.emit(SetTimer(VIEW, state.view, 3 * state.delta_ms + timing.patience_ms))
    recast(draft, state.view)
    act(draft)


def recast(draft: Draft, view: int) -> None:
    """Ask again for our recorded votes of a view that are not counted yet, as after a crash."""
    for kind, block_hash in draft.own(view).votes():
        if draft.epoch.us not in draft.state.ballots(kind, view).proven:
            draft.emit(CastVote(kind, draft.epoch.number, view, block_hash))


def act(draft: Draft) -> None:
    """Propose or judge, if this is our turn and everything needed has come."""
    if draft.epoch.us is None or draft.own(draft.state.view).votes():
        return
    if draft.epoch.us == draft.state.turn.leader:
        lead(draft)
    else:
        judge(draft)


def find_parent(draft: Draft, wanted: bytes | None, hint: int = 0) -> int | None:
    """The highest earlier view that certified `wanted` (None: any block) and is followed by nullified views only.

    None: there is none, or certificates are missing; those are asked for, once in a view. This is the gap rule: a block
    of view v stands on one of view p only where every view between is provably given up, so that no block finalized
    between them can be passed over. `hint`: the view that is said to have certified it. We may hold that view's
    nullification, and so miss none, while others hold its notarization too.
    """
    state = draft.state
    # Below this view nothing can be a parent: it is not given up itself, or it is the root.
    lowest = state.nullified_from - 1
    view = state.highest if wanted is None else state.certified.get(wanted, -1)
    if wanted == state.root.block_hash:
        view = max(view, state.root.view)
    if view >= lowest:
        return view
    wanting = [each for each in (lowest, hint) if state.root.view < each < state.view]
    if wanting and not state.asked:
        state.asked = True
        first = min(first_missing(state), *wanting)
        draft.emit(Broadcast(CertificateRequest(draft.epoch.number, first, max(wanting))))
    return None


def note_certified(state: State, certificate: Certificate) -> None:
    """A block was certified in a view: it may be a parent."""
    view = max(certificate.view, state.certified.get(certificate.block_hash, 0))
    state.certified = {**state.certified, certificate.block_hash: view}
    state.highest = max(state.highest, view)


def note_nullified(state: State, view: int) -> None:
    """A view was given up: the run of such views before ours may have become longer."""
    if view == state.nullified_from - 1 and view < state.view:
        state.nullified_from = _first_of_run(state, view)


def _first_of_run(state: State, view: int) -> int:
    """The lowest view such that all from it up to `view` are nullified; `view` itself may not be."""
    while view - 1 in state.nullified:
        view -= 1
        if view == state.view:
            return state.nullified_from  # From here on it is known.
    return view


def first_missing(state: State) -> int:
    """The lowest view above the root of which we hold no certificate; the current view has none."""
    while has_certificate(state, state.missing_from):
        state.missing_from += 1
    return state.missing_from


def has_certificate(state: State, view: int) -> bool:
    """Whether we hold a certificate of this view."""
    return view in state.notarized or view in state.nullified or (state.final is not None and view == state.final.view)


def fetch(draft: Draft, view: int, block_hash: bytes) -> None:
    """Ask the shell for a block we know only by its hash, once."""
    if draft.height_of(block_hash) is None and block_hash not in draft.state.fetching:
        draft.state.fetching = {**draft.state.fetching, block_hash: view}
        draft.emit(FetchBlock(view, block_hash))


def lead(draft: Draft) -> None:
    """Choose the parent and ask for a block on it; on the epoch's last block, propose that block again."""
    state = draft.state
    if state.proposing is not None:
        return
    parent_view = find_parent(draft, None)
    if parent_view is None:
        return
    parent_hash = draft.entry(parent_view)
    assert parent_hash is not None
    height = draft.height_of(parent_hash)
    if height is None:
        fetch(draft, parent_view, parent_hash)
        return
    state.proposing = (parent_view, parent_hash)
    if height == draft.epoch.last_height:
        draft.cast(NOTARIZE, state.view, parent_hash)
    else:
        draft.emit(Propose(state.view, parent_hash, parent_view))


def built(draft: Draft, event: Built) -> None:
    """Vote for the block the shell built for us; the signed vote travels as the proposal."""
    state = draft.state
    if event.view != state.view or state.proposing is None or draft.own(state.view).votes():
        return
    parent_hash = state.proposing[1]
    height = draft.height_of(parent_hash)
    if height is not None and height < draft.epoch.last_height:
        state.links = {**state.links, event.block_hash: Link(parent_hash, height + 1)}
        draft.cast(NOTARIZE, state.view, event.block_hash)


def judge(draft: Draft) -> None:
    """Ask for the verdict on the leader's block once its parent and the gap are certified."""
    state = draft.state
    proposal = state.proposals.get(state.view)
    if proposal is None or state.judging is not None:
        return
    parent_view = find_parent(draft, proposal.parent_hash, proposal.parent_view)
    if parent_view is None:
        return
    height = draft.height_of(proposal.parent_hash)
    if height is None:
        fetch(draft, parent_view, proposal.parent_hash)
    elif fits(proposal, height, draft.epoch.last_height):
        state.judging = proposal.block_hash
        draft.emit(Judge(state.view, proposal.block_hash))
    else:
        state.proposals = {view: each for view, each in state.proposals.items() if view != state.view}


def fits(proposal: Proposal, parent_height: int, last_height: int) -> bool:
    """Whether the block is the next after its parent, or the epoch's last block again."""
    if parent_height == last_height:
        return proposal.block_hash == proposal.parent_hash and proposal.height == parent_height
    return proposal.block_hash != proposal.parent_hash and proposal.height == parent_height + 1


def judged(draft: Draft, event: Judged) -> None:
    """NOTARIZE a valid block; give the view up at once if the block is not."""
    state = draft.state
    if event.view != state.view or event.block_hash != state.judging or draft.own(state.view).votes():
        return
    if event.valid:
        draft.cast(NOTARIZE, state.view, event.block_hash)
    else:
        give_up(draft)


def give_up(draft: Draft) -> None:
    """NULLIFY the current view, unless we voted to FINALIZE it; from now on repeat ourselves until it ends."""
    state = draft.state
    own = draft.own(state.view)
    if own.finalized is None and not own.nullified:
        draft.cast(NULLIFY, state.view, ZERO)
    if not state.retrying:
        state.retrying = True
        draft.emit(SetTimer(RETRY, state.view, state.delta_ms))


def timer_fired(draft: Draft, event: TimerFired) -> None:
    state = draft.state
    if event.view != state.view:
        return
    if event.kind == RETRY:
        say_again(draft)
    elif event.kind == VIEW or state.view not in state.proposals:
        give_up(draft)


def say_again(draft: Draft) -> None:
    """Repeat our votes and what brought us here, and ask what we missed: any of it may have been lost."""
    state, us = draft.state, draft.epoch.us
    view = state.view
    recast(draft, view)
    for kind, _ in draft.own(view).votes():
        vote = None if us is None else state.ballots(kind, view).proven.get(us)
        proposal = state.proposals.get(view)
        if vote is not None and kind == NOTARIZE and proposal is not None and proposal.leader_vote == vote:
            draft.emit(Broadcast(proposal))
        elif vote is not None:
            draft.emit(Broadcast(vote))
    for certificate in held(state, view - 1):
        draft.emit(Broadcast(certificate))
    draft.emit(Broadcast(CertificateRequest(draft.epoch.number, first_missing(state), view + MAX_REPLY)))
    draft.emit(SetTimer(RETRY, view, state.delta_ms))


def held(state: State, view: int) -> list[Certificate]:
    """Our certificates of one view."""
    found = [certificates[view] for certificates in (state.notarized, state.nullified) if view in certificates]
    if state.final is not None and state.final.view == view:
        found.append(state.final)
    return found
