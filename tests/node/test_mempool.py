"""What waits for a block is bounded, has no gaps, and does not wait for ever."""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.errors import BadSignature, InvalidTransaction, NotEnoughFunds
from chain.transactions import Transaction
from node import mempool as mempool_module
from node.mempool import BLOCKS_WAITED, WAITING_PER_SENDER, Mempool, check_applies
from tests.node.lone_node import IDENTITY, LoneNode, named, with_rounds
from tests.node.served import a_transfer


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Its wallet has earned something, and its next nonce is 1."""
    node = with_rounds(tmp_path_factory.mktemp("mempool"), 2, vest_rounds=1)
    while node.state.account(IDENTITY.address).balance < 10**6:
        node.close_round()
    assert node.state.account(IDENTITY.address).nonce == 1
    return node


@pytest.fixture
def pool(node: LoneNode) -> Mempool:
    return Mempool(node.network)


def transfer(node: LoneNode, nonce: int, **changes: object) -> Transaction:
    return a_transfer(node.network, nonce, 5, **changes)


def test_a_sender_may_have_so_many_waiting_and_not_one_more(node: LoneNode, pool: Mempool) -> None:
    for nonce in range(1, 1 + WAITING_PER_SENDER):
        pool.add(transfer(node, nonce), node.state)
    with pytest.raises(InvalidTransaction, match="may wait: try again after the next block"):
        pool.add(transfer(node, 1 + WAITING_PER_SENDER), node.state)
    assert [waiting.nonce for waiting in pool.ready()] == list(range(1, 1 + WAITING_PER_SENDER))
    assert pool.before(transfer(node, 3)) == pool.ready()[:2] and pool.before(transfer(node, 1)) == []


@pytest.mark.parametrize(
    ("nonce", "words"), [(0, "nonce 0 is used, expected 1"), (2, "leaves a gap: send nonce 1 first")]
)
def test_a_nonce_that_is_used_or_leaves_a_gap_is_refused(node: LoneNode, pool: Mempool, nonce: int, words: str) -> None:
    with pytest.raises(InvalidTransaction, match=words):
        pool.add(transfer(node, nonce), node.state)
    assert len(pool) == 0


def test_the_pool_has_its_limit_which_a_replacement_does_not_meet(
    node: LoneNode, pool: Mempool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mempool_module, "TOTAL", 2)
    pool.add(transfer(node, 1), node.state)
    pool.add(transfer(node, 0, secret=named("other")), node.state)
    with pytest.raises(InvalidTransaction, match="2 transactions wait already"):
        pool.add(transfer(node, 2), node.state)
    pool.add(transfer(node, 1, max_fee=101), node.state)
    assert len(pool) == 2


def test_only_a_higher_fee_replaces_and_the_replaced_is_forgotten(node: LoneNode, pool: Mempool) -> None:
    first = pool.add(transfer(node, 1), node.state)
    assert pool.add(transfer(node, 1), node.state) == first and len(pool) == 1
    for fee in (99, 100):
        with pytest.raises(InvalidTransaction, match="a max_fee above 100 replaces it"):
            pool.add(transfer(node, 1, max_fee=fee, tip=1), node.state)
    better = pool.add(transfer(node, 1, max_fee=101), node.state)
    assert pool.find(first) is None and pool.find(better) is not None and len(pool) == 1


def test_the_same_transaction_under_another_signature_is_not_the_same(node: LoneNode, pool: Mempool) -> None:
    good = transfer(node, 1)
    pool.add(good, node.state)
    with pytest.raises((BadSignature, InvalidTransaction)):
        pool.add(replace(good, signature=bytes(64)), node.state)
    assert pool.ready() == [good]


def test_a_wrong_signature_replaces_nothing(node: LoneNode, pool: Mempool) -> None:
    good = transfer(node, 1)
    pool.add(good, node.state)
    with pytest.raises(BadSignature):
        pool.add(replace(transfer(node, 1, max_fee=101), signature=good.signature), node.state)
    assert pool.ready() == [good]


def test_what_no_block_takes_is_forgotten_after_its_time(node: LoneNode, pool: Mempool) -> None:
    identity = pool.add(transfer(node, 1), node.state)
    for _ in range(BLOCKS_WAITED - 1):
        pool.prune(node.state)
    assert pool.find(identity) is not None
    pool.prune(node.state)
    assert len(pool) == 0 and pool.find(identity) is None and pool.ready() == []


def test_what_a_block_has_taken_is_forgotten(tmp_path: Path) -> None:
    node = with_rounds(tmp_path, 2, vest_rounds=1)
    while node.state.account(IDENTITY.address).balance < 10**6:
        node.close_round()
    taken, late = (
        node.mempool.add(transfer(node, nonce, max_fee=fee), node.state) for nonce, fee in ((1, 100), (2, 0))
    )
    applied = node.block()
    assert [each.id(node.network.chain_id) for each in applied.block.body.transactions] == [taken]
    assert node.mempool.find(taken) is None and node.mempool.find(late) is not None


def test_a_transaction_applies_after_those_that_wait_before_it(node: LoneNode) -> None:
    balance = node.state.account(IDENTITY.address).balance
    first, second = a_transfer(node.network, 1, balance // 2), a_transfer(node.network, 2, balance // 2)
    check_applies(first, [], node.state, 1, node.network)
    with pytest.raises(InvalidTransaction, match="nonce 2, expected 1"):
        check_applies(second, [], node.state, 1, node.network)
    with pytest.raises(NotEnoughFunds):
        check_applies(second, [first], node.state, 1, node.network)
    check_applies(transfer(node, 2), [transfer(node, 1)], node.state, 1, node.network)
    # What a block has taken meanwhile does not count twice.
    check_applies(transfer(node, 1), [transfer(node, 0)], node.state, 1, node.network)
