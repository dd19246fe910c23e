"""A node that is behind gets the blocks from whoever has them, and no liar holds it up."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from chain.block import Block
from consensus.messages import NOTARIZE, Certificate
from network.kinds import RANGE, RANGE_REQUEST
from node import block_sync, sync_server
from node.block_sync import BlockSync
from node.checkpoint import CheckpointError, Trust
from node.errors import NodeError
from node.ledger_view import LedgerView
from node.runtime import LEDGER
from node.store import TRUSTED, Store
from node.sync_messages import BlockRange, RangeRequest
from node.sync_server import SyncServer, range_of
from tests.node.sim_runtime import SimNode, World
from tests.node.sync_chain import EPOCH, Records, certify, grown, same_ledger

HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Said:
    height: int


class Heard:
    """What peers have claimed."""

    def __init__(self) -> None:
        self.statuses: dict[bytes, Said] = {}


def patient() -> Trust:
    """Trust that does not grow old; the chain of these tests unbonds within seconds."""
    trust = Trust(grown().network.params)
    trust.period_ms = 100_000 * HOUR
    return trust


class Syncing(SimNode):
    """A node with a part of the chain that catches up."""

    def __init__(self, world: World, height: int, trust: Trust | None = None) -> None:
        super().__init__(world, "syncing")
        self.view = grown().view(height)
        self.heard, self.synced, self.blocks = Heard(), [], []
        self.sync = BlockSync(self, self.view, self.heard, self._on_synced, trust or patient())
        self.sync.hear_block.append(self.blocks.append)
        self.run_parts(self.sync)

    def _on_synced(self, certificate: Certificate, height: int) -> None:
        assert certificate.block_hash == self.view.store.hash_at(height)
        self.synced.append(height)

    def meet(self, other: SimNode, claims: int) -> None:
        self.connect(other)
        self.claim(other, claims)

    def claim(self, other: SimNode, height: int) -> None:
        self.heard.statuses[other.key] = Said(height)
        self.sync.on_status(other.key, self.heard.statuses[other.key])

    def reach(self, height: int, span_ms: int = HOUR) -> int:
        """Let time pass until this height is final; the milliseconds that it took."""
        begun = self.world.now_ms
        assert self.world.run(span_ms, lambda: self.view.tip.height >= height), (self.view.tip.height, self.blamed)
        took = self.world.now_ms - begun
        self.world.run(1)
        return took

    def reasons(self) -> list[tuple[str, int]]:
        return [(name, points) for name, points, _ in self.blamed]


Answer = Callable[[RangeRequest, Store], bytes | None]


class Serving(SimNode):
    """A peer with blocks up to a height; `lie` answers instead, None: says nothing."""

    def __init__(self, world: World, name: str, height: int = 304, lie: Answer | None = None) -> None:
        super().__init__(world, name)
        self.store = grown().view(height).store
        self.asked: list[RangeRequest] = []
        self.server = SyncServer(self, self.store)
        if lie is not None:
            told: Answer = lie
            self.server._on_range_request = lambda key, payload: self._tell(key, payload, told)  # type: ignore
        self.run_parts(self.server)

    def receive(self, key: bytes, kind: int, payload: bytes) -> None:
        if kind == RANGE_REQUEST:
            self.asked.append(RangeRequest.decode(payload))
        super().receive(key, kind, payload)

    def _tell(self, key: bytes, payload: bytes, lie: Answer) -> None:
        answer = lie(RangeRequest.decode(payload), self.store)
        if answer is not None:
            self.send(key, RANGE, answer)


def honest(asked: RangeRequest, store: Store) -> BlockRange:
    return BlockRange.decode(range_of(store, asked))


# ---- Catching up


def test_three_hundred_blocks_through_many_sets_come_from_three_peers_and_are_the_same_to_the_byte() -> None:
    world = World()
    node = Syncing(world, 0)
    peers = [Serving(world, f"peer {i}") for i in range(3)]
    for peer in peers:
        node.meet(peer, 304)
    node.reach(304)
    assert same_ledger(node.view, grown().view(304))
    assert node.synced == list(range(EPOCH, 305, EPOCH))
    assert [a.block.header.height for a in node.blocks] == list(range(1, 305))
    assert not node.blamed and all(len(peer.asked) > 5 for peer in peers)
    # The end of every epoch keeps its own certificate; all others hang on it by their hashes.
    assert all(bool(node.view.store.certificate(h)) == (h % EPOCH == 0) for h in range(1, 305))
    assert node.view.certificate_of(node.view.tip.hash) is not None


def test_several_ranges_are_asked_for_at_a_time_of_each_peer_one() -> None:
    world = World(latency_ms=500)
    node = Syncing(world, 0)
    for i in range(3):
        node.meet(Serving(world, f"peer {i}"), 304)
    world.run(400)
    asked = [RangeRequest.decode(payload) for _, kind, payload in node.sent if kind == RANGE_REQUEST]
    assert sorted((each.first, each.blocks) for each in asked) == [(1, 8), (9, 8), (17, 8)]
    assert len({key for key, *_ in node.sent}) == 3


def test_a_few_blocks_are_left_to_consensus_and_the_end_of_an_epoch_is_not() -> None:
    world = World()
    node = Syncing(world, 296)
    peer = Serving(world, "peer")
    node.meet(peer, 296 + block_sync.BEHIND_BLOCKS)
    world.run(5_000)
    assert not peer.asked
    node.claim(peer, 296 + block_sync.BEHIND_BLOCKS + 1)
    world.run(5_000)
    assert peer.asked and node.view.tip.height == 304
    other = Syncing(world, 296)
    other.meet(Serving(world, "next"), 303)
    other.reach(303)
    assert other.synced == [304]


def test_after_a_restart_it_goes_on_where_the_ledger_ends() -> None:
    world = World()
    node = Syncing(world, 0)
    node.meet(Serving(world, "peer"), 104)
    node.reach(40)
    tip, records = node.view.tip.height, node.view.store.database
    assert 40 <= tip < 104
    again = Syncing(World(), 0)
    again.view = again.sync.view = LedgerView(Store(records, grown().network), grown().network)
    peer = Serving(again.world, "peer")
    again.meet(peer, 104)
    again.reach(104)
    assert min(each.first for each in peer.asked) == tip + 1
    assert same_ledger(again.view, grown().view(104))


def test_it_runs_beside_consensus_that_makes_the_same_blocks_final() -> None:
    """Whichever is slower passes over what is final; a draft under which the ledger has moved is begun anew."""
    world = World()
    node = Syncing(world, 0)
    node.meet(Serving(world, "peer", 104), 104)
    faster = iter(range(1, 105))
    full = grown()

    def one_more() -> None:
        def work() -> None:
            height = next(faster)
            while height <= node.view.tip.height:
                height = next(faster)
            block = full.blocks[height - 1]
            node.view.judge(block)
            members = full.sets[block.header.epoch]
            node.view.finalize(block.header.hash(), certify(full.network, block.header, members))

        if node.view.tip.height < 96:
            node.offload(LEDGER, work, lambda _: None)
            world.after(7, one_more)

    one_more()
    node.reach(104)
    assert same_ledger(node.view, full.view(104)) and not node.blamed
    assert 1 < len(node.blocks) < 104


def test_a_job_in_the_ledgers_lane_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.block_range.JOB_BLOCKS", 3)
    sizes: list[int] = []
    execute = block_sync.RangeRun.step

    def counted(run: Any) -> bool:
        before = len(run.chain)
        done = execute(run)
        sizes.append(len(run.chain) - before)
        return done

    monkeypatch.setattr(block_sync.RangeRun, "step", counted)
    world = World()
    node = Syncing(world, 0)
    node.meet(Serving(world, "peer"), 304)
    node.reach(40)
    assert sizes[:3] == [3, 3, 2] and max(sizes) == 3


# ---- What a server sends


def test_a_range_ends_with_a_certificate_of_its_own_within_its_epoch_and_its_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = grown()
    records = Records(full.at[304])
    store = Store(records, full.network)

    def sent(first: int, blocks: int) -> list[int]:
        found = honest(RangeRequest(5, first, blocks), store)
        assert found.number == 5
        if found.blocks:
            last = found.blocks[-1].header
            assert Certificate.decode(found.certificate).block_hash == last.hash()
        return [block.header.height for block in found.blocks]

    assert sent(1, 128) == list(range(1, 9)) and sent(3, 4) == [3, 4, 5, 6] and sent(304, 1) == [304]
    for nothing in ((305, 1), (0, 8), (1, 0), (2**64 - 1, 65_535)):
        assert sent(*nothing) == []
    for height in (3, 4, 5, 6, 7):
        records.write({b"f" + height.to_bytes(8, "big"): b""})
    assert sent(1, 7) == [1, 2] and sent(3, 5) == [] and sent(3, 6) == list(range(3, 9))
    sizes = [len(store.encoded_block(height) or b"") for height in range(1, 9)]
    monkeypatch.setattr(sync_server, "RANGE_BYTES", sum(sizes[:2]))
    assert sent(1, 8) == [1, 2]
    monkeypatch.setattr(sync_server, "RANGE_BYTES", sum(sizes[:2]) - 1)
    assert sent(1, 8) == [1]
    # Where no certificate falls within the limit, it goes on to the first there is, up to the hard limit.
    assert sent(3, 8) == list(range(3, 9))
    monkeypatch.setattr(sync_server, "RANGE_BYTES_MAXIMUM", sum(sizes[2:]))
    assert sent(3, 8) == list(range(3, 9))
    monkeypatch.setattr(sync_server, "RANGE_BYTES_MAXIMUM", sum(sizes[2:]) - 1)
    assert sent(3, 8) == []
    records.write({b"b" + (6).to_bytes(8, "big"): None})
    monkeypatch.undo()
    assert sent(3, 8) == [] and sent(1, 8) == [1, 2]


def test_of_many_questions_at_once_a_peer_gets_one_answered() -> None:
    world = World()
    peer, other = Serving(world, "peer"), SimNode(world, "other")
    other.connect(peer)
    for number in range(1, 4):
        other.send(peer.key, RANGE_REQUEST, RangeRequest(number, 1, 8).encode())
    world.run(1_000)
    assert [BlockRange.decode(payload).number for _, kind, payload in peer.sent if kind == RANGE] == [1]


# ---- Liars


def forged(asked: RangeRequest, store: Store) -> bytes:
    """Signed by too few: one of four."""
    found = honest(asked, store)
    header = found.blocks[-1].header
    members = grown().sets[header.epoch]
    return replace(found, certificate=certify(grown().network, header, members, [0]).encode()).encode()


def signed_by_strangers(asked: RangeRequest, store: Store) -> bytes:
    """The bitmap says all, the signature is made by other keys."""
    found = honest(asked, store)
    certificate = Certificate.decode(found.certificate)
    other = Certificate.decode(honest(replace(asked, blocks=1), store).certificate)
    return replace(found, certificate=replace(certificate, signature=other.signature).encode()).encode()


def notarized_only(asked: RangeRequest, store: Store) -> bytes:
    found = honest(asked, store)
    header = found.blocks[-1].header
    certificate = certify(grown().network, header, grown().sets[header.epoch], kind=NOTARIZE)
    return replace(found, certificate=certificate.encode()).encode()


def altered_header(asked: RangeRequest, store: Store) -> bytes:
    """Somebody's state root in the middle."""
    blocks = list(honest(asked, store).blocks)
    blocks[2] = replace(blocks[2], header=replace(blocks[2].header, state_root=bytes(32)))
    return replace(honest(asked, store), blocks=tuple(blocks)).encode()


def altered_body(asked: RangeRequest, store: Store) -> bytes:
    """A certified header over another body."""
    blocks = list(honest(asked, store).blocks)
    body = blocks[2].body
    transactions = blocks[1].body.transactions or body.transactions[1:] or grown().blocks[0].body.transactions
    blocks[2] = Block(blocks[2].header, replace(body, transactions=transactions))
    return replace(honest(asked, store), blocks=tuple(blocks)).encode()


def of_another_chain(asked: RangeRequest, store: Store) -> bytes:
    found = honest(asked, store)
    blocks = [replace(b, header=replace(b.header, chain_id=bytes(32))) for b in found.blocks]
    for i in range(1, len(blocks)):
        blocks[i] = replace(blocks[i], header=replace(blocks[i].header, parent_hash=blocks[i - 1].header.hash()))
    header = blocks[-1].header
    certificate = certify(grown().network, header, grown().sets[header.epoch])
    return replace(found, blocks=tuple(blocks), certificate=certificate.encode()).encode()


def too_many(asked: RangeRequest, store: Store) -> bytes:
    """Two epochs, well certified."""
    found, more = honest(asked, store), honest(replace(asked, first=asked.first + EPOCH), store)
    return replace(more, number=asked.number, blocks=found.blocks + more.blocks).encode()


def more_than_asked(asked: RangeRequest, store: Store) -> bytes:
    """From where it was asked, to where it was not."""
    return honest(replace(asked, blocks=128), store).encode()


def another_place(asked: RangeRequest, store: Store) -> bytes:
    """The right blocks of the next epoch."""
    return replace(honest(replace(asked, first=asked.first + EPOCH), store), number=asked.number).encode()


def shuffled(asked: RangeRequest, store: Store) -> bytes:
    found = honest(asked, store)
    first, second, *rest = found.blocks
    return replace(found, blocks=(second, first, *rest)).encode()


def holed(asked: RangeRequest, store: Store) -> bytes:
    found = honest(asked, store)
    return replace(found, blocks=found.blocks[:2] + found.blocks[3:]).encode()


def cut_short(asked: RangeRequest, store: Store) -> bytes:
    """The last blocks are missing, and with them what the certificate is about."""
    found = honest(asked, store)
    return replace(found, blocks=found.blocks[:-2]).encode()


def half_a_message(asked: RangeRequest, store: Store) -> bytes:
    whole = honest(asked, store).encode()
    return whole[: len(whole) // 2]


def with_a_tail(asked: RangeRequest, store: Store) -> bytes:
    return honest(asked, store).encode() + b"\0"


LIES: list[Answer] = [
    forged, signed_by_strangers, notarized_only, altered_header, altered_body,
    of_another_chain, too_many, another_place, shuffled, holed, cut_short, half_a_message, with_a_tail,
]  # fmt: skip


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__)
def test_whoever_sends_what_no_honest_node_sends_is_cut_off_and_the_range_is_asked_elsewhere(lie: Answer) -> None:
    world = World()
    node, start = Syncing(world, 72), 72
    liar = Serving(world, "liar", lie=lie)
    node.meet(liar, 304)
    world.run(3_000)
    assert node.view.tip.height == start and node.reasons() == [("liar", 100)] and not node.peers()
    for i in range(2):
        node.meet(Serving(world, f"peer {i}", 104), 104)
    node.reach(104)
    assert same_ledger(node.view, grown().view(104)) and node.reasons() == [("liar", 100)]


def test_more_blocks_than_asked_for_are_too_many() -> None:
    """The rest of the epoch was asked for, so a whole epoch has one block more."""
    full, world = grown(), World()
    node = Syncing(world, 72)
    certified = certify(full.network, full.blocks[72].header, full.sets[9])
    node.view.judge(full.blocks[72])
    node.view.finalize(full.blocks[72].header.hash(), certified)
    node.meet(Serving(world, "liar", lie=lambda asked, store: honest(replace(asked, first=73), store).encode()), 304)
    world.run(3_000)
    assert node.reasons() == [("liar", 100)] and node.view.tip.height == 73


def test_a_peer_that_claims_the_moon_and_says_nothing_holds_up_nobody() -> None:
    world = World()
    node = Syncing(world, 40)
    silent = Serving(world, "silent", lie=lambda asked, store: None)
    node.meet(silent, 10**9)
    world.run(5_000)
    assert not node.sync.busy
    for i in range(2):
        node.meet(Serving(world, f"peer {i}"), 104)
    assert node.reach(104) < 30_000
    world.run(HOUR)
    # It is asked less and less, makes nobody busy, and is never banned for being slow alone in one hour.
    assert set(node.reasons()) == {("silent", 10)} and 2 < len(silent.asked) < 12 and not node.sync.busy
    node.claim(silent, 90)
    asked = len(silent.asked)
    world.run(HOUR)
    assert len(silent.asked) == asked and node.view.tip.height == 104


def test_a_peer_that_lowers_its_claim_holds_up_nobody() -> None:
    world = World()
    node = Syncing(world, 40)
    liar = Serving(world, "liar", height=0)
    node.meet(liar, 10**9)
    world.run(200)
    node.claim(liar, 10)
    node.meet(Serving(world, "peer"), 104)
    node.reach(104)
    assert not node.blamed


def test_fifty_silent_peers_do_not_starve_the_one_that_delivers() -> None:
    world = World()
    node = Syncing(world, 200)
    for i in range(50):
        node.meet(Serving(world, f"silent {i}", height=0, lie=lambda asked, store: None), 10**9)
    node.meet(Serving(world, "peer"), 304)
    assert node.reach(304) < 600_000
    assert max(len(node.sync._slots), len(node.sync._peers.open)) <= 51


def test_who_does_not_have_the_blocks_is_asked_later_and_not_blamed() -> None:
    world = World()
    node = Syncing(world, 40)
    pruned = Serving(world, "pruned", height=0)
    node.meet(pruned, 104)
    world.run(60_000)
    assert 4 <= len(pruned.asked) <= 24 and not node.blamed and not node.sync.busy
    node.meet(Serving(world, "peer"), 104)
    node.reach(104)


def test_answers_that_nobody_asked_for_or_that_come_twice_are_blamed_and_late_ones_are_not() -> None:
    world = World()
    node = Syncing(world, 40)
    stranger = Serving(world, "stranger")
    node.connect(stranger)
    stranger.send(node.key, RANGE, range_of(stranger.store, RangeRequest(1, 41, 8)))
    world.run(1_000)
    assert node.reasons() == [("stranger", 20)] and node.view.tip.height == 40

    node.blamed.clear()
    twice = Serving(world, "twice")
    node.meet(twice, 48)
    node.reach(48)
    old = next(payload for _, kind, payload in twice.sent if kind == RANGE)
    twice.send(node.key, RANGE, old)
    twice.send(node.key, RANGE, old[:8])
    world.run(1_000)
    assert node.reasons() == [("twice", 20), ("twice", 20)] and node.view.tip.height == 48
    twice.send(node.key, RANGE, b"short")
    world.run(1_000)
    assert node.reasons()[-1] == ("twice", 100)

    late = Syncing(World(), 40)
    slow = Serving(late.world, "slow", lie=lambda asked, store: None)
    late.meet(slow, 48)
    late.world.run(25_000)
    assert late.reasons() == [("slow", 10)]
    slow.send(late.key, RANGE, range_of(slow.store, slow.asked[0]))
    late.world.run(1_000)
    assert late.reasons() == [("slow", 10)] and late.view.tip.height == 40


def test_who_leaves_in_the_middle_is_replaced_and_may_come_back() -> None:
    world = World(latency_ms=300)
    node = Syncing(world, 40)
    leaver, peer = Serving(world, "leaver"), Serving(world, "peer")
    node.meet(leaver, 104)
    world.run(320)
    assert leaver.asked
    node.disconnect(leaver)
    node.meet(leaver, 104)  # its answer to the old question may still be on its way
    node.meet(peer, 104)
    node.reach(104)
    assert not node.blamed


# ---- Trust


def test_validators_that_vouch_against_what_is_final_here_end_the_node() -> None:
    """More than two thirds of the power has signed two histories: nothing that a program could decide."""
    full, world = grown(), World()
    node = Syncing(world, 40)

    def other_history(asked: RangeRequest, store: Store) -> bytes:
        found = honest(asked, store)
        first = replace(found.blocks[0], header=replace(found.blocks[0].header, parent_hash=bytes(32)))
        certificate = certify(full.network, first.header, full.sets[first.header.epoch])
        return replace(found, blocks=(first,), certificate=certificate.encode()).encode()

    node.meet(Serving(world, "twin", lie=other_history), 104)
    with pytest.raises(NodeError, match="finality is contradicted"):
        world.run(5_000)


def staked() -> int:
    """An end of an epoch after the hand-over."""
    return next(h for h in range(EPOCH, 300, EPOCH) if grown().blocks[h - 1].header.phase == 2)


def test_an_old_node_syncs_only_with_a_checkpoint_and_says_so() -> None:
    """Whoever voted at its tip may have taken the stake back and sell the key."""
    height = staked()
    params = grown().network.params
    node = Syncing(World(), height, Trust(params))
    peer = Serving(node.world, "peer")
    node.meet(peer, 304)
    node.world.run(HOUR)
    assert node.view.tip.height == height and not peer.asked
    assert "--checkpoint HEIGHT:HASH" in (node.sync.refusal or "") and str(height) in (node.sync.refusal or "")

    fresh = World(started_ms=grown().blocks[height - 1].header.time_ms + 1_000)
    node = Syncing(fresh, height, Trust(params))
    node.meet(Serving(fresh, "peer"), 160)
    node.reach(160)
    assert node.sync.refusal is None


def test_with_a_checkpoint_an_old_node_syncs_up_to_it_and_further_only_if_it_is_recent() -> None:
    full, height = grown(), staked()
    params, at = full.network.params, staked() + 2 * EPOCH
    checkpoint = at, full.blocks[at - 1].header.hash()
    old = Syncing(World(), height, Trust(params, checkpoint))
    old.meet(Serving(old.world, "peer"), 304)
    old.world.run(HOUR)
    assert old.view.tip.height == at and "the block of the checkpoint" in (old.sync.refusal or "")

    trust = Trust(params, checkpoint)
    recent = World(started_ms=full.blocks[at - 1].header.time_ms + trust.period_ms - 10_000)
    node = Syncing(recent, height, trust)
    node.meet(Serving(recent, "peer"), 160)
    node.reach(160)


def test_another_block_than_the_checkpoints_ends_the_node() -> None:
    height = staked()
    trust = Trust(grown().network.params, (height + 4, bytes(32)))
    node = Syncing(World(), height, trust)
    node.meet(Serving(node.world, "peer"), 304)
    with pytest.raises(CheckpointError, match=f"block {height + 4} of this chain"):
        node.world.run(HOUR)
    assert node.view.tip.height == height


def test_a_long_sync_from_the_genesis_may_be_interrupted() -> None:
    """The founders vouch for the beginning; what stands on it is old and trusted, for the trusting period."""
    trust = Trust(grown().network.params)
    node = Syncing(World(), 0, trust)
    node.meet(Serving(node.world, "peer"), 240)
    node.reach(staked() + 1)
    records, now = node.view.store.database, node.wall_ms()
    assert records.get(TRUSTED) is not None

    def restarted(after_ms: int) -> Syncing:
        copy = Records(dict(records.items(b"")))
        again = Syncing(World(started_ms=now + after_ms), 0, trust)
        again.view = again.sync.view = LedgerView(Store(copy, grown().network), grown().network)
        again.meet(Serving(again.world, "peer"), 240)
        return again

    restarted(trust.period_ms - 5_000).reach(240)
    late = restarted(trust.period_ms + 1)
    late.world.run(HOUR)
    assert late.sync.refusal and late.view.tip.height < 240
