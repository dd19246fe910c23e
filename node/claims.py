"""Proofs, commitments, reveals and votes on their way to whoever proposes next. Start reading at `Claims`.

Each is checked before it goes on: our latest finalized state must know who says it, and the signature must be good.
What our state does not know yet waits a little. Every node passes a claim on once, to all its peers.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chain.audit_messages import AuditVote, VerdictCommit, VerdictReveal
from chain.block import AvailabilityVote, Proof, ResultVote
from chain.crypto import bls, ecdsa
from chain.genesis import Network
from chain.state import State
from network.kinds import CLAIM
from network.peer import Peer
from node.claim_pool import ClaimPool, Held, Slot, is_past, signer_of, slot_of
from node.parts import Handler
from node.recent import Recent
from node.relay_messages import Claimed, ClaimMessage, name_of
from node.runtime import MALFORMED, Runtime

REPEAT_MS = 5_000  # our own claims are said again until the ledger has them
SEEN = 20_000  # claims remembered, so that each is looked at once
AHEAD_MS = 5_000  # by which another's clock may be ahead of ours
EARLY_MAXIMUM, EARLY_OF_PEER = 512, 64  # claims that our state knows nothing of yet
GREETING_MAXIMUM = 2_000  # claims that a new peer is told
CHECKS = "claims"  # lane of pairings
CHECKS_MAXIMUM = 4_096  # claims that wait for one


@dataclass(frozen=True, slots=True)
class Check:
    """A claim whose signature takes a pairing."""

    key: bytes
    claim: Claimed
    payload: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Early:
    """A claim whose signer our state does not know yet."""

    key: bytes
    claim: Claimed
    payload: bytes


BallotClaim = AvailabilityVote | ResultVote | VerdictCommit | VerdictReveal | AuditVote  # signed by a validator


def is_signed(claim: Claimed, public_key: bytes, chain_id: bytes) -> bool:
    match claim:
        case AvailabilityVote() | ResultVote() | VerdictCommit() | VerdictReveal() | AuditVote():
            return bls.verify(public_key, claim.digest(chain_id), claim.signature)
        case Proof():
            return ecdsa.verify(public_key, claim.id(chain_id), claim.signature)
    return ecdsa.verify(public_key, claim.digest(chain_id), claim.signature)


class Claims:
    """One node's part in it.

    `state` gives the finalized state; `own` what this node has to say on a state at a time, see `RoundDriver.claims`;
    `news` is told when a block has more to take. The shell calls `follow` after every finalized block, and `speak` when
    the trainer or a check has got further.
    """

    def __init__(
        self,
        runtime: Runtime,
        network: Network,
        pool: ClaimPool,
        state: Callable[[], State],
        own: Callable[[State, int], list[Claimed]],
        news: Callable[[], None] = lambda: None,
    ) -> None:
        self.runtime = runtime
        self.network = network
        self.pool = pool
        self.state = state
        self.own = own
        self.news = news
        self._seen = Recent(SEEN)
        self._early: OrderedDict[bytes, Early] = OrderedDict()
        self._checks: deque[Check] = deque()
        self._is_checking = False
        self._said: dict[Slot, tuple[Held, int]] = {}  # our own, and when they were sent last
        self._repeats = False

    def handlers(self) -> Mapping[int, Handler]:
        return {CLAIM: self._received}

    def joined(self, peer: Peer) -> None:
        """A newcomer is told what waits here."""
        for held in self.pool.all()[:GREETING_MAXIMUM]:
            self.runtime.send(peer.key, CLAIM, held.encoded)

    def left(self, key: bytes) -> None:
        for name in [name for name, early in self._early.items() if early.key == key]:
            del self._early[name]
        # Whoever was caught with one forged claim has sent thousands by then.
        self._checks = deque(check for check in self._checks if check.key != key)

    # ---- Our own

    def speak(self) -> None:
        """Say what this node has to say on the latest state, and has not said yet."""
        for claim in self.own(self.state(), self.runtime.wall_ms()):
            held = self.pool.put(claim, is_own=True)
            if held is not None:
                self._send(held)
        if self._said and not self._repeats:
            self._repeats = True
            self.runtime.later(REPEAT_MS, self._repeat)

    def _send(self, held: Held) -> None:
        self._said[slot_of(held.claim)] = held, self.runtime.now_ms()
        self._seen.add(name_of(held.encoded))
        self._pass_on(held.encoded, b"")
        self.news()

    def _repeat(self) -> None:
        """Some may have been lost, or come to a peer whose state did not know us yet."""
        self._repeats = False
        self._forget_said()
        for slot, (held, sent_ms) in list(self._said.items()):
            if self.runtime.now_ms() - sent_ms >= REPEAT_MS:
                self._said[slot] = held, self.runtime.now_ms()
                self._pass_on(held.encoded, b"")
        self.speak()

    def _forget_said(self) -> None:
        self._said = {slot: said for slot, said in self._said.items() if self.pool.get(slot) is said[0]}

    def _pass_on(self, payload: bytes, source: bytes) -> None:
        for key in self.runtime.peers():
            if key != source:
                self.runtime.send(key, CLAIM, payload)

    # ---- The ledger goes on

    def follow(self) -> None:
        """A block is final: forget what it holds, look again at what came too early, say what is due now."""
        self.pool.follow(self.state())
        self._forget_said()
        early, self._early = self._early, OrderedDict()
        for each in early.values():
            self._judge(each.key, each.claim, each.payload)
        self.speak()

    # ---- Others'

    def _received(self, key: bytes, payload: bytes) -> None:
        name = name_of(payload)
        if name not in self._seen and name not in self._early:
            self._judge(key, ClaimMessage.decode(payload).claim, payload)

    def _judge(self, key: bytes, claim: Claimed, payload: bytes) -> None:
        """The cheap before the dear: its place in the round, its signer, room for it, its signature."""
        state, name = self.state(), name_of(payload)
        if is_past(claim, state):
            self._seen.add(name)
            return
        public_key = signer_of(claim, state, self.network.params)
        is_ahead = isinstance(claim, Proof) and claim.time_ms > self.runtime.wall_ms() + AHEAD_MS
        if public_key is None or is_ahead:
            self._keep_early(name, Early(key, claim, payload))
            return
        if not self.pool.has_room(claim):
            return
        if isinstance(claim, BallotClaim):
            if len(self._checks) < CHECKS_MAXIMUM:
                self._seen.add(name)
                self._checks.append(Check(key, claim, payload, public_key))
                self._check_next()
        else:
            self._seen.add(name)
            self._verified(key, claim, payload, is_signed(claim, public_key, self.network.chain_id))

    def _check_next(self) -> None:
        """One pairing at a time, so that what waits can still be dropped."""
        if self._is_checking or not self._checks:
            return
        self._is_checking = True
        check, chain_id = self._checks.popleft(), self.network.chain_id

        def done(is_good: bool) -> None:
            self._is_checking = False
            self._verified(check.key, check.claim, check.payload, is_good)
            self._check_next()

        self.runtime.offload(CHECKS, lambda: is_signed(check.claim, check.public_key, chain_id), done)

    def _keep_early(self, name: bytes, early: Early) -> None:
        if early.claim.round > self.state().ledger.round + 1:
            return
        of_peer = [name for name, each in self._early.items() if each.key == early.key]
        if len(of_peer) >= EARLY_OF_PEER:
            del self._early[of_peer[0]]
        elif len(self._early) >= EARLY_MAXIMUM:
            self._early.popitem(last=False)
        self._early[name] = early

    def _verified(self, key: bytes, claim: Claimed, payload: bytes, is_good: bool) -> None:
        if not is_good:
            self.runtime.blame(key, MALFORMED, f"the signature of a {type(claim).__name__} does not verify")
        elif self.pool.put(claim) is not None:
            self._pass_on(payload, key)
            self.news()
