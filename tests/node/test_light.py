"""A light client believes what follows from the network file or a checkpoint, and nothing else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from chain.block import Header, Validator
from chain.codec import Wire
from chain.crypto import bls
from chain.errors import InvalidBlock, NeuroError
from chain.state import Account, account_key
from consensus.errors import NoQuorum
from consensus.messages import NOTARIZE, Certificate
from network.kinds import EPOCHS, STATE
from network.peer import LIGHT
from node import sync_server
from node.checkpoint import CheckpointError, Trust, trusting_period_ms
from node.errors import NodeError
from node.light import (
    BehindError,
    Certified,
    ConflictError,
    Context,
    LightError,
    TooFewKnown,
    Trusted,
    accept,
    anchor,
    follow,
    genesis_trust,
    pass_by,
    skip_to,
)
from node.light_client import LightClient, Verdict
from node.light_store import LightStore
from node.set_chain import EpochEnd
from node.store import Store, number
from node.sync_messages import EpochRange, EpochsRequest, ProvenState, StateRequest
from node.sync_server import SyncServer, epochs_of, state_of
from tests.builders import a_network
from tests.chain.played_chain import stakers
from tests.node.sim_runtime import STARTED_MS, SimNode, World
from tests.node.sync_chain import EPOCH, Records, certify, grown

RICH = account_key(stakers(1)[0].wallet.address)
NOBODY = account_key(b"\0" * 21)
LAST = 304 // EPOCH - 1  # the last epoch that is over


def context(period_ms: int = 1 << 50, now_ms: int = STARTED_MS, checkpoint: tuple[int, bytes] | None = None) -> Context:
    trust = Trust(grown().network.params, checkpoint)
    trust.period_ms = period_ms
    return Context(grown().network, trust, now_ms)


def store_at(height: int = 304) -> Store:
    return grown().view(height).store


def end_of(epoch: int) -> EpochEnd:
    return epochs_of(store_at(), EpochsRequest(0, epoch, 1, False)).ends[0]


def believed(epoch: int) -> Trusted:
    """What a client that has walked up to an epoch believes."""
    end = end_of(epoch - 1)
    return Trusted(epoch, grown().sets[epoch], (Certified(end.header, end.certificate),), 0)


Server = Callable[[Wire], Wire]


def served_by(store: Store) -> Server:
    def answer(asked: Any) -> Wire:
        return epochs_of(store, asked) if isinstance(asked, EpochsRequest) else state_of(store, asked)

    return answer


def talk(conversation: Any, server: Server) -> tuple[Any, list[Wire], int]:
    """What comes of a conversation, what was asked, and the bytes of the answers."""
    asked: list[Wire] = []
    told: Wire | None = None
    size = 0
    while True:
        try:
            asked.append(conversation.send(told))
        except StopIteration as end:
            return end.value, asked, size
        told = server(asked[-1])
        size += len(told.encode())


# ---- Single steps


def test_from_the_genesis_every_set_follows_from_the_one_before_it() -> None:
    trusted = genesis_trust(grown().network)
    for epoch in range(LAST + 1):
        assert (trusted.epoch, trusted.members) == (epoch, grown().sets[epoch])
        trusted = pass_by(trusted, end_of(epoch), grown().network)
    assert trusted.height == 304


def test_an_end_of_another_epoch_or_with_another_set_is_refused() -> None:
    network, trusted = grown().network, believed(10)
    changing = next(e for e in range(8, LAST) if end_of(e).following)
    stranger = Validator(bls.public_key(77), 1)
    for wrong in (end_of(9), end_of(11), replace(end_of(10), certificate=end_of(9).certificate)):
        with pytest.raises(InvalidBlock):
            pass_by(trusted, wrong, network)
    for following in ((), (stranger,)):
        with pytest.raises(InvalidBlock, match="another set"):
            pass_by(believed(changing), replace(end_of(changing), following=following), network)


def test_a_header_far_ahead_needs_more_than_a_third_of_the_believed_power_and_two_thirds_of_its_own() -> None:
    full, target = grown(), 16
    end, members = end_of(target), full.sets[target]
    keys = [member.public_key for member in members]
    known = [k for k, key in enumerate(keys) if key in {m.public_key for m in full.sets[9]}]
    assert 0 < len(known) < len(members)

    def powers(of_known: int) -> Trusted:
        """Believed members of which those that sign the target hold so much of 300."""
        quorum = tuple(Validator(keys[place], of_known // len(known)) for place in known)
        left = 300 - sum(member.power for member in quorum)
        return Trusted(9, (*quorum, Validator(bls.public_key(77), left)), (), 0)

    each = 102 // len(known) * len(known)
    assert skip_to(powers(max(each, 101)), end, members, full.network).members == full.sets[target + 1]
    with pytest.raises(TooFewKnown):
        skip_to(powers(100 // len(known) * len(known)), end, members, full.network)
    # Two thirds of its own: one signature less than the least quorum is none.
    power = sum(member.power for member in members)
    signers: list[int] = []
    for place in range(len(members)):
        if 3 * sum(members[p].power for p in signers) <= 2 * power:
            signers.append(place)
    enough = certify(full.network, end.header, members, signers).encode()
    too_few = certify(full.network, end.header, members, signers[:-1]).encode()
    everybody = Trusted(9, members, (), 0)
    skip_to(everybody, replace(end, certificate=enough), members, full.network)
    with pytest.raises(NoQuorum):
        skip_to(everybody, replace(end, certificate=too_few), members, full.network)


def test_exactly_a_third_of_the_believed_power_is_not_enough() -> None:
    full = grown()
    end, members = end_of(9), full.sets[9]
    quorum = [Validator(member.public_key, 1) for member in members]
    for strangers, enough in ((2 * len(members), False), (2 * len(members) - 1, True)):
        trusted = Trusted(3, (*quorum, Validator(bls.public_key(77), strangers)), (), 0)
        if enough:
            assert skip_to(trusted, end, members, full.network).epoch == 10
        else:
            with pytest.raises(TooFewKnown):
                skip_to(trusted, end, members, full.network)


def test_nothing_is_skipped_backwards_and_no_foreign_set_is_taken() -> None:
    full = grown()
    with pytest.raises(LightError, match="nothing to skip"):
        skip_to(believed(10), end_of(9), full.sets[9], full.network)
    with pytest.raises(LightError, match="nothing to skip"):
        skip_to(believed(10), end_of(10), full.sets[10], full.network)
    with pytest.raises(InvalidBlock, match="another validator set"):
        skip_to(believed(5), end_of(20), full.sets[5], full.network)


def test_the_newest_header_must_be_certified_by_the_believed_set_of_its_epoch() -> None:
    full, trusted = grown(), believed(10)
    header = full.blocks[10 * EPOCH + 3].header
    good = Certified(header, certify(full.network, header, full.sets[10]).encode())
    assert accept(trusted, good, full.network).height == header.height
    notarized = Certified(header, certify(full.network, header, full.sets[10], kind=NOTARIZE).encode())
    for wrong in (
        notarized,
        Certified(header, b""),
        Certified(replace(header, state_root=bytes(32)), good.certificate),
    ):
        with pytest.raises(NeuroError):
            accept(trusted, wrong, full.network)
    with pytest.raises(LightError, match="epoch"):
        accept(believed(11), replace(good, header=full.blocks[12 * EPOCH].header), full.network)
    with pytest.raises(BehindError):
        accept(accept(trusted, good, full.network), Certified(full.blocks[10 * EPOCH].header, b""), full.network)


# ---- A conversation


def test_a_balance_is_read_with_proof_and_so_is_that_there_is_none() -> None:
    start = genesis_trust(grown().network)
    followed, asked, _ = talk(follow(start, (RICH, NOBODY), context()), served_by(store_at()))
    assert followed.tip.header.height == 304 and len(followed.values) == 2
    account = Account.decode(followed.values[0])
    assert account == store_at().state().account(RICH[1:]) and account.balance > 0 and followed.values[1] is None
    # Enough of the power stays for steps over several epochs.
    assert 1 < len(asked) - 1 < LAST
    again, asked, _ = talk(follow(followed.trusted, (RICH,), context()), served_by(store_at()))
    assert asked == [StateRequest(0, 0, (RICH,))] and again.tip == followed.tip


def test_where_sets_may_be_sold_every_epoch_is_walked() -> None:
    """Beyond the trusting period a third of the believed power may be anybody's."""
    start = genesis_trust(grown().network)
    followed, asked, _ = talk(follow(start, (), context(period_ms=0)), served_by(store_at()))
    assert asked[1:] == [EpochsRequest(0, 0, 37, False)] and len(followed.way) == 37


def test_an_old_set_that_few_have_stayed_in_is_reached_in_smaller_steps() -> None:
    followed, asked, _ = talk(follow(believed(8), (), context()), served_by(store_at()))
    skips = [ask.first for ask in asked if isinstance(ask, EpochsRequest) and ask.with_set]
    assert skips[0] == 36 and any(two < one for one, two in pairwise(skips)), "one step was too far"
    assert followed.trusted.members == grown().sets[37]


def altered(change: Callable[[Any], Any], kind: type[Wire], store: Store | None = None) -> Server:
    """An honest server but for answers of one kind."""
    honest = served_by(store or store_at(104))

    def answer(asked: Wire) -> Wire:
        told = honest(asked)
        return change(told) if isinstance(told, kind) else told

    return answer


def with_header(told: ProvenState, **changes: Any) -> ProvenState:
    return replace(told, header=(replace(told.header[0], **changes),))


def other_value(told: ProvenState) -> ProvenState:
    record = told.records[0]
    rich = Account(10**18, 0).encode()
    return replace(told, records=(replace(record, value=(rich,)),))


LIES = {
    "a balance of its own making": altered(other_value, ProvenState),
    "no such account": altered(
        lambda told: replace(told, records=(replace(told.records[0], value=()),)), ProvenState
    ),
    "no proof": altered(lambda told: replace(told, records=()), ProvenState),
    "another state root": altered(lambda told: with_header(told, state_root=bytes(32)), ProvenState),
    "the moon": altered(lambda told: with_header(told, height=10**9, epoch=(10**9 - 1) // EPOCH), ProvenState),
    "no certificate": altered(lambda told: replace(told, certificate=b""), ProvenState),
    "another chain": altered(lambda told: with_header(told, chain_id=bytes(32)), ProvenState),
    "a gap": altered(lambda told: replace(told, ends=told.ends[1:]), EpochRange),
    "ends in another order": altered(lambda told: replace(told, ends=told.ends[::-1]), EpochRange),
    "a certificate of another end": altered(
        lambda told: replace(told, ends=(replace(told.ends[0], certificate=told.ends[1].certificate),)), EpochRange
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_no_lie_of_a_peer_is_believed(lie: Server) -> None:
    with pytest.raises(NeuroError):
        talk(follow(genesis_trust(grown().network), (RICH,), context(period_ms=0)), lie)


def test_who_knows_less_than_we_do_is_of_no_use() -> None:
    followed, *_ = talk(follow(genesis_trust(grown().network), (), context()), served_by(store_at(304)))
    for height in (0, 8, 296):
        with pytest.raises(BehindError):
            talk(follow(followed.trusted, (), context()), served_by(store_at(height)))


# ---- Weak subjectivity


def sold(epoch: int, number_of: int = 2) -> list[tuple[Header, Sequence[Validator]]]:
    """A second history from an old epoch on, signed by all who voted then, with the state that they like."""
    full, parent = grown(), grown().blocks[epoch * EPOCH - 1].header
    forged = []
    for _ in range(number_of):
        original = full.blocks[parent.height].header
        parent = replace(original, parent_hash=parent.hash(), state_root=bytes(32))
        forged.append((parent, full.sets[epoch]))
    return forged


def forged_server(epoch: int) -> Server:
    header, members = sold(epoch)[-1]
    certificate = certify(grown().network, header, members).encode()

    def answer(asked: Any) -> Wire:
        told = served_by(store_at())(asked)
        is_tip = isinstance(told, ProvenState) and asked.height == 0
        return replace(told, header=(header,), certificate=certificate, records=()) if is_tip else told

    return answer


def staked_epoch() -> int:
    return next(e for e in range(1, LAST) if grown().blocks[e * EPOCH - 1].header.phase == 2)


def test_a_fork_signed_by_validators_who_have_taken_their_stake_back_is_refused_for_its_age() -> None:
    """All keys of an old set are for sale. Who was away for longer than the trusting period asks nobody's peers."""
    epoch = staked_epoch()
    trusted, params = believed(epoch), grown().network.params
    period = trusting_period_ms(params)
    assert period == 2 * params.unbonding_epochs * EPOCH * params.block_interval_ms // 3
    known_ms = trusted.newest[0].header.time_ms
    in_time, late = context(period, known_ms + period), context(period, known_ms + period + 1)
    assert in_time.refusal(trusted) is None
    assert "--checkpoint HEIGHT:HASH" in (late.refusal(trusted) or "")
    # In time their word counts, for then their stake answers for it.
    followed, *_ = talk(follow(trusted, (), in_time), forged_server(epoch))
    assert followed.tip.header.state_root == bytes(32)
    world = World(started_ms=late.now_ms)
    with pytest.raises(CheckpointError, match="not believed any more"):
        LightClient(SimNode(world, "light", LIGHT), trusted, (), late, lambda verdict: None)


def test_the_founders_vouch_for_the_beginning_however_old_it_is() -> None:
    assert context(period_ms=1).refusal(genesis_trust(grown().network)) is None
    assert context(period_ms=1).refusal(believed(2)) is None


def checkpoint_at(epoch: int) -> tuple[int, bytes]:
    header = grown().blocks[epoch * EPOCH - 1].header
    return header.height, header.hash()


def test_a_checkpoint_is_where_it_begins_and_leads_to_the_same() -> None:
    told = context(checkpoint=checkpoint_at(20))
    trusted, *_ = talk(anchor(told), served_by(store_at()))
    assert (trusted.epoch, trusted.members) == (20, grown().sets[20])
    followed, *_ = talk(follow(trusted, (RICH,), told), served_by(store_at()))
    assert followed.tip.header.height == 304


def test_a_checkpoint_of_another_chain_an_old_one_or_one_inside_an_epoch_is_refused() -> None:
    height, block_hash = checkpoint_at(staked_epoch())
    with pytest.raises(LightError, match="not the one of the checkpoint"):
        talk(anchor(context(checkpoint=(height, bytes(32)))), served_by(store_at()))
    with pytest.raises(CheckpointError, match="the block of the checkpoint"):
        talk(anchor(context(period_ms=1, checkpoint=(height, block_hash))), served_by(store_at()))
    with pytest.raises(CheckpointError, match="last block of an epoch"):
        talk(anchor(context(checkpoint=(height + 1, block_hash))), served_by(store_at()))
    wrong_set = altered(lambda told: replace(told, members=grown().sets[0][:1]), EpochRange, store_at())
    with pytest.raises(InvalidBlock):
        talk(anchor(context(checkpoint=(height, block_hash))), wrong_set)


# ---- Several peers


class Peerish(SimNode):
    """A peer of a light client, honest or not."""

    def __init__(self, world: World, name: str, height: int = 304, answer: Server | None = None) -> None:
        super().__init__(world, name)
        self.server = SyncServer(self, store_at(height))
        if answer is not None:
            told = answer
            self.server._on_state_request = lambda k, p: self._tell(k, STATE, StateRequest.decode(p), told)  # type: ignore
            self.server._on_epochs_request = lambda k, p: self._tell(k, EPOCHS, EpochsRequest.decode(p), told)  # type: ignore
        self.run_parts(self.server)

    def _tell(self, key: bytes, kind: int, asked: Any, answer: Server) -> None:
        self.send(key, kind, replace(answer(asked), number=asked.number).encode())


def asked_of(
    world: World, *peers: Peerish, trusted: Trusted | None = None, more: Context | None = None
) -> tuple[Verdict, SimNode]:
    found: list[Verdict] = []
    node = SimNode(world, "light", LIGHT)
    client = LightClient(node, trusted, (RICH,), more or context(), found.append)
    node.run_parts(client)
    for peer in peers:
        node.connect(peer)
    world.run(60_000, lambda: client.settled == len(peers))
    client.finish()
    world.run(60_000, lambda: bool(found))
    assert len(found) == 1
    return found[0], node


def test_peers_that_are_not_equally_far_confirm_one_another() -> None:
    world = World()
    verdict, node = asked_of(
        world, Peerish(world, "ahead", 304), Peerish(world, "behind", 296), Peerish(world, "far", 104)
    )
    assert verdict.followed is not None and verdict.followed.tip.header.height == 304
    assert len(verdict.agreeing) == 3 and not verdict.failed and verdict.error is None and not node.blamed


def test_with_a_checkpoint_what_was_kept_must_be_on_its_way(tmp_path: Path) -> None:
    full, world = grown(), World()
    peer = Peerish(world, "peer")
    for kept in (None, believed(12), believed(30)):
        verdict, _ = asked_of(world, peer, trusted=kept, more=context(checkpoint=checkpoint_at(20)))
        assert verdict.followed is not None and verdict.followed.tip.header.height == 304
    other = replace(full.blocks[12 * EPOCH - 1].header, state_root=bytes(32))
    certified = Certified(other, certify(full.network, other, full.sets[11]).encode())
    for checkpoint, kept in ((20, replace(believed(12), newest=(certified,))), (8, believed(12))):
        wrong = checkpoint_at(checkpoint) if checkpoint == 20 else (8 * EPOCH, bytes(32))
        verdict, _ = asked_of(world, peer, trusted=kept, more=context(checkpoint=wrong))
        assert verdict.followed is None and (verdict.error is not None or verdict.failed)


def test_a_liar_beside_an_honest_peer_is_blamed_and_named() -> None:
    world = World()
    liar = Peerish(world, "liar", answer=LIES["a balance of its own making"])
    silent = Peerish(world, "silent")
    silent.run_parts()
    verdict, node = asked_of(world, liar, Peerish(world, "honest"), silent)
    assert verdict.followed is not None and [name for name, *_ in node.blamed] == ["liar", "silent"]
    assert "does not fit the state root" in verdict.failed[liar.key] and "no answer" in verdict.failed[silent.key]
    assert len(verdict.agreeing) == 1


def test_two_certified_histories_are_kept_as_evidence_and_nothing_is_believed(tmp_path: Path) -> None:
    """The set of an epoch signs two blocks of one height: more than a third of it is dishonest."""
    full, world = grown(), World()
    header = replace(full.blocks[303].header, state_root=bytes(32))
    certificate = certify(full.network, header, full.sets[37]).encode()

    def twin(asked: Any) -> Wire:
        told = served_by(store_at(304))(asked)
        if isinstance(told, ProvenState):
            return replace(told, header=(header,), certificate=certificate, records=told.records[:0])
        return told

    found: list[Verdict] = []
    node = SimNode(world, "light", LIGHT)
    client = LightClient(node, None, (), context(), found.append)
    node.run_parts(client)
    for peer in (Peerish(world, "honest"), Peerish(world, "twin", answer=twin)):
        node.connect(peer)
    world.run(60_000, lambda: client.settled == 2)
    client.finish()
    world.run(60_000, lambda: bool(found))
    error = found[0].error
    assert isinstance(error, ConflictError) and found[0].followed is None
    assert "more than a third of the validators' power is dishonest" in str(error)
    path = LightStore(tmp_path, full.network).keep_conflict(error.conflict)
    assert path.read_bytes().endswith(error.conflict.encode())


def test_what_contradicts_our_own_memory_is_a_conflict_too() -> None:
    full = grown()
    followed, *_ = talk(follow(genesis_trust(full.network), (), context()), served_by(store_at(104)))
    other = replace(full.blocks[103].header, state_root=bytes(32))
    certified = Certified(other, certify(full.network, other, full.sets[12]).encode())
    remembered = replace(followed.trusted, newest=(certified,))
    with pytest.raises(ConflictError):
        talk(follow(remembered, (), context()), served_by(store_at(104)))


def test_answers_that_nobody_asked_for_are_blamed() -> None:
    world = World()
    peer = Peerish(world, "peer")
    _, node = asked_of(world, peer)
    assert not node.blamed
    for kind, payload in ((STATE, ProvenState(1, (), b"", ()).encode()), (EPOCHS, b""), (EPOCHS, number(9))):
        peer.send(node.key, kind, payload)
    world.run(1_000)
    assert [(name, points) for name, points, _ in node.blamed] == [("peer", 20)] * 3


# ---- What is kept


def test_the_next_call_goes_on_from_what_was_verified(tmp_path: Path) -> None:
    store = LightStore(tmp_path / "light", grown().network)
    assert store.load() is None
    followed, *_ = talk(follow(genesis_trust(grown().network), (), context()), served_by(store_at(104)))
    store.save(followed.trusted)
    assert store.load() == followed.trusted
    _, asked, size = talk(follow(followed.trusted, (RICH,), context()), served_by(store_at(304)))
    assert len(asked) < 12 and size < 20_000


def test_a_damaged_file_or_one_of_another_network_is_not_believed(tmp_path: Path) -> None:
    store = LightStore(tmp_path, grown().network)
    store.save(believed(9))
    path = tmp_path / "trusted"
    data = path.read_bytes()
    for damaged in (b"", data[:-1], data + b"\0", b"x" + data[1:], data[:40]):
        path.write_bytes(damaged)
        with pytest.raises(NodeError, match="damaged"):
            store.load()
    path.write_bytes(data)
    with pytest.raises(NodeError, match="another network"):
        LightStore(tmp_path, a_network()).load()


# ---- What a server tells


def test_ends_of_epochs_stop_where_they_are_not_over_not_known_or_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    store = store_at()

    def told(first: int, ends: int, with_set: bool = False) -> EpochRange:
        return epochs_of(store, EpochsRequest(3, first, ends, with_set))

    assert len(told(0, 65_535).ends) == LAST + 1 and len(told(30, 4).ends) == 4 and not told(LAST + 1, 1).ends
    assert not told(2**64 - 1, 65_535, True).members and told(12, 0, True).members == grown().sets[12]
    size = len(told(0, 1).ends[0].encode())
    monkeypatch.setattr(sync_server, "ENDS_BYTES", 3 * size)
    assert len(told(0, 10).ends) == 3
    records = Records(grown().at[304])
    store = Store(records, grown().network)
    changing = next(e for e in range(8, LAST) if end_of(e).following)
    records.write({b"ss" + number(changing + 1): None})
    assert len(told(changing, 4).ends) == 0 and len(told(changing - 1, 4).ends) == 1


def test_a_header_can_be_asked_for_by_height_and_records_only_at_the_tip() -> None:
    store = store_at()
    found = state_of(store, StateRequest(1, 100, (RICH,)))
    assert found.header[0].height == 100 and found.records == ()
    assert Certificate.decode(found.certificate).block_hash == found.header[0].hash()
    for height in (305, 2**64 - 1):
        assert state_of(store, StateRequest(1, height, ())).header == ()
    assert state_of(store_at(0), StateRequest(1, 0, (RICH,))).header == ()
