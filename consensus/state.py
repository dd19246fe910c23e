"""What the core remembers within one epoch, and the draft of it that a step works on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from chain.crypto.hashing import ZERO
from consensus.ballots import Ballots
from consensus.certificate import Scheme
from consensus.committee import Committee, Turn
from consensus.events import CastVote, Effect
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY, Certificate, Proposal

VIEWS_AHEAD = 8  # votes and proposals for later views are not kept: certificates bring us there
VIEWS_BEHIND = 16  # votes for earlier views are not kept: certificates are
SILENT_VIEWS = 8  # a leader not heard from for this many views is not waited for
FADING_VIEWS = 4  # after so many views without a proven word, a signer's next vote is checked at once
CALM_BLOCKS = 10  # finalizations after which the timeouts shrink by a third
MAX_REPLY = 64  # certificates in answer to one request


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient a validator is, in milliseconds.

    `base_ms` is the first guess of how long a message takes, `cap_ms` the largest. `patience_ms` is what an honest
    leader may wait before it proposes: the longest block interval.
    """

    base_ms: int = 1_000
    cap_ms: int = 30_000
    patience_ms: int = 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What is fixed for one epoch. `us` is our place in the committee, None for an observer, who never votes.

    The epoch's first block stands on the anchor, the last block of the epoch before (or genesis); its own last block
    has height `last_height`.
    """

    chain_id: bytes
    number: int
    committee: Committee
    us: int | None
    anchor_hash: bytes
    anchor_height: int
    last_height: int
    timing: Timing = field(default_factory=Timing)
    total_power: int = field(init=False, compare=False)  # of the committee, which every vote is measured against

    def __post_init__(self) -> None:
        object.__setattr__(self, "total_power", self.committee.total_power)


@dataclass(frozen=True, slots=True)
class Own:
    """Our own votes of one view; None: not cast."""

    notarized: bytes | None = None
    finalized: bytes | None = None
    nullified: bool = False

    def with_vote(self, kind: int, block_hash: bytes) -> "Own":
        if kind == NOTARIZE:
            return Own(block_hash, self.finalized, self.nullified)
        if kind == FINALIZE:
            return Own(self.notarized, block_hash, self.nullified)
        return Own(self.notarized, self.finalized, True)

    def votes(self) -> list[tuple[int, bytes]]:
        """Kind and block hash of each vote cast."""
        cast = [(NOTARIZE, self.notarized), (FINALIZE, self.finalized), (NULLIFY, ZERO if self.nullified else None)]
        return [(kind, block_hash) for kind, block_hash in cast if block_hash is not None]


@dataclass(frozen=True, slots=True)
class Root:
    """The last finalized block and the view that finalized it; view 0: the anchor."""

    view: int
    block_hash: bytes
    height: int


@dataclass(frozen=True, slots=True)
class Link:
    """What a block's header says of its place."""

    parent_hash: bytes
    height: int


NO_BALLOTS = Ballots()


@dataclass
class State:
    """The memory of one validator in one epoch. Only `step` changes it, and only on its own copy.

    Mappings are never changed in place but replaced, so a copy costs nothing, however much is remembered. Everything is
    bounded: votes and proposals by the windows above, the rest by the views since the last finalized one. No slots:
    copying a dictionary of fields is the fastest copy there is.
    """

    root: Root
    turn: Turn  # of `view`
    delta_ms: int
    view: int = 1
    final: Certificate | None = None  # the highest finalization; above the root while blocks are missing
    notarized: Mapping[int, Certificate] = field(default_factory=dict)
    nullified: Mapping[int, Certificate] = field(default_factory=dict)
    votes: Mapping[tuple[int, int], Ballots] = field(default_factory=dict)  # by kind and view
    own: Mapping[int, Own] = field(default_factory=dict)
    proposals: Mapping[int, Proposal] = field(default_factory=dict)
    links: Mapping[bytes, Link] = field(default_factory=dict)
    fetching: Mapping[bytes, int] = field(default_factory=dict)  # block hash → view, asked of the shell
    certified: Mapping[bytes, int] = field(default_factory=dict)  # block hash → highest view above the root
    highest: int = 0  # the highest view with a certified block; the root counts
    nullified_from: int = 1  # every view from here to the one before `view` is nullified
    missing_from: int = 1  # the lowest view above the root without a certificate
    reported: Mapping[tuple[int, int], int] = field(default_factory=dict)  # (signer, view): evidence already given
    heard: Mapping[int, int] = field(default_factory=dict)  # signer → highest view of which it provably spoke
    heard_floor: int = 0  # everyone counts as heard in this view
    proposing: tuple[int, bytes] | None = None  # as leader of `view`: view and hash of the parent we chose
    judging: bytes | None = None  # the block of `view` the shell is judging
    retrying: bool = False  # the retry timer of `view` runs
    asked: bool = False  # we asked for certificates that `view` needs
    calm: int = 0  # finalizations since the timeouts last changed
    over: bool = False  # the epoch's last block is final, or finality is contradicted

    def copy(self) -> "State":
        twin = State.__new__(State)
        twin.__dict__.update(self.__dict__)
        return twin

    def ballots(self, kind: int, view: int) -> Ballots:
        """The votes of one kind and view."""
        return self.votes.get((kind, view), NO_BALLOTS)


@dataclass(slots=True)
class Draft:
    """One step in the making: a copy of the state, what is fixed, and the effects so far."""

    state: State
    epoch: Epoch
    scheme: Scheme
    effects: list[Effect] = field(default_factory=list)

    def emit(self, *effects: Effect) -> None:
        self.effects.extend(effects)

    def own(self, view: int) -> Own:
        return self.state.own.get(view, Own())

    def cast(self, kind: int, view: int, block_hash: bytes) -> None:
        """Vote, unless we are an observer. The caller has checked that the vote is allowed."""
        if self.epoch.us is not None:
            self.state.own = {**self.state.own, view: self.own(view).with_vote(kind, block_hash)}
            self.emit(CastVote(kind, self.epoch.number, view, block_hash))

    def entry(self, view: int) -> bytes | None:
        """The block certified in a view: finalized or notarized. None: none that we know of."""
        state = self.state
        if view == state.root.view:
            return state.root.block_hash
        if state.final is not None and view == state.final.view:
            return state.final.block_hash
        return state.notarized[view].block_hash if view in state.notarized else None

    def height_of(self, block_hash: bytes) -> int | None:
        """None: the block has not been linked yet."""
        if block_hash == self.state.root.block_hash:
            return self.state.root.height
        link = self.state.links.get(block_hash)
        return None if link is None else link.height

    def last_heard(self, signer: int) -> int:
        """The highest view in which the signer was heard, as far as we know."""
        return max(self.state.heard.get(signer, 0), self.state.heard_floor)

    def is_silent(self, signer: int) -> bool:
        """Whether nothing was heard from another for so long that waiting for it is a waste."""
        return signer != self.epoch.us and self.state.view - self.last_heard(signer) > SILENT_VIEWS

    def is_fading(self, signer: int) -> bool:
        """Whether a signer would soon be taken for silent if it were not heard."""
        return self.state.view - self.last_heard(signer) > FADING_VIEWS
