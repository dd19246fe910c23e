"""A light client: which headers to believe without executing a block. Pure: every answer of a peer is judged here.

What is believed is a validator set and the epoch in which it votes, at first the founders in epoch 0. From there on

- *sequentially*: the last header of each epoch is certified by the set of its epoch and names the next one;
- *skipping*: a header far ahead comes with its own set, of which more than two thirds of the power have certified it;
  if more than a third of the power that we believe in is among the signers, an honest one is (Tendermint's light
  client, Braithwaite et al., 2020). This needs that these validators still have something to lose: `node.checkpoint`.

The state is then read from the newest header by proofs. Start reading at `follow`, which is a conversation: it yields
what to ask the peer and is sent the answer.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from chain.block import VALIDATORS_MAXIMUM, Header, Validator
from chain.codec import U64, Var, Wire
from chain.errors import LedgerError
from chain.genesis import Network, bootstrap_members
from chain.transition import epoch_of
from chain.tree import is_proven
from consensus.certificate import signers_in
from consensus.messages import Certificate
from node.checkpoint import CheckpointError, Trust
from node.set_chain import CERTIFICATE_BYTES_MAXIMUM, EpochEnd, Members, SetChain, check_final
from node.sync_messages import ENDS_MAXIMUM, EpochRange, EpochsRequest, ProvenState, StateRequest

Ask = EpochsRequest | StateRequest
Told = EpochRange | ProvenState
T = TypeVar("T")
Conversation = Generator[Ask, Told, T]
VISITED_MAXIMUM = 1 << 20


class LightError(LedgerError):
    """What a peer shows does not prove what it says."""


class ConflictError(LightError):
    """Two histories are certified: no program can tell which one is honest."""

    def __init__(self, conflict: "Conflict") -> None:
        one, other = conflict.first.header, conflict.second.header
        super().__init__(
            f"two blocks of height {one.height} are certified as final, {one.hash().hex()} and {other.hash().hex()}: "
            "more than a third of the validators' power is dishonest"
        )
        self.conflict = conflict


class BehindError(LightError):
    """The peer knows less than we do already: no lie, and of no use."""


class TooFewKnown(LightError):
    """Too little of the power that is believed has signed: the way has to be shorter."""


@dataclass(frozen=True, slots=True)
class Certified(Wire):
    """A header and the finalization of its block."""

    header: Header
    certificate: Annotated[bytes, Var(CERTIFICATE_BYTES_MAXIMUM)]


@dataclass(frozen=True, slots=True)
class Trusted(Wire):
    """What is believed: these members vote in this epoch. `newest` is the last verified header, none at first.

    `verified_ms`: when that was, so that a long way may be interrupted; 0: nothing has been verified yet.
    """

    epoch: U64
    members: Annotated[tuple[Validator, ...], VALIDATORS_MAXIMUM]
    newest: Annotated[tuple[Certified, ...], 1]
    verified_ms: U64

    @property
    def height(self) -> int:
        return self.newest[0].header.height if self.newest else 0


@dataclass(frozen=True, slots=True)
class Conflict(Wire):
    """Two histories, each certified by sets that follow from one that we believed in. At most one of them is honest."""

    first: Certified
    second: Certified
    first_way: Annotated[tuple[EpochEnd, ...], VISITED_MAXIMUM]
    second_way: Annotated[tuple[EpochEnd, ...], VISITED_MAXIMUM]


@dataclass(frozen=True, slots=True)
class Context:
    """What a conversation goes by. `now_ms` by the wall."""

    network: Network
    trust: Trust
    now_ms: int

    def is_stale(self, trusted: Trusted) -> bool:
        """Whether the believed validators may have nothing to lose any more: then nothing is skipped."""
        known_ms = trusted.newest[0].header.time_ms if trusted.newest else self.network.created_ms
        return self.now_ms - max(known_ms, trusted.verified_ms) > self.trust.period_ms

    def refusal(self, trusted: Trusted) -> str | None:
        """Why nothing may be built on what is believed; None if it may."""
        if not trusted.newest:
            return None
        return self.trust.refusal(trusted.newest[0].header, trusted.verified_ms, self.now_ms)


@dataclass(frozen=True, slots=True)
class Followed:
    """What a peer has proven: its newest block, values of the state there (None: no such record), and the way there."""

    trusted: Trusted
    values: tuple[bytes | None, ...]
    way: tuple[EpochEnd, ...]

    @property
    def tip(self) -> Certified:
        return self.trusted.newest[0]


def genesis_trust(network: Network) -> Trusted:
    """The founders, whom the network file names."""
    return Trusted(0, bootstrap_members(network, 0), (), 0)


# ---- Single steps


def pass_by(trusted: Trusted, end: EpochEnd, network: Network) -> Trusted:
    """Sequential verification of the end of the believed epoch. Raises an error of the family."""
    sets = SetChain(network, trusted.epoch, trusted.members)
    sets.pass_by(end)
    return replace(trusted, epoch=sets.epoch, members=sets.members, newest=(Certified(end.header, end.certificate),))


def skip_to(trusted: Trusted, end: EpochEnd, members: Members, network: Network) -> Trusted:
    """Skipping verification of the end of a later epoch, whose own set is given. Raises an error of the family."""
    epoch = epoch_of(end.header.height, network.params)
    if epoch <= trusted.epoch:
        raise LightError(f"epoch {epoch} is not after epoch {trusted.epoch}: there is nothing to skip")
    after = pass_by(replace(trusted, epoch=epoch, members=members), end, network)
    bitmap = Certificate.decode(end.certificate).bitmap
    signers = [members[place].public_key for place in signers_in(bitmap, len(members))]
    power = {member.public_key: member.power for member in trusted.members}
    signed, total = sum(power.get(key, 0) for key in signers), sum(power.values())
    if 3 * signed <= total:
        raise TooFewKnown(f"{signed} of {total} of the power of epoch {trusted.epoch} has signed the end of {epoch}")
    return after


def accept(trusted: Trusted, tip: Certified, network: Network) -> Trusted:
    """A header of the believed epoch is the newest. Raises an error of the family."""
    if tip.header.height < trusted.height:
        raise BehindError(f"height {tip.header.height} is below height {trusted.height}, which is verified already")
    if tip.header.epoch != trusted.epoch:
        raise LightError(f"block {tip.header.height} says epoch {tip.header.epoch}, it is {trusted.epoch}")
    check_final(tip.header, tip.certificate, trusted.members, network)
    return replace(trusted, newest=(tip,))


def check_values(header: Header, asked: StateRequest, found: ProvenState) -> tuple[bytes | None, ...]:
    """The values under the keys that were asked for, proven. Raises LightError."""
    if len(found.records) != len(asked.keys):
        raise LightError(f"{len(asked.keys)} records were asked for, {len(found.records)} came")
    values: list[bytes | None] = []
    for key, record in zip(asked.keys, found.records, strict=True):
        value = record.value[0] if record.value else None
        if not is_proven(header.state_root, key, value, record.proof):
            raise LightError(f"the proof of record {key.hex()} does not fit the state root of block {header.height}")
        values.append(value)
    return tuple(values)


# ---- Conversations


def follow(trusted: Trusted, keys: tuple[bytes, ...], context: Context) -> Conversation[Followed]:
    """Verify one peer's newest block, from what is believed on, and read records there.

    Raises an error of the family; ConflictError if it does not stand on the last block that was verified.
    """
    asked = StateRequest(0, 0, keys)
    found = yield asked
    assert isinstance(found, ProvenState)
    if not found.header:
        raise BehindError("the peer has no block yet")
    tip = Certified(found.header[0], found.certificate)
    goal = epoch_of(tip.header.height, context.network.params)
    if goal < trusted.epoch or tip.header.height < trusted.height:
        raise BehindError(f"height {tip.header.height} is below height {trusted.height}, which is verified already")
    way: list[EpochEnd] = []
    before = trusted
    trusted = yield from _advance(trusted, goal, context, way)
    trusted = replace(accept(trusted, tip, context.network), verified_ms=context.now_ms)
    followed = Followed(trusted, check_values(tip.header, asked, found), tuple(way))
    if before.newest:
        yield from confirm(Followed(before, (), ()), followed, context)
    return followed


def _advance(trusted: Trusted, goal: int, context: Context, way: list[EpochEnd]) -> Conversation[Trusted]:
    """Believe the set of epoch `goal`."""
    while trusted.epoch < goal:
        skipped = None
        if goal - trusted.epoch > 1 and not context.is_stale(trusted):
            skipped = yield from _skip(trusted, goal - 1, context, way)
        if skipped is None:
            trusted = yield from _walk(trusted, goal, context, way)
        else:
            trusted = skipped
        trusted = replace(trusted, verified_ms=context.now_ms)
    return trusted


def _skip(trusted: Trusted, target: int, context: Context, way: list[EpochEnd]) -> Conversation[Trusted | None]:
    """The farthest end of an epoch up to `target` that enough believed power has signed; None: it is the next one."""
    while target > trusted.epoch:
        found = yield EpochsRequest(0, target, 1, True)
        assert isinstance(found, EpochRange)
        if not found.members or not found.ends:
            return None  # The set is forgotten there. Sets that follow one another need not be told.
        try:
            trusted = skip_to(trusted, found.ends[0], found.members, context.network)
            way.append(found.ends[0])
            return trusted
        except TooFewKnown:
            target = (trusted.epoch + target) // 2
    return None


def _walk(trusted: Trusted, goal: int, context: Context, way: list[EpochEnd]) -> Conversation[Trusted]:
    """A stretch of epochs one by one."""
    found = yield EpochsRequest(0, trusted.epoch, min(goal - trusted.epoch, ENDS_MAXIMUM), False)
    assert isinstance(found, EpochRange)
    if not found.ends:
        raise BehindError(f"the peer does not know the end of epoch {trusted.epoch}")
    for end in found.ends:
        trusted = pass_by(trusted, end, context.network)
        way.append(end)
    return trusted


def begin(kept: Trusted | None, context: Context) -> Conversation[Trusted]:
    """What to follow a peer from: what was verified earlier, the checkpoint, or the genesis.

    Raises CheckpointError, or an error of the family if the peer is not on the chain of the checkpoint.
    """
    if context.trust.checkpoint is None:
        return kept or genesis_trust(context.network)
    if kept is None or kept.height < context.trust.checkpoint[0] or context.refusal(kept) is not None:
        return (yield from anchor(context))
    yield from _asked_end(context)
    return kept


def anchor(context: Context) -> Conversation[Trusted]:
    """Believe what the checkpoint leads to. Raises as `begin`."""
    end, members = yield from _asked_end(context)
    refusal = context.trust.refusal(end.header, 0, context.now_ms)
    if refusal is not None:
        raise CheckpointError(refusal)
    start = Trusted(epoch_of(end.header.height, context.network.params), members, (), 0)
    return replace(pass_by(start, end, context.network), verified_ms=context.now_ms)


def _asked_end(context: Context) -> Conversation[tuple[EpochEnd, Members]]:
    """The block of the checkpoint, as the peer knows it, and the set of its epoch, which is not checked."""
    checkpoint = context.trust.checkpoint
    assert checkpoint is not None
    height, wanted = checkpoint
    blocks = context.network.params.epoch_blocks
    if height == 0 or height % blocks:
        raise CheckpointError(
            f"a light client needs the last block of an epoch as its checkpoint: a height that {blocks} divides"
        )
    found = yield EpochsRequest(0, height // blocks - 1, 1, True)
    assert isinstance(found, EpochRange)
    if not found.ends:
        raise BehindError(f"the peer does not know block {height}")
    end = found.ends[0]
    if end.header.height != height:
        raise LightError(f"block {height} was asked for, block {end.header.height} came")
    if end.header.hash() != wanted:
        raise LightError(
            f"its block {height} is {end.header.hash().hex()}, not the one of the checkpoint: the peer lies, or the "
            "checkpoint is wrong"
        )
    return end, found.members


def confirm(mine: Followed, theirs: Followed, context: Context) -> Conversation[bool]:
    """Ask the peer behind `theirs` for its block at the height of ours. False: it does not know it any more.

    Raises ConflictError if it proves another one, another error of the family if it names one without proof.
    """
    header = mine.tip.header
    other = theirs.tip
    if other.header.height != header.height:
        found = yield StateRequest(0, header.height, ())
        assert isinstance(found, ProvenState)
        if not found.header:
            return False
        other = Certified(found.header[0], found.certificate)
        if other.header.height != header.height:
            raise LightError(f"block {header.height} was asked for, block {other.header.height} came")
    if other.header.hash() == header.hash():
        return True
    sets = [(each.epoch, each.members) for each in (theirs.trusted, mine.trusted)]
    members = next((members for epoch, members in sets if epoch == other.header.epoch), ())
    check_final(other.header, other.certificate, members, context.network)
    raise ConflictError(Conflict(mine.tip, other, mine.way, theirs.way))
