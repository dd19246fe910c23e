"""The protocol: stake-weighted Simplex (Chan and Pass, TCC 2023) as step(state, event) → (state, effects).

**What is agreed on.** A chain of blocks, known here by 32-byte hash, parent hash and height only. Time is cut into
views, counted from 1 in every epoch. Each view has one leader (weighted round-robin) and at most one block. A *quorum*
is any set of members that holds strictly more than two thirds of the power; less than one third may do anything at all.

**In view v** a validator
1. starts two clocks: 2Δ for a proposal to come and 3Δ for the view to end;
2. as leader, proposes a child of the highest block that it knows to be notarized, provided it holds a nullification of
   every view between that block's and v (the *gap rule*);
3. votes NOTARIZE for the first valid proposal of the leader whose parent is notarized, under the same gap rule, once;
4. votes NULLIFY when a clock runs out or the block is invalid, and does not NOTARIZE afterwards;
5. on a quorum of NOTARIZE (a *notarization*) votes FINALIZE, unless it has voted NULLIFY in v, and enters view v + 1;
6. on a quorum of NULLIFY (a *nullification*) enters view v + 1.
A quorum of FINALIZE makes the block and all its ancestors final, however late it comes. Any certificate of a view not
below ours brings us to the view after it. Each certificate is passed on once; who gives up repeats its votes, shows
what brought it here, and asks for what it missed until the view ends.

**Why it is safe.** Two quorums share more than a third of the power, so an honest member. It notarizes once a view: one
block is notarized per view. It never both NULLIFIES and FINALIZES a view, also across a crash (its votes are on disk
before they leave): a view with a finalized block has no nullification. So every later block must, by the gap rule,
stand on the finalized one. NOTARIZE followed by NULLIFY is legal and needed, and nobody is punished for it.

**Why it goes on.** After the network is well again, all honest members reach a view within one message delay of each
other, because certificates are passed on; an honest leader then has what the gap rule asks for; its block is notarized
before any clock runs out once Δ is large enough, and Δ grows by half (up to a cap) with each view given up that follows
another, and shrinks by a third after ten finalizations.

**What is checked when.** A certificate is checked when it comes, unless we hold one that says as much. A vote waits
unchecked until the votes for its block would be a quorum if all were true; then their sum is checked, once for all of
them, as `consensus.counting` tells. So a view costs three checks, of the leader's vote and of two sums, however many
members there are. An unchecked vote decides nothing and shows nobody to be alive; who delivers a forged one is blamed
when that is found.

**Epochs.** The members and their power change between epochs only. The block at `last_height` ends its epoch, and must
be final before the next one starts. Until then, views above it propose that same block again: a proposal whose block is
its parent. Whichever of these views finalizes it ends the epoch.

**Where this differs from the paper, and why.**
- Stake instead of heads; leaders by schedule instead of by hash: fair shares, and no coins to toss.
- Blocks name their parent, and blocks of given-up views are certified holes instead of empty blocks in the chain.
- The paper sends whole notarized chains; here a certificate moves the view and missing ones are asked for, because a
  validator that comes back after an hour must not be sent the hour by everybody.
- No NOTARIZE after NULLIFY. The paper allows it; refusing costs nothing, since the view is nullified anyway.
- A notarized block is finalized without having been judged by oneself: its quorum holds honest members that judged it.
- The paper checks every signature when it comes; here most are checked in sum, and late ones never.
- Clocks adapt, and a leader that has not been heard for a while is given up at once, so that one dead validator of four
  costs no waiting. A view lost to a silent leader leaves Δ as it is.
- The certificate that brings us to a view is kept on disk before we vote there, and a notarization before FINALIZE is
  voted. Otherwise certificates that the gap rule asks for are lost when members crash one after another, and cannot be
  made again: some never voted in the view that is missing, and who voted FINALIZE in it may not give it up.
- The last block of an epoch is proposed again until it is final; the paper has no epochs.
- Two rules of others were left out. A leader seen to sign two blocks is reported, but if one of them is notarized it
  is finalized like any other: refusing would let the leader delay finality, and safety does not need it. And a leader's
  own NULLIFY makes nobody give up earlier: it comes when the leader's clock has run out, and ours runs out then too.

`parent_view` of a proposal is a hint: receivers look up which view notarized the parent, so altering it gains nothing.
"""

from collections.abc import Iterable, Mapping

from chain.crypto import bls
from consensus import counting, tally, views
from consensus.certificate import Scheme
from consensus.committee import first_turn, later_turn
from consensus.errors import ConsensusError
from consensus.events import (
    Blame,
    Built,
    Effect,
    Event,
    Installed,
    Judged,
    Linked,
    Received,
    Signed,
    TimerFired,
)
from consensus.messages import Certificate, CertificateRequest, Message, Proposal, Vote
from consensus.state import VIEWS_BEHIND, Draft, Epoch, Own, Root, State

Effects = tuple[Effect, ...]


def step(state: State, event: Event, epoch: Epoch, scheme: Scheme = bls) -> tuple[State, Effects]:
    """Advance by one event; `state` stays as it was. The same state and event always give the same answer.

    Messages of other epochs change nothing. A message that is seen to be one that no honest peer sends changes nothing
    but earns Blame; a forged vote may be found later than it comes, and the peers that brought it are blamed then.
    """
    draft = Draft(state.copy(), epoch, scheme)
    match event:
        case Received(peer, message):
            try:
                _receive(draft, peer, message)
            except ConsensusError as error:
                return state, (Blame(peer, str(error)),)
        case _ if state.over:
            return state, ()
        case Signed(vote):
            counting.signed(draft, vote)
        case Built():
            views.built(draft, event)
        case Judged():
            views.judged(draft, event)
        case Linked():
            tally.linked(draft, event)
        case Installed():
            tally.installed(draft, event)
        case TimerFired():
            views.timer_fired(draft, event)
    return draft.state, tuple(draft.effects)


def _receive(draft: Draft, peer: bytes, message: Message) -> None:
    if message.epoch != draft.epoch.number:
        return
    match message:
        case CertificateRequest():
            tally.answer(draft, peer, message)  # Also after our epoch is over: others may still be in it.
        case _ if draft.state.over:
            return
        case Vote():
            counting.receive_vote(draft, peer, message)
        case Certificate():
            tally.receive_certificate(draft, message)
        case Proposal():
            counting.receive_proposal(draft, peer, message)


def start(
    epoch: Epoch,
    root: Root | None = None,
    own: Mapping[int, Own] | None = None,
    kept: Iterable[Certificate] = (),
    scheme: Scheme = bls,
    final: Certificate | None = None,
) -> tuple[State, Effects]:
    """Begin an epoch, or come back to it after a crash.

    After a crash, `root` is the last finalized block of this epoch (None: none yet), `final` its finalization, `own`
    what the sign-state records for it by view, and `kept` the certificates that effects asked to Keep.
    """
    root = root or Root(0, epoch.anchor_hash, epoch.anchor_height)
    turn = later_turn(epoch.committee, first_turn(epoch.committee, epoch.number), root.view)
    state = State(root, turn, epoch.timing.base_ms, view=root.view + 1, heard_floor=root.view)
    state.highest, state.nullified_from, state.missing_from = root.view, root.view + 1, root.view + 1
    state.final = final  # Who is one block behind gets it from us, if all others crashed too.
    state.own = {view: votes for view, votes in (own or {}).items() if view > root.view}
    draft = Draft(state, epoch, scheme)
    for certificate in sorted(kept, key=lambda each: each.view):
        if certificate.epoch == epoch.number and certificate.view > root.view:
            tally.insert(draft, certificate)
    if state.view == root.view + 1:
        views.begin(draft)
    for view in sorted(state.own):
        if state.view - VIEWS_BEHIND <= view < state.view:  # Nobody counts votes of earlier views.
            views.recast(draft, view)
    return state, tuple(draft.effects)
