"""Blocks between nodes: a proposal is rebuilt from names and believed by its header; a block is found by its hash."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import pytest

from chain.block import Block
from chain.transactions import Transaction
from consensus.messages import NOTARIZE, NULLIFY, Proposal, Vote
from network.kinds import BLOCK, BLOCK_ABSENT, BLOCK_REQUEST, KINDS, MISSING, MISSING_REQUEST, PROPOSAL
from node import block_assembly, block_exchange
from node.block_exchange import ANSWERS_PER_SECOND, CARRIED_BYTES, BlockExchange, compact
from node.block_requests import PATIENCE_MAXIMUM_MS, PATIENCE_MS
from node.relay_messages import BlockName, CompactProposal, Missing, MissingRequest, name_of
from node.runtime import INVALID, MALFORMED, SLOW, UNASKED
from tests.builders import Chain, a_key, a_network, a_transfer
from tests.node.little_network import LittleNetwork, LittleRuntime, Message

MANY = 30  # transfers: more than a proposal carries in full


@cache
def chain() -> Chain:
    found = Chain(a_network())
    for index in range(MANY):
        found.fund(a_key(f"payer {index}"), 10**9)
    return found


@cache
def a_block(transfers: int = MANY, view: int = 1) -> Block:
    payments = [a_transfer(chain(), 1, sender=a_key(f"payer {index}")) for index in range(transfers)]
    return chain().build(payments, view=view)


def proposal_of(block: Block, **changes: object) -> Proposal:
    header = block.header
    vote = Vote(NOTARIZE, header.epoch, header.view, header.hash(), header.proposer, bytes(96))
    proposal = Proposal(header.epoch, header.view, 0, header.parent_hash, header.hash(), header.height, vote)
    return replace(proposal, **changes)


@dataclass
class Place:
    """One node's exchange, with what it holds and what it was offered."""

    runtime: LittleRuntime
    mempool: dict[bytes, bytes] = field(default_factory=dict)
    blocks: dict[bytes, Block] = field(default_factory=dict)
    offered: list[tuple[bytes, Proposal, Block]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.exchange = BlockExchange(self.runtime, chain().network, self.blocks.get, self.mempool.get)
        self.exchange.on_proposal = lambda *offer: self.offered.append(offer)
        self.runtime.runs(self.exchange)

    @property
    def key(self) -> bytes:
        return self.runtime.key

    def holds(self, block: Block) -> None:
        self.blocks[block.header.hash()] = block

    def knows(self, transactions: Sequence[Transaction]) -> None:
        self.mempool |= {name_of(each.encode()): each.encode() for each in transactions}

    def points(self, other: "Place") -> int:
        return self.runtime.points(other.runtime)


class Places:
    def __init__(self, *names: str) -> None:
        self.network = LittleNetwork()
        self.all = [Place(self.network.node(name)) for name in names]
        self.network.connect(*(place.runtime for place in self.all))

    def kinds(self) -> list[int]:
        return [message.kind for message in self.network.log]

    def loses(self, *kinds: int, sender: Place | None = None) -> None:
        def is_lost(message: Message) -> bool:
            return message.kind in kinds and sender in (None, *(p for p in self.all if p.key == message.sender))

        self.network.drop = is_lost


@pytest.fixture
def pair() -> Places:
    return Places("leader", "follower")


# ---- Proposals


def test_a_proposal_names_transactions_and_the_mempool_of_the_receiver_has_them(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.knows(block.body.transactions)
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run()
    assert follower.offered == [(leader.key, proposal_of(block), block)]
    [message] = pair.network.log
    assert len(message.payload) < len(block.encode()) / 2


def test_what_the_mempool_has_checked_is_not_checked_again_and_all_else_is(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.knows(block.body.transactions[1:])
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run()
    [(_, _, found)] = follower.offered
    vouched = [getattr(each, "_good_for", None) for each in found.body.transactions]
    assert vouched == [None] + [chain().network.chain_id] * (MANY - 1)


def test_only_what_is_missing_is_asked_for(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.knows([each for index, each in enumerate(block.body.transactions) if index not in (3, 7)])
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run()
    [request] = pair.network.sent(MISSING_REQUEST)
    assert MissingRequest.decode(request.payload) == MissingRequest(block.header.hash(), (3, 7))
    assert [offer[2] for offer in follower.offered] == [block]
    assert pair.kinds() == [PROPOSAL, MISSING_REQUEST, MISSING]


def test_a_few_transactions_travel_in_full(pair: Places) -> None:
    leader, follower = pair.all
    size = len(a_block().body.transactions[0].encode())
    most = CARRIED_BYTES // size
    for number, request in ((most, []), (most + 1, [MISSING_REQUEST, MISSING])):
        block = a_block(number, view=number)
        pair.network.log.clear()
        leader.exchange.propose(proposal_of(block), block)
        pair.network.run()
        assert pair.kinds() == [PROPOSAL, *request]
    assert len(follower.offered) == 2


@pytest.mark.parametrize("field_name", ["epoch", "view", "parent_hash", "block_hash", "height"])
def test_a_proposal_that_its_header_contradicts_is_malformed(pair: Places, field_name: str) -> None:
    leader, follower = pair.all
    proposal = proposal_of(a_block())
    value = getattr(proposal, field_name)
    other = value + 1 if isinstance(value, int) else bytes(32)
    message = compact(replace(proposal, **{field_name: other}), a_block())
    leader.runtime.say(follower.runtime, PROPOSAL, message.encode())
    pair.network.run()
    assert follower.offered == [] and follower.points(leader) == MALFORMED


def test_a_proposal_without_its_leaders_vote_or_of_another_network_is_malformed(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    nullify = replace(proposal_of(block).leader_vote, kind=NULLIFY)
    foreign = Block(replace(block.header, chain_id=bytes(32)), block.body)
    for message in (
        compact(proposal_of(block, leader_vote=nullify), block),
        compact(proposal_of(foreign), foreign),
    ):
        leader.runtime.say(follower.runtime, PROPOSAL, message.encode())
        pair.network.run()
    assert follower.offered == [] and follower.points(leader) == 2 * MALFORMED


def test_an_unwanted_proposal_costs_no_work_beyond_its_head(pair: Places) -> None:
    leader, follower = pair.all
    follower.exchange.wants = lambda key, proposal: proposal.view > 1
    message = compact(proposal_of(a_block()), a_block())
    head = len(message.proposal.encode()) + len(message.header.encode())
    leader.runtime.say(follower.runtime, PROPOSAL, message.encode()[:head] + b"rubbish")
    pair.network.run()
    assert follower.offered == [] and follower.points(leader) == 0


def test_a_known_block_is_offered_again_without_being_asked_for(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.holds(block)
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run()
    assert follower.offered == [(leader.key, proposal_of(block), block)] and pair.kinds() == [PROPOSAL]


def test_two_transactions_of_one_name_cost_one_request_of_the_whole_block(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.knows(block.body.transactions)
    wrong, right = block.body.transactions[:2]
    follower.mempool[name_of(wrong.encode())] = right.encode()
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run()
    assert pair.kinds() == [PROPOSAL, BLOCK_REQUEST, BLOCK]
    assert [offer[2] for offer in follower.offered] == [block] and follower.points(leader) == 0


def lie(pair: Places, block: Block) -> CompactProposal:
    """A proposal whose certificate is not the one that the header names."""
    pair.all[1].knows(block.body.transactions)
    return replace(compact(proposal_of(block), block), parent_certificate=b"another")


def test_a_body_that_does_not_fit_its_header_is_never_offered(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    spoilt = Block(block.header, replace(block.body, parent_certificate=b"another"))
    leader.holds(spoilt)
    leader.runtime.say(follower.runtime, PROPOSAL, lie(pair, block).encode())
    pair.network.run(5_000)
    assert follower.offered == [] and follower.points(leader) == MALFORMED


def test_the_next_who_offered_the_block_takes_the_place_of_a_liar() -> None:
    places = Places("follower", "liar", "honest")
    follower, liar, honest = places.all
    block = a_block()
    follower.knows(block.body.transactions)
    message = replace(compact(proposal_of(block), block), parent_certificate=b"another")
    places.loses(BLOCK_REQUEST)
    liar.runtime.say(follower.runtime, PROPOSAL, message.encode())
    honest.runtime.say(follower.runtime, PROPOSAL, compact(proposal_of(block), block).encode())
    places.network.run(5_000)
    assert [(offer[0], offer[2]) for offer in follower.offered] == [(honest.key, block)]
    assert follower.points(liar) == SLOW and follower.points(honest) == 0


def test_a_leader_that_does_not_send_what_is_missing_is_slow_and_its_answer_then_no_offence(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    pair.loses(MISSING_REQUEST)
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run(2_000)
    assert follower.points(leader) == SLOW and len(follower.exchange._assemblies) == 0
    late = Missing(block.header.hash(), tuple(each.encode() for each in block.body.transactions))
    leader.runtime.say(follower.runtime, MISSING, late.encode())
    pair.network.run()
    assert follower.points(leader) == SLOW


def test_transactions_on_their_way_when_the_block_comes_from_elsewhere_are_no_offence() -> None:
    places = Places("leader", "holder", "follower")
    leader, holder, follower = places.all
    block = a_block()
    holder.holds(block)
    places.loses(MISSING_REQUEST)
    leader.runtime.say(follower.runtime, PROPOSAL, compact(proposal_of(block), block).encode())
    places.network.run(10)
    found = fetched(follower, block)
    follower.exchange.hint(block.header.hash(), holder.key)
    places.network.run(100)
    assert found == [block] and len(follower.exchange._assemblies) == 0
    late = Missing(block.header.hash(), tuple(each.encode() for each in block.body.transactions))
    leader.runtime.say(follower.runtime, MISSING, late.encode())
    places.network.run()
    assert follower.points(leader) == 0


def test_many_missing_transactions_are_waited_for_a_millisecond_longer_each(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    pair.loses(MISSING_REQUEST)
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run(block_assembly.PATIENCE_MS + MANY + 4)
    assert follower.points(leader) == 0
    pair.network.run(2)
    assert follower.points(leader) == SLOW


def test_other_transactions_than_those_asked_for_are_blamed(pair: Places) -> None:
    leader, follower = pair.all
    block = a_block()
    follower.knows(block.body.transactions[1:])
    pair.loses(MISSING_REQUEST)
    leader.exchange.propose(proposal_of(block), block)
    pair.network.run(50)
    other = Missing(block.header.hash(), (block.body.transactions[1].encode(),))
    leader.runtime.say(follower.runtime, MISSING, other.encode())
    pair.network.run(50)
    assert follower.points(leader) == INVALID and follower.offered == []


def test_transactions_of_a_block_that_nobody_asked_for_are_blamed(pair: Places) -> None:
    leader, follower = pair.all
    leader.runtime.say(follower.runtime, MISSING, Missing(bytes(32), ()).encode())
    pair.network.run()
    assert follower.points(leader) == UNASKED


def test_one_peer_has_two_proposals_under_way_and_the_newest_stay(pair: Places) -> None:
    leader, follower = pair.all
    pair.loses(MISSING_REQUEST)
    blocks = [a_block(view=view) for view in (1, 2, 3)]
    for block in blocks:
        leader.exchange.propose(proposal_of(block), block)
    pair.network.run(50)
    assert list(follower.exchange._assemblies._offers) == [block.header.hash() for block in blocks[1:]]


def test_what_is_under_way_has_room_for_so_many_bytes(pair: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pair.all
    pair.loses(MISSING_REQUEST)
    size = len(compact(proposal_of(a_block()), a_block()).encode())
    for room, kept in ((2 * size - 1, 1), (2 * size, 2)):
        monkeypatch.setattr(block_assembly, "BYTES_MAXIMUM", room)
        for view in (1, 2):
            leader.exchange.propose(proposal_of(a_block(view=view)), a_block(view=view))
        pair.network.run(50)
        assert len(follower.exchange._assemblies) == kept
        follower.exchange.left(leader.key)
        assert follower.exchange._assemblies.size == 0


# ---- Fetching


def fetched(place: Place, block: Block) -> list[Block]:
    found: list[Block] = []
    place.exchange.fetch(block.header.hash(), found.append)
    return found


def test_a_block_is_asked_of_one_peer_after_another_until_one_has_it() -> None:
    places = Places("asker", "one", "two", "three", "holder")
    block = a_block()
    places.all[-1].holds(block)
    found = fetched(places.all[0], block)
    places.network.run()
    assert found == [block]
    asked = [message.receiver for message in places.network.sent(BLOCK_REQUEST)]
    assert len(asked) == len(set(asked)) and asked[-1] == places.all[-1].key


def test_who_is_hinted_at_is_asked_first() -> None:
    places = Places("asker", *(f"peer {index}" for index in range(8)))
    block, holder = a_block(), places.all[5]
    holder.holds(block)
    found = fetched(places.all[0], block)
    places.all[0].exchange.hint(block.header.hash(), holder.key)
    places.network.run()
    assert found == [block]
    assert [message.receiver for message in places.network.sent(BLOCK_REQUEST)] == [holder.key]


def test_a_known_block_is_given_without_asking_and_never_inside_the_call(pair: Places) -> None:
    pair.all[0].holds(a_block())
    found = fetched(pair.all[0], a_block())
    assert found == []
    pair.network.run()
    assert found == [a_block()] and pair.network.log == []


def test_a_proposal_that_completes_ends_the_fetch_and_the_other_way_round(pair: Places) -> None:
    leader, follower = pair.all
    first, second = a_block(view=1), a_block(view=2)
    found = fetched(follower, first)
    follower.knows(first.body.transactions)
    leader.runtime.say(follower.runtime, PROPOSAL, compact(proposal_of(first), first).encode())
    pair.network.run()
    assert found == [first]
    pair.loses(MISSING)
    follower.mempool.clear()
    leader.exchange.propose(proposal_of(second), second)
    found = fetched(follower, second)
    pair.network.run()
    assert found == [second] and follower.offered[-1][2] == second


def test_the_patience_grows_up_to_ten_seconds_and_the_fetch_goes_on_until_forgotten(pair: Places) -> None:
    asker, silent = pair.all
    pair.loses(BLOCK_REQUEST)
    block = a_block()
    found = fetched(asker, block)
    pair.network.run(200_000)
    # Each round asks the only peer, waits, and then pauses as long: 1 s, 1.5 s, 2.25 s, ... and at most 10 s.
    waits, patience_ms = 0, PATIENCE_MS
    rounds = 0
    while waits <= 200_000:
        waits, rounds = waits + 2 * patience_ms, rounds + 1
        patience_ms = min(PATIENCE_MAXIMUM_MS, patience_ms * 3 // 2)
    asked = len(pair.network.sent(BLOCK_REQUEST))
    assert asked == rounds and asker.points(silent) == SLOW
    asker.exchange.forget(block.header.hash())
    pair.network.drop = lambda message: False
    pair.network.run(100_000)
    assert found == [] and len(pair.network.sent(BLOCK_REQUEST)) == asked


def test_a_block_with_another_body_is_blamed_and_the_next_peer_asked() -> None:
    places = Places("asker", "liar", "honest")
    asker, liar, honest = places.all
    block = a_block()
    liar.holds(block)
    liar.blocks[block.header.hash()] = Block(block.header, replace(block.body, transactions=()))
    honest.holds(block)
    found = fetched(asker, block)
    asker.exchange.hint(block.header.hash(), liar.key)
    places.network.run()
    assert found == [block] and asker.points(liar) == MALFORMED and asker.points(honest) == 0


def test_a_block_that_nobody_asked_for_is_blamed_and_one_that_is_late_or_comes_twice_is_not(pair: Places) -> None:
    asker, holder = pair.all
    holder.runtime.say(asker.runtime, BLOCK, a_block().encode())
    pair.network.run()
    assert asker.points(holder) == UNASKED
    pair.loses(BLOCK_REQUEST)
    fetched(asker, a_block())
    pair.network.run(1_200)
    holder.runtime.say(asker.runtime, BLOCK, a_block().encode())
    pair.network.run(100)
    assert asker.points(holder) == UNASKED + SLOW
    other = a_block(view=2)
    holder.holds(other)
    pair.network.drop = lambda message: False
    fetched(asker, other)
    pair.network.run(100)
    holder.runtime.say(asker.runtime, BLOCK, other.encode())
    pair.network.run(100)
    assert asker.points(holder) == UNASKED + SLOW


def test_a_peer_that_leaves_is_not_waited_for() -> None:
    places = Places("asker", "leaver", "holder")
    asker, leaver, holder = places.all
    block = a_block()
    holder.holds(block)
    places.loses(BLOCK_REQUEST)
    found = fetched(asker, block)
    asker.exchange.hint(block.header.hash(), leaver.key)
    places.network.run(10)
    places.network.drop = lambda message: False
    places.network.disconnect(asker.runtime, leaver.runtime)
    places.network.run(100)
    assert found == [block] and asker.runtime.blamed == []


# ---- Answering


def test_a_peer_gets_so_many_answers_from_the_disk_in_a_second(pair: Places) -> None:
    asker, holder = pair.all
    blocks = [a_block(0, view=view) for view in range(1, ANSWERS_PER_SECOND + 2)]
    for block in blocks:
        holder.holds(block)
        asker.runtime.say(holder.runtime, BLOCK_REQUEST, BlockName(block.header.hash()).encode())
    pair.network.run(500)
    assert len(pair.network.sent(BLOCK)) == ANSWERS_PER_SECOND and len(pair.network.sent(BLOCK_ABSENT)) == 1
    pair.network.run(600)
    asker.runtime.say(holder.runtime, BLOCK_REQUEST, BlockName(blocks[0].header.hash()).encode())
    pair.network.run(500)
    assert len(pair.network.sent(BLOCK)) == ANSWERS_PER_SECOND + 1


def test_a_block_too_large_for_a_message_is_not_sent(pair: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    asker, holder = pair.all
    block = a_block()
    holder.holds(block)
    request = BlockName(block.header.hash()).encode()
    size = len(block.encode())
    for limit, answer in ((size, BLOCK), (size - 1, BLOCK_ABSENT)):
        monkeypatch.setattr(block_exchange, "BLOCK_BYTES_MAXIMUM", limit)
        pair.network.log.clear()
        asker.runtime.say(holder.runtime, BLOCK_REQUEST, request)
        pair.network.run()
        assert pair.kinds() == [BLOCK_REQUEST, answer]
    assert KINDS[BLOCK].bytes_maximum == 8 << 20


@pytest.mark.parametrize("indices", [(), (1, 1), (2, 1), (MANY,)])
def test_a_request_of_nothing_or_out_of_order_or_beyond_the_end_is_malformed(
    pair: Places, indices: tuple[int, ...]
) -> None:
    asker, leader = pair.all
    leader.holds(a_block())
    asker.runtime.say(leader.runtime, MISSING_REQUEST, MissingRequest(a_block().header.hash(), indices).encode())
    pair.network.run()
    assert leader.points(asker) == MALFORMED and pair.kinds() == [MISSING_REQUEST]


def test_bytes_that_are_no_message_are_malformed(pair: Places) -> None:
    liar, node = pair.all
    kinds = (PROPOSAL, MISSING_REQUEST, MISSING, BLOCK_REQUEST, BLOCK, BLOCK_ABSENT)
    for kind in kinds:
        liar.runtime.say(node.runtime, kind, b"rubbish")
    pair.network.run()
    assert node.points(liar) == MALFORMED * len(kinds)
