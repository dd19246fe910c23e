"""Certificates: they move the view and make blocks final."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from consensus import views
from consensus.certificate import signers_in, verify_certificate
from consensus.events import Accuse, Broadcast, EndEpoch, Finalized, Halt, Installed, Keep, Linked, Send
from consensus.evidence import certificates_conflict
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, CertificateRequest
from consensus.state import CALM_BLOCKS, MAX_REPLY, Draft, Link, Root

T = TypeVar("T")


def is_settled(draft: Draft, kind: int, view: int) -> bool:
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
    if is_settled(draft, certificate.kind, certificate.view) and not contradicts:
        return
    verify_certificate(certificate, draft.epoch.committee, draft.epoch.chain_id, draft.scheme)
    insert(draft, certificate)


def insert(draft: Draft, certificate: Certificate) -> None:
    """Take in a verified certificate, pass it on once, and move with it."""
    state, view = draft.state, certificate.view
    if _contradicted(draft, certificate):
        return
    hear(draft, view, signers_in(certificate.bitmap, len(draft.epoch.committee.members)))
    draft.emit(Broadcast(certificate))
    if draft.epoch.us is not None and view >= state.view:
        # Who votes in a view can show the certificate of the one before it, also after a crash: so none that later
        # views were built on can be lost by honest members that crash one after another.
        draft.emit(Keep(certificate))
    if certificate.kind == NOTARIZE:
        state.notarized = {**state.notarized, view: certificate}
        views.note_certified(state, certificate)
        views.fetch(draft, view, certificate.block_hash)
        _vote_to_finalize(draft, certificate)
    elif certificate.kind == NULLIFY:
        state.nullified = {**state.nullified, view: certificate}
        views.note_nullified(state, view)
        # A leader known to be silent says nothing about how slow the network is, nor does one view between good ones:
        # else a single bad leader would make everybody wait the longest time in each of its views.
        if view == state.view and view > state.highest + 1 and not draft.is_silent(state.turn.leader):
            state.delta_ms = min(draft.epoch.timing.cap_ms, state.delta_ms * 3 // 2)
            state.calm = 0
    elif state.final is None or state.final.view < view:
        state.final = certificate
        views.note_certified(state, certificate)
        settle(draft)
    if not state.over and view >= state.view:
        views.enter(draft, view + 1)
    elif not state.over:
        views.act(draft)


def hear(draft: Draft, view: int, signers: Iterable[int]) -> None:
    """These signers have provably spoken of this view."""
    heard = draft.state.heard
    later = {signer: view for signer in signers if view > heard.get(signer, 0)}
    if later:
        draft.state.heard = {**heard, **later}


def _contradicted(draft: Draft, certificate: Certificate) -> bool:
    """Report certificates that cannot both be honest. True: the first one stays, this one is not taken in."""
    state, view = draft.state, certificate.view
    for held in views.held(state, view):
        if not certificates_conflict(held, certificate):
            continue
        size = len(draft.epoch.committee.members)
        if (size, view) not in state.reported:
            state.reported = {**state.reported, (size, view): certificate.kind}
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
        if certificate.view < state.view:
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
    above = root.view + 1
    state.notarized, state.nullified = _from(state.notarized, above), _from(state.nullified, above)
    state.own, state.proposals = _from(state.own, above), _from(state.proposals, above)
    state.votes = {key: ballots for key, ballots in state.votes.items() if key[1] >= above}
    state.reported = {key: kind for key, kind in state.reported.items() if key[1] >= above}
    state.fetching = {block_hash: view for block_hash, view in state.fetching.items() if view >= above}
    state.certified = {block_hash: view for block_hash, view in state.certified.items() if view >= above}
    state.links = {block_hash: link for block_hash, link in state.links.items() if link.height > root.height}
    state.highest = max(state.highest, root.view)
    state.nullified_from = max(state.nullified_from, above)
    state.missing_from = max(state.missing_from, above)
    if root.height == draft.epoch.last_height:
        state.over = True
        draft.emit(EndEpoch(draft.epoch.number, root.block_hash, root.height))


def _from(by_view: Mapping[int, T], first: int) -> Mapping[int, T]:
    return {view: each for view, each in by_view.items() if view >= first}


def resume(draft: Draft) -> None:
    """Go on with what was waiting."""
    if not draft.state.over:
        views.act(draft)


def linked(draft: Draft, event: Linked) -> None:
    """A missing block has come: finality, leading or judging may have waited for it."""
    state = draft.state
    if event.block_hash in state.fetching:
        state.fetching = {each: view for each, view in state.fetching.items() if each != event.block_hash}
        state.links = {**state.links, event.block_hash: Link(event.parent_hash, event.height)}
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
        views.note_certified(state, certificate)
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
