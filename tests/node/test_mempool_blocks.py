"""How blocks are filled from the mempool: the order, the room of each lane, and what does not apply."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from chain.block import SEGMENTS_MAXIMUM, encode_round_input
from chain.crypto import bls
from chain.crypto.votes import NOTARIZE, Evidence, Vote, evidence_of, vote_message
from chain.errors import DecodeError
from chain.fees import transaction_gas
from chain.transactions import RegisterNode, Transaction, Transfer, Unjail, Withdraw, node_consent
from chain.transition import lane_gas
from network.kinds import BLOCK, KINDS, PROPOSAL
from node import producer as producer_module
from node.producer import MISSES, TRANSACTIONS_PER_BLOCK
from tests.builders import BOB, Chain, Key, a_key, a_proof, a_reveal, a_training_chain, named
from tests.node.lone_node import IDENTITY, LoneNode
from tests.node.waiting import pay, registration, rich_node, signed


def wallets(node: LoneNode, number: int, name: str = "wallet") -> list[Key]:
    """New wallets with money."""
    keys = [a_key(f"{name} {index}") for index in range(number)]
    pay(node, keys)
    return keys


def wait(node: LoneNode, sender: Key, nonce: int = 0, **changes: int) -> Transaction:
    """A transfer that is in the mempool."""
    transaction = signed(node, Transfer(BOB.address, 1), nonce, sender, **changes)
    node.mempool.add(transaction, node.state)
    return transaction


def an_accusation(node: LoneNode) -> Evidence:
    """That the node's validator has voted for two blocks in the running epoch."""
    chain_id, epoch = node.network.chain_id, node.proposal().epoch

    def vote(name: str) -> Vote:
        message = vote_message(chain_id, NOTARIZE, epoch, 1, named(name))
        return Vote(NOTARIZE, epoch, 1, named(name), 0, bls.sign(IDENTITY.validator_secret, message))

    return evidence_of(vote("one"), vote("other"))


def built(node: LoneNode) -> list[Transaction]:
    """The transactions of the node's next block, which is not kept; its limits were checked when it was built."""
    return list(node.build().block.body.transactions)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """It builds blocks and keeps none of them."""
    node = rich_node(tmp_path_factory.mktemp("blocks"))
    wallets(node, 8)
    return node


@pytest.fixture(autouse=True)
def empty(request: pytest.FixtureRequest) -> None:
    if "node" in request.fixturenames:
        node = request.getfixturevalue("node")
        for waiting in [item for queue in list(node.mempool._held.queues.values()) for item in queue.items]:
            node.mempool.drop(waiting)


def test_evidence_stands_first_whatever_others_tip(node: LoneNode) -> None:
    keys = [a_key(f"wallet {index}") for index in range(3)]
    high = wait(node, keys[0], max_fee=1_000, tip=900)
    report = signed(node, an_accusation(node), 0, keys[1])
    node.mempool.add(report, node.state)
    newcomer = registration(node, keys[2])
    node.mempool.add(newcomer, node.state)
    assert built(node) == [report, newcomer, high]


def test_tips_decide_and_the_nonces_of_a_sender_ascend(node: LoneNode) -> None:
    one, other = a_key("wallet 0"), a_key("wallet 1")
    for nonce, tip in enumerate((2, 9)):
        wait(node, one, nonce, tip=tip)
    for nonce, tip in enumerate((5, 1)):
        wait(node, other, nonce, tip=tip)
    assert [each.tip for each in built(node)] == [5, 2, 9, 1]


def test_what_does_not_apply_is_left_out_and_forgotten_with_what_stands_behind_it(node: LoneNode) -> None:
    keys = [a_key(f"wallet {index}") for index in range(2)]
    node.mempool.add(signed(node, Withdraw(), 0, keys[0], tip=50), node.state)
    wait(node, keys[0], 1, tip=50)
    good = wait(node, keys[1])
    assert built(node) == [good] and node.mempool.ready() == [good]


def test_on_a_parent_that_is_not_final_yet_nothing_is_taken_twice_nor_forgotten(node: LoneNode) -> None:
    key = a_key("wallet 0")
    transactions = [wait(node, key, nonce) for nonce in range(2)]
    parent = node.build()
    assert list(parent.block.body.transactions) == transactions
    found = node.view.built_on(parent.block.header.hash())
    assert found is not None
    late = wait(node, key, 2)
    chosen = node.proposal(parent.block.header.time_ms + node.network.params.block_interval_min_ms)
    body = node.producer.body(*found, chosen, b"")
    assert list(body.transactions) == [late] and node.mempool.ready() == [*transactions, late]


def test_a_block_has_news_only_if_something_can_pay_its_fee(node: LoneNode) -> None:
    state, time_ms = node.state, node.view.tip.time_ms
    assert not node.producer.has_news(state, time_ms)
    wait(node, a_key("wallet 0"), max_fee=5)
    assert node.producer.has_news(state, time_ms)
    dear = state.fork()
    dear.update_ledger(base_fee=6)
    assert not node.producer.has_news(dear, time_ms)


def failing(node: LoneNode, keys: list[Key]) -> None:
    for key in keys:
        nonce = node.state.account(key.address).nonce
        node.mempool.add(signed(node, Unjail(), nonce, key, max_fee=1_000, tip=900), node.state)


def test_a_block_is_closed_after_so_many_that_do_not_apply(tmp_path: Path) -> None:
    node = rich_node(tmp_path)
    bad, good = wallets(node, MISSES + 2, "bad"), wallets(node, 1, "good")[0]
    failing(node, bad[: MISSES - 1])
    honest = wait(node, good)
    assert built(node) == [honest] and node.mempool.ready() == [honest]
    # One more and the honest one waits for the block after: what failed is gone by then.
    failing(node, bad)
    assert built(node) == [] and len(node.mempool) == 3
    assert built(node) == [honest] and node.mempool.ready() == [honest]


def test_registrations_that_fail_do_not_close_a_block_to_who_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = rich_node(tmp_path, registrations_per_block=9)
    monkeypatch.setattr(producer_module, "MISSES", 2)
    shared = a_key("shared")
    for index in range(5):  # only the first can apply: a node belongs to one wallet
        wallet = a_key(f"wallet {index}")
        consent = shared.sign(node_consent(node.network.chain_id, shared.public, wallet.public, False))
        node.mempool.add(signed(node, RegisterNode(shared.public, False, 0, consent), 0, wallet), node.state)
    node.mempool.add(paying := signed(node, Transfer(BOB.address, 1), 1), node.state)
    taken = built(node)
    assert len(taken) == 2 and taken[1] == paying and len(node.mempool) == 2


def test_a_block_has_room_for_so_many_registrations_and_the_rest_wait(tmp_path: Path) -> None:
    node = rich_node(tmp_path, registrations_per_block=2)
    newcomers = [registration(node, a_key(f"newcomer {index}")) for index in range(3)]
    for newcomer in newcomers:
        node.mempool.add(newcomer, node.state)
    node.mempool.add(paying := signed(node, Transfer(BOB.address, 1), 1), node.state)
    assert [list(node.block().block.body.transactions) for _ in range(3)] == [
        [*newcomers[:2], paying],
        [newcomers[2]],
        [],
    ]


def test_what_pays_leaves_the_lane_free_to_the_last_unit_of_gas(tmp_path: Path) -> None:
    gas = transaction_gas(Transaction(bytes(33), 0, 0, 0, Transfer(BOB.address, 1), bytes(64)))
    for lane, taken in ((9 * gas, 3), (9 * gas + 1, 2)):
        node = rich_node(tmp_path / str(lane), block_gas_maximum=12 * gas, lane_gas_maximum=lane)
        keys = [a_key(f"wallet {index}") for index in range(4)]
        pay_one_by_one(node, keys)
        waiting = [wait(node, key, tip=9 - index) for index, key in enumerate(keys)]
        assert built(node) == waiting[:taken] and node.mempool.ready() == waiting


def pay_one_by_one(node: LoneNode, keys: list[Key]) -> None:
    for nonce, key in enumerate(keys, start=1):
        node.mempool.add(signed(node, Transfer(key.address, 10**9), nonce), node.state)
        node.block()


def test_proofs_and_registrations_share_their_lane_and_never_exceed_it(tmp_path: Path) -> None:
    node = rich_node(tmp_path, block_gas_maximum=20_000, lane_gas_maximum=6_000, inner_steps=8)
    node.train(8)
    node.mempool.add(newcomer := registration(node, a_key("newcomer")), node.state)
    applied = node.block()
    body = applied.block.body
    assert list(body.transactions) == [newcomer] and 0 < len(body.proofs) < 8
    assert lane_gas(body) <= 6_000 < lane_gas(body) + 1_600
    left = node.block().block.body
    assert left.proofs and lane_gas(left) <= 6_000


def test_a_registration_that_finds_the_lane_too_small_does_not_stop_those_who_pay(tmp_path: Path) -> None:
    newcomers = [registration(LoneNode(tmp_path), a_key(f"newcomer {index}")) for index in range(3)]
    gas = sum(map(transaction_gas, newcomers))
    for lane, taken in ((gas, 3), (gas - 1, 2)):
        node = rich_node(tmp_path / str(lane), lane_gas_maximum=lane)
        newcomers = [registration(node, a_key(f"newcomer {index}")) for index in range(3)]
        for newcomer in newcomers:
            node.mempool.add(newcomer, node.state)
        node.mempool.add(paying := signed(node, Transfer(BOB.address, 1), 1), node.state)
        assert built(node) == [*newcomers[:taken], paying] and len(node.mempool) == 4


def test_a_block_holds_no_more_transactions_than_its_encoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = rich_node(tmp_path)
    keys = wallets(node, 4)
    waiting = [wait(node, key) for key in keys]
    assert TRANSACTIONS_PER_BLOCK == 4_096
    monkeypatch.setattr(producer_module, "TRANSACTIONS_PER_BLOCK", 3)
    assert built(node) == waiting[:3]
    body = node.build().block.body
    for number in (4_096, 4_097):
        full = replace(body, transactions=(waiting[0],) * number)
        with pytest.raises(DecodeError, match="at most 4096 items") if number > 4_096 else nullcontext():
            full.encode()


def test_a_block_has_room_for_so_many_bytes(node: LoneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    transactions = [wait(node, a_key(f"wallet {index}")) for index in range(3)]
    size = len(transactions[0].encode())
    for room, taken in ((2 * size - 1, 1), (2 * size, 2)):
        monkeypatch.setattr(producer_module, "TRANSACTION_BYTES_PER_BLOCK", room)
        assert built(node) == transactions[:taken] and node.mempool.ready() == transactions


def test_the_largest_block_of_an_honest_node_fits_one_message() -> None:
    proof = len(a_proof(Chain()).encode())
    longest = replace(a_reveal(a_training_chain()), distances=(1,) * SEGMENTS_MAXIMUM)
    reveal = len(encode_round_input(longest))
    body = producer_module.TRANSACTION_BYTES_PER_BLOCK + 4 * TRANSACTIONS_PER_BLOCK
    rest = producer_module.PROOFS_PER_BLOCK * proof + producer_module.INPUTS_PER_BLOCK * reveal
    head = 16 * TRANSACTIONS_PER_BLOCK + 4_096 + 2_048  # names, some in full, header and proposal
    assert body + rest + 2_048 <= KINDS[BLOCK].bytes_maximum
    assert rest + head <= KINDS[PROPOSAL].bytes_maximum
