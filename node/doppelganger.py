"""Whether another machine votes with our key, or our record of votes is older than our last vote. Start at `look`.

Two machines with one key contradict each other sooner or later, which costs the stake. So a validator listens before
it votes, longer than the others can be silent, and stops for good when it hears a vote of its own that it has no record
of. A node without peers does not wait.
"""

from collections.abc import Callable

from consensus.certificate import signers_in, verify_certificate, verify_vote
from consensus.committee import Committee, is_quorum
from consensus.messages import Certificate, Message, Proposal, Vote
from consensus.state import VIEWS_AHEAD, Epoch, Own, State
from node.errors import NodeError
from node.runtime import Runtime, Timer
from node.sign_state import SignState

MARGIN_MS = 2_000  # beyond the longest time between two blocks


class Doppelganger:
    """Knows our key and our record; is shown every message of the present epoch. `wait_ms` is 0 where nobody is met."""

    def __init__(self, runtime: Runtime, wait_ms: int, public_key: bytes, sign_state: SignState) -> None:
        self.runtime = runtime
        self.wait_ms = wait_ms
        self.public_key = public_key
        self.sign_state = sign_state
        # Whether the others have left this place of the chain, where we do not vote then: we hear of our earlier life.
        self.is_over_elsewhere: Callable[[], bool] = lambda: False
        self._over = wait_ms == 0
        self._timer: Timer | None = None
        self._then: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> bool:
        """Whether we would vote, and listen first."""
        return not self._over

    def may_vote(self, committee: Committee, us: int, then: Callable[[], None]) -> bool:
        """Whether we have listened long enough; if not, `then` is called once we have."""
        self._then = then
        if is_quorum(committee, [us]):
            self.heard()  # Nothing is decided without us, so there may be nobody to listen to.
        return self._over

    def heard(self) -> None:
        """A peer is there: from now on there is something to listen to."""
        if not self._over and self._timer is None:
            # Two machines that are started by one command must not both end their silence at once.
            spread_ms = self.runtime.random.randrange(self.wait_ms // 2 + 1)
            self._timer = self.runtime.later(self.wait_ms + spread_ms, self._end)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self._over = True
        self._then()

    def look(self, message: Message, epoch: Epoch, state: State) -> None:
        """Raises NodeError if the message proves a vote of ours that is not on record, ConsensusError if it is forged.

        What is about views that are over cannot be contradicted any more, and is not worth checking a signature.
        """
        place = epoch.committee.place_of(self.public_key)
        if place is None or message.epoch != epoch.number or not _matters(message, state):
            return
        match message:
            case Vote(signer=signer) if signer == place:
                self._check_vote(message, epoch)
            case Proposal(leader_vote=vote) if vote.signer == place:
                self._check_vote(vote, epoch)
            case Certificate():
                self._check_certificate(message, place, epoch)

    def _is_recorded(self, kind: int, epoch: int, view: int, block_hash: bytes) -> bool:
        # The votes first: who prunes in another thread raises the floor before it forgets them.
        is_known = (kind, block_hash) in self.sign_state.own_votes(epoch).get(view, Own()).votes()
        return is_known or (epoch, view) <= self.sign_state.floor  # Forgotten, because a block there was final.

    def _check_vote(self, vote: Vote, epoch: Epoch) -> None:
        if not self._is_recorded(vote.kind, vote.epoch, vote.view, vote.block_hash):
            verify_vote(vote, epoch.committee, epoch.chain_id)
            self._found(vote.epoch, vote.view)

    def _check_certificate(self, certificate: Certificate, place: int, epoch: Epoch) -> None:
        if place not in signers_in(certificate.bitmap, len(epoch.committee.members)):
            return
        if not self._is_recorded(certificate.kind, certificate.epoch, certificate.view, certificate.block_hash):
            verify_certificate(certificate, epoch.committee, epoch.chain_id)
            self._found(certificate.epoch, certificate.view)

    def _found(self, epoch: int, view: int) -> None:
        if self.is_over_elsewhere():
            return
        raise NodeError(
            f"a vote with this node's validator key in epoch {epoch}, view {view} is not in {self.sign_state.path}: "
            "either another machine runs with the same words, or this record was restored from an old copy; "
            "run one machine only, or start this one with the words of another wallet"
        )


def _matters(message: Message, state: State) -> bool:
    """Whether this node could still vote in that view; certificates of later views are checked by whoever counts."""
    match message:
        case Certificate(view=view):
            return view > state.root.view
        case Vote(view=view) | Proposal(view=view):
            return state.root.view < view <= state.view + VIEWS_AHEAD
    return False
