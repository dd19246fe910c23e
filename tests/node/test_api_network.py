"""The numbers of the network: parameters, fees, who holds which part of the model; and what a word may name."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from chain.address import to_text
from chain.fees import ACTION_GAS, next_base_fee, transaction_gas
from chain.services import Storage
from chain.state import LEDGER_KEY, NodeRecord, node_key
from chain.storage import StorageSeat, _seat, storage, storage_seat
from node.api.network_answers import HOLDERS_TOLD, fees_of, layers_of, tip_to_get_in
from node.api.network_schemas import Layers
from node.api.search_answers import FOUND_MAXIMUM, SHORTEST_HASH, SHORTEST_NODE, beginning_with, search
from node.key_value import KeyValue
from node.mempool import Mempool
from node.store import Store
from tests.node.lone_node import IDENTITY, named
from tests.node.served import Served, a_transfer, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = to_text(IDENTITY.address)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A node that does not make blocks."""
    async with serving(tmp_path_factory.mktemp("numbers") / "home") as found:
        yield found


async def found_by(served: Served, word: str) -> list[tuple[str, str]]:
    reply = await served.ask("/v1/search", params={"q": word})
    assert reply.status == 200, reply.body
    return [(each["kind"], each["name"]) for each in reply.json["found"]]


# ---- Parameters and fees


async def test_the_parameters_are_all_numbers_of_the_genesis_and_its_hash(served: Served) -> None:
    told, network = await served.get("/v1/parameters"), served.network
    assert told["chain_id"] == network.chain_id.hex() and told["created_ms"] == network.created_ms
    numbers = {each["name"]: int(each["value"]) for each in told["parameters"]}
    assert numbers == {each.name.decode(): each.value for each in network.parameters}
    assert numbers["chain.stake_minimum_nanos"] == network.params.stake_minimum_nanos
    [founder] = told["founders"]
    assert founder["validator_key"] == network.validators[0].public_key.hex()


async def test_the_fees_are_what_the_next_block_asks(served: Served) -> None:
    told, ledger = await served.get("/v1/fees"), served.node.store.state().ledger
    assert (told["height"], told["base_fee_nanos"]) == (served.node.store.height, str(ledger.base_fee))
    assert {each["type"]: each["gas"] for each in told["gas"]}["bond"] == 41_000 and len(told["gas"]) == len(ACTION_GAS)
    params = served.network.params
    most = next_base_fee(ledger.base_fee, params.block_gas_maximum, params)
    assert told["next_base_fee_maximum_nanos"] == str(most)
    transaction = a_transfer(served.network, 0, 5)
    gas = {each["type"]: each["gas"] for each in told["gas"]}["transfer"]
    assert gas + told["gas_of_byte"] * len(transaction.encode()) == transaction_gas(transaction)


async def test_a_suggested_fee_is_enough_after_eight_full_blocks_and_no_more(served: Served) -> None:
    params, base_fee = served.network.params, 1_000
    suggested = int(fees_of(1, base_fee, Mempool(served.network), params)["suggested_max_fee_nanos"])
    for _ in range(8):
        base_fee = next_base_fee(base_fee, params.block_gas_maximum, params)
    assert suggested == base_fee < next_base_fee(base_fee, params.block_gas_maximum, params)
    highest = fees_of(1, 2**64 - 1, Mempool(served.network), params)
    assert highest["suggested_max_fee_nanos"] == str(2**64 - 1)


async def test_a_tip_is_suggested_only_where_the_next_block_has_no_room_for_all(served: Served) -> None:
    node, mempool = served.node, Mempool(served.network)
    state = node.store.state()
    nonce, base_fee = state.account(IDENTITY.address).nonce, state.ledger.base_fee
    transactions = [
        a_transfer(served.network, nonce + step, 1, max_fee=base_fee + 9, tip=tip) for step, tip in enumerate((7, 5))
    ]
    for transaction in transactions:
        mempool.add(transaction, state)
    gas = [transaction_gas(each) for each in transactions]
    assert tip_to_get_in(mempool, base_fee, sum(gas)) == 0
    assert tip_to_get_in(mempool, base_fee, sum(gas) - 1) == 6
    assert tip_to_get_in(mempool, base_fee, gas[0] - 1) == 8


# ---- Layers


async def test_the_layers_are_the_whole_model_in_its_order_without_gaps(served: Served) -> None:
    told = await served.get("/v1/layers")
    names = [layer["name"] for layer in told["layers"]]
    assert names[0] == "embedding" and names[-1] == "head" and names[1] == "layer.0"
    place = 0
    for layer in told["layers"]:
        assert layer["first_parameter"] == place and layer["bytes"] == 4 * layer["parameters"]
        place += layer["parameters"]
    assert place == served.node.learning.parameters


async def test_who_has_shown_a_part_of_the_model_stands_at_that_part_and_at_no_other(served: Served) -> None:
    store = served.node.store
    state, params = store.state(), store.network.params
    nodes = [named(f"holder {number}") for number in range(3 * HOLDERS_TOLD)]
    opened: Storage = replace(storage(state), opened_height=store.height)
    state.put(b"h", opened)
    template = state.need(NodeRecord, node_key(IDENTITY.node))
    first: list[bytes] = []
    for node in nodes:
        state.put(node_key(node), replace(template, registered_height=1, retired_height=0))
        seat = storage_seat(state, node, params)
        assert seat is not None
        if seat.fragment == 0:
            first.append(node)
            _seat(state, node, state.need(NodeRecord, node_key(node)), StorageSeat(0, seat.fragments, 0, 1))

    class Imagined(Store):
        def __init__(self) -> None:
            super().__init__(store.database, store.network)

        def state(self):  # type: ignore[no-untyped-def]
            return state

    told = layers_of(Imagined(), served.node.learning.model)
    assert Layers().validate(told) == {}
    assert [each["node"] for each in told["layers"][0]["nodes"]] == [node.hex() for node in reversed(first)][
        :HOLDERS_TOLD
    ]
    assert told["layers"][0]["proven"] == len(first) > 0
    assert all(not layer["nodes"] for layer in told["layers"][1:])
    assert state.get(LEDGER_KEY) is not None


# ---- Search


async def test_a_number_is_a_block_and_a_round(served: Served) -> None:
    height = served.node.store.height
    assert await found_by(served, "2") == [("block", "2"), ("round", "2")]
    assert await found_by(served, str(height)) == [("block", str(height))]
    for word in ("0", str(height + 1), "02", "+2", "18446744073709551616", "-1", "٣"):
        assert await found_by(served, word) == [], word


async def test_an_address_is_a_wallet_in_both_spellings_and_a_mistyped_one_is_nothing(served: Served) -> None:
    assert await found_by(served, OWN) == await found_by(served, OWN.upper()) == [("account", OWN)]
    wrong = OWN[:-1] + ("q" if OWN[-1] != "q" else "p")
    assert await found_by(served, wrong) == await found_by(served, OWN[:-1]) == []


async def test_hashes_are_found_by_their_beginning(served: Served) -> None:
    store, node = served.node.store, IDENTITY.node.hex()
    block = store.hash_at(3).hex()
    [newest] = (await served.get(f"/v1/accounts/{OWN}/transactions?limit=1"))["transactions"]
    assert ("block", block) in await found_by(served, block[:SHORTEST_HASH])
    assert ("block", block) in await found_by(served, f"  {block.upper()} ")
    assert ("transaction", newest["id"]) in await found_by(served, newest["id"][:SHORTEST_HASH])
    assert await found_by(served, node[:SHORTEST_NODE]) == await found_by(served, node) == [("node", node)]
    assert await found_by(served, node[: SHORTEST_NODE + 1]) == [("node", node)]
    assert await found_by(served, node[: SHORTEST_NODE - 1]) == []
    assert ("block", block) not in await found_by(served, block[: SHORTEST_HASH - 1])
    assert await found_by(served, node + "0") == await found_by(served, "ab" * 32) == []


async def test_what_is_found_is_there(served: Served) -> None:
    [newest] = (await served.get(f"/v1/accounts/{OWN}/transactions?limit=1"))["transactions"]
    words = ["3", OWN, newest["id"], served.node.store.hash_at(2).hex()]
    paths = [each["path"] for word in words for each in (await served.get(f"/v1/search?q={word}"))["found"]]
    assert len(paths) == 5
    for path in paths:
        assert (await served.ask(path)).status == 200, path


async def test_a_transaction_that_waits_is_found_by_its_id(served: Served) -> None:
    state = served.node.store.state()
    transaction = a_transfer(served.network, state.account(IDENTITY.address).nonce, 3)
    identity = transaction.id(served.network.chain_id).hex()
    assert await found_by(served, identity) == []
    assert (await served.submit(transaction)).status == 202
    assert await found_by(served, identity) == [("transaction", identity)]


@pytest.mark.parametrize("query", ["", "q=", "q=%20", "q=" + "a" * 129, "q=1&q=2", "q=1&limit=3"])
async def test_what_is_no_word_is_refused(served: Served, query: str) -> None:
    reply = await served.ask(f"/v1/search?{query}")
    assert (reply.status, reply.code) == (400, "bad_request")


class Counting:
    """A database that counts how many keys are read."""

    def __init__(self, database: KeyValue) -> None:
        self.database, self.read = database, 0

    def descending(self, first: bytes, end: bytes):  # type: ignore[no-untyped-def]
        for item in self.database.descending(first, end):
            self.read += 1
            yield item


async def test_a_search_reads_no_key_that_does_not_fit_and_few_that_do(served: Served) -> None:
    everything, nothing = Counting(served.node.store.database), Counting(served.node.store.database)
    assert len(list(beginning_with(everything, b"h", ""))) == FOUND_MAXIMUM < served.node.store.height  # type: ignore[arg-type]
    assert everything.read == FOUND_MAXIMUM
    absent = next(digit for digit in "0123456789abcdef" if not IDENTITY.node.hex().startswith(digit))
    assert list(beginning_with(nothing, b"sn", absent)) == [] and nothing.read == 0  # type: ignore[arg-type]


async def test_hostile_words_find_nothing_and_harm_nothing(served: Served) -> None:
    for word in ("<script>", "\x1b[2J", "%00", "neuro1", "é" * 64, "\u202e12", "a" * 128, "0x10", "1e3", "٠١٢٣٤٥٦٧"):
        assert await found_by(served, word) == [], word
    assert search(served.node.store, "neuro1" + "q" * 100) == []
