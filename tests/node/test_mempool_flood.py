"""Floods: what strangers can send without end takes bounded memory, drives out nobody, and blocks still come."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chain.address import address_of
from chain.crypto import ecdsa
from chain.fees import transaction_gas
from chain.transactions import PAYMENTS_MAXIMUM, Transfer, Withdraw
from chain.transition import gas_used
from node.errors import RefusedForNow
from node.mempool import Caps
from node.mempool_checks import NONCE_WINDOW
from node.producer import TRANSACTIONS_PER_BLOCK
from tests.builders import BOB, a_key, named
from tests.node.flood import KINDS, VICTIM, Flood, junk, valid
from tests.node.waiting import PLENTY, Waiters, pay, rich_node, signed

ROOT = Path(__file__).parents[2]
# Beside 20,000 small transactions and the names of 100,000 refused ones; the allocator rounds up.
FULL_MIB, JUNK_MIB = 40, 20


def flooded(waiting: int, rubbish: int, better: int = 0, payments: int = 0) -> dict[str, Any]:
    """What came of a flood in a process of its own."""
    command = [sys.executable, "-m", "tests.node.flood", *map(str, (waiting, rubbish, better, payments))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def check_junk(waiting: int, rubbish: int) -> None:
    """Nothing of it was kept, nobody was driven out, and the memory did not grow with it."""
    found = flooded(waiting, rubbish)
    assert found["waiting"] == found["answers"].pop("kept", 0) == waiting
    assert sum(found["answers"].values()) == rubbish
    assert found["filling_mib"] < FULL_MIB and found["flood_mib"] < JUNK_MIB, found


def test_junk_of_every_kind_takes_bounded_memory_and_nobodys_place() -> None:
    check_junk(1_000, 50_000)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_a_million_junk_transactions_take_no_more_memory_than_few() -> None:
    check_junk(0, 1_000_000)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_junk_finds_a_full_mempool_full_and_leaves_it_so() -> None:
    check_junk(Caps().transactions, 200_000)


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_ever_better_offers_to_a_full_mempool_take_no_more_memory() -> None:
    full = Caps().transactions
    found = flooded(full, 0, 3 * full)
    assert found["answers"] == {"kept": 4 * full} and found["waiting"] == full
    assert found["filling_mib"] < FULL_MIB and found["flood_mib"] < JUNK_MIB, found


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_the_largest_transactions_fill_the_mempool_to_its_bytes_and_take_little_more() -> None:
    found = flooded(6_000, 0, 0, PAYMENTS_MAXIMUM)
    each = found["bytes"] // found["waiting"]
    assert found["answers"] == {"kept": 6_000} and Caps().bytes - each < found["bytes"] <= Caps().bytes
    assert found["filling_mib"] < Caps().bytes / 2**20 + FULL_MIB / 2, found


def test_every_kind_of_junk_is_refused_and_only_bad_signatures_are_checked_and_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flood = Flood()
    checked: list[bytes] = []
    really = ecdsa.verify

    def verify(*arguments: bytes) -> bool:
        checked.append(arguments[0])
        return really(*arguments)

    monkeypatch.setattr(ecdsa, "verify", verify)
    number = 20 * len(KINDS)
    flood.pour(junk(number))
    assert flood.answers == {"BadSignature": 40, "RefusedForNow": 40, "FundsTooLow": 20}
    assert checked == [VICTIM] * 40 and len(flood.pool._refused) == 40 and len(flood.pool) == 0
    flood.pour(junk(number))
    assert len(checked) == 40


def test_the_memory_of_refusals_is_bounded_and_keeps_the_newest() -> None:
    flood = Flood()
    flood.pool._refused = type(flood.pool._refused)(100)
    flood.pour(junk(1_000))
    assert len(flood.pool._refused) <= 100
    bad = [each for each in junk(1_000) if each.max_fee == 100 and not any(each.signature)][-1:]
    before = flood.answers["BadSignature"]
    flood.pour(iter(bad))
    assert flood.answers["BadSignature"] == before + 1 and len(flood.pool._refused) <= 100


def test_a_flood_of_nonce_gaps_leaves_nothing_behind() -> None:
    world = Waiters()
    for index in range(300):
        key = world.fund(a_key(f"gap {index}"))
        for nonce in (1, 2, NONCE_WINDOW - 1, NONCE_WINDOW, 2**64 - 1):
            with pytest.raises(RefusedForNow):
                world.pool.add(world.transfer(key, nonce, signature=bytes(64)), world.chain.state)
    assert len(world.pool) == 0 and world.pool._held.queues == {} and len(world.pool._refused) == 0


def test_replacement_ping_pong_ends_when_the_balance_does_and_leaves_one_transaction() -> None:
    world = Waiters(Caps(transactions=3))
    one, two, player = world.funded("one", "two", "player")
    for key in (one, two):
        world.wait(key, tip=10**9, max_fee=5 * 10**8)
    fee, tip, rounds = 80, 1, 0
    world.wait(player, max_fee=fee, tip=tip)
    newcomer = world.fund(a_key("newcomer"))
    while True:
        fee, tip, rounds = fee - (-fee // 10), tip - (-tip // 10), rounds + 1
        try:
            world.wait(player, amount=rounds, max_fee=fee, tip=tip)
        except RefusedForNow as error:
            assert "could cost" in str(error)
            break
        with pytest.raises(RefusedForNow):
            world.wait(newcomer, max_fee=80)
        assert len(world.pool) == 3 and len(world.pool._held.by_id) == 3
        eviction = world.pool._held._eviction
        assert eviction is None or not eviction.is_bloated(3)
    # The fee rises by a tenth each time, so few steps lead from the base fee to all that the sender has.
    gas = transaction_gas(world.transfer(player))
    assert rounds > 100 and 80 * gas * 11 ** (rounds - 1) <= PLENTY * 10 ** (rounds - 1)
    assert [each.sender for each in world.pool.ready()].count(player.public) == 1


def test_a_storm_of_transactions_that_the_next_block_makes_invalid_is_swept_out_by_it() -> None:
    world = Waiters()
    stormy, calm = world.funded(*(f"stormy {i}" for i in range(100))), world.funded(*(f"calm {i}" for i in range(5)))
    for key in stormy:
        for nonce in range(NONCE_WINDOW):
            world.wait(key, nonce)
    for key in calm:
        world.wait(key)
    assert len(world.pool) == 100 * NONCE_WINDOW + 5
    # Elsewhere each of them has spent the first nonce on emptying the account.
    for key in stormy:
        world.fund(key, 10, nonce=1)
    world.follow(*stormy)
    assert [each.sender for each in world.pool.ready()] == [key.public for key in calm]
    assert len(world.pool._held.queues) == len(world.pool._held.by_id) == world.pool._held.counts[-1] == 5


def test_a_storm_of_actions_that_stop_to_apply_costs_a_block_each_once(tmp_path: Path) -> None:
    node = rich_node(tmp_path)
    keys = [a_key(f"stormy {i}") for i in range(200)]
    honest = a_key("honest")
    pay(node, [*keys, honest])
    for key in keys:
        for nonce in range(3):
            node.mempool.add(signed(node, Withdraw(), nonce, key, max_fee=1_000, tip=9), node.state)
    node.mempool.add(payment := signed(node, Transfer(BOB.address, 1), 0, honest), node.state)
    found = [node.block().block.body.transactions for _ in range(2)]
    assert found == [(), (payment,)] and len(node.mempool) == 0


def dust_storm(folder: Path, accounts: int, **params: int) -> list[int]:
    """Fresh accounts pay fresh accounts dust, each once; how many of them each block takes."""
    node = rich_node(folder, **params)
    keys = [a_key(f"dust {index}") for index in range(accounts)]
    pay(node, keys)
    for index, key in enumerate(keys):
        payee = address_of(b"\x02" + named(f"payee {index}"))
        node.mempool.add(signed(node, Transfer(payee, 1), 0, key), node.state)
    taken = []
    while len(node.mempool):
        body = node.block().block.body
        assert gas_used(body) <= node.network.params.block_gas_maximum
        taken.append(len(body.transactions))
    return taken


def test_a_dust_storm_is_taken_in_blocks_of_bounded_gas(tmp_path: Path) -> None:
    gas = transaction_gas(Waiters().transfer(a_key("dust")))
    found = dust_storm(tmp_path, 500, block_gas_maximum=5_000_000 + 300 * gas, lane_gas_maximum=5_000_000)
    assert found == [300, 200]


@pytest.mark.soak
@pytest.mark.timeout(1_800)
def test_a_dust_storm_of_ten_thousand_is_taken_in_three_blocks(tmp_path: Path) -> None:
    full = TRANSACTIONS_PER_BLOCK
    assert dust_storm(tmp_path, 10_000) == [full, full, 10_000 - 2 * full]


def test_a_full_mempool_stays_full_while_better_offers_come() -> None:
    flood = Flood()
    flood.pool.caps = Caps(transactions=200)
    flood.pour(valid(flood.network, 1_000))
    assert flood.answers == {"kept": 1_000} and len(flood.pool) == 200
    assert sorted(each.tip for each in flood.pool.ready()) == list(range(800, 1_000))
    held = flood.pool._held
    assert held._eviction is not None and not held._eviction.is_bloated(len(held.queues))
