"""What the API tells of a ledger is what stands on it, page by page, and an account comes with its proof."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from chain.address import to_text
from chain.block import Block, Header
from chain.money import NEURO
from chain.state import Account, account_key
from chain.tree import StateProof, is_proven
from node.api import round_answers
from node.api.desk import LOSSES_SHOWN, sampled
from node.api.server import Api, parse_address
from node.certificates import check_finalization, committee_of
from node.commands.status import ask
from node.errors import NodeError
from node.round_history import Measured
from tests.node.lone_node import IDENTITY, LoneNode, named
from tests.node.served import PAYEE, ROUNDS, Served, a_transfer, address_of_secret, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")
OWN = to_text(IDENTITY.address)
LISTS = ["/v1/blocks", "/v1/rounds", "/v1/proofs", "/v1/validators", f"/v1/accounts/{OWN}/transactions"]
ABSENT = to_text(address_of_secret(named("nobody")))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A node that does not make blocks."""
    async with serving(tmp_path_factory.mktemp("api") / "home") as found:
        yield found


def block_at(served: Served, height: int) -> Block:
    stored = served.node.store.block(height)
    assert stored is not None
    return stored.block


# ---- Status


async def test_the_status_is_that_of_the_node(served: Served) -> None:
    status = await served.get("/v1/status")
    assert status["chain_id"] == served.network.chain_id.hex() and status["height"] == served.node.store.height
    assert status["closed_rounds"] == ROUNDS and status["round_phase"] == "training"
    supply = served.node.store.state().supply
    assert (status["minted_nanos"], status["burned_nanos"]) == (str(supply.minted), str(supply.burned))
    params = served.network.params
    assert (status["phase"], status["validators"], status["self_verified"]) == ("bootstrap", 1, True)
    assert status["phantom_nanos"] == status["power_nanos"] == status["total_power_nanos"]
    assert status["stake_target_nanos"] == str(params.stake_target_nanos)
    assert (status["active_maximum_nanos"], status["latched"]) == ("0", False)
    assert (status["sunset_height"], status["epoch"]) == (params.sunset_height, status["height"] // params.epoch_blocks)


async def test_a_node_whose_blocks_go_on_is_healthy_and_one_that_stands_still_is_not(served: Served) -> None:
    assert (await served.get("/v1/health"))["status"] == "ok"
    readings = served.node.readings
    before = readings.last_block
    readings.last_block -= 31
    reply = await served.ask("/v1/health")
    readings.last_block = before
    assert (reply.status, reply.json["status"]) == (503, "stalled")
    served.node.live.trainer_failure = "no corpus"
    degraded = await served.get("/v1/health")
    served.node.live.trainer_failure = ""
    assert (degraded["status"], degraded["trainer_failure"]) == ("degraded", "no corpus")


async def test_why_a_node_lacks_the_model_is_in_its_status_and_its_health(served: Served) -> None:
    served.node.attendance.trouble = "round 1 gives another root"
    status, health = await served.get("/v1/status"), await served.get("/v1/health")
    served.node.attendance.trouble = ""
    assert status["model_trouble"] == health["model_trouble"] == "round 1 gives another root"
    assert health["status"] == "degraded" and "lacks the model" in status["round_line"]


async def test_the_metrics_hold_the_ledger_and_the_requests(served: Served) -> None:
    await served.ask("/nothing")
    text = (await served.ask("/metrics")).body.decode()
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["neuroshard_height",] == served.node.store.height
    assert found["neuroshard_minted_nanos_total",] == served.node.store.state().supply.minted
    assert found["neuroshard_phantom_nanos",] == found["neuroshard_total_power_nanos",] == 100 * NEURO
    assert found["neuroshard_phase", "bootstrap"] == 1 and found["neuroshard_phase", "staked"] == 0
    assert found["neuroshard_validator", "active"] == 1 and found["neuroshard_latched",] == 0
    assert found["neuroshard_round_phase", "training"] == 1 and found["neuroshard_round_phase", "void"] == 0
    assert found["neuroshard_http_requests_total", "unknown", "404"] >= 1
    assert found["neuroshard_block_finality_ms_count",] == found["neuroshard_block_finality_ms_sum",] == 0
    assert "process_open_fds" in text and "bigram" not in text  # it has not been measured


# ---- Blocks


async def test_blocks_come_newest_first_without_gap_or_duplicate(served: Served) -> None:
    blocks = await served.walked("/v1/blocks", "blocks")
    height = served.node.store.height
    assert [block["height"] for block in blocks] == list(range(height, 0, -1))
    for block in blocks:
        stored = block_at(served, block["height"])
        assert block["hash"] == stored.header.hash().hex() and block["proofs"] == len(stored.body.proofs)


async def test_a_block_is_found_by_height_and_by_hash(served: Served) -> None:
    by_height = await served.get("/v1/blocks/3")
    assert by_height == await served.get(f"/v1/blocks/{by_height['hash']}")
    header = Header.decode(bytes.fromhex(by_height["header"]))
    assert header == block_at(served, 3).header and header.hash().hex() == by_height["hash"]
    kinds = [item["kind"] for item in by_height["round_inputs"]]
    assert kinds == ["commit", "reveal", "availability_vote", "result_vote"] and len(by_height["proofs"]) == 4


@pytest.mark.parametrize("name", ["0", "03", "+3", "3.0", "-1", "abc", "%33%20", "0x3", "9" * 21, "a" * 63, "A" * 64])
async def test_what_is_neither_height_nor_hash_is_refused(served: Served, name: str) -> None:
    reply = await served.ask(f"/v1/blocks/{name}")
    assert (reply.status, reply.code) == (400, "bad_request")
    assert "block" in reply.json["error"]["faults"]


@pytest.mark.parametrize("name", ["1000000", "18446744073709551615", "ab" * 32])
async def test_a_block_that_is_not_there_is_told_so(served: Served, name: str) -> None:
    reply = await served.ask(f"/v1/blocks/{name}")
    assert (reply.status, reply.code) == (404, "not_found")


# ---- Lists


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize(
    "query",
    [
        *(
            "limit=0",
            "limit=101",
            "limit=1.9",
            "limit=12%20",
            "limit=true",
            "limit=",
            "limit=1&limit=2",
            "limit=%D9%A1",
        ),
        *("cursor=", "cursor=-1", "cursor=1x", "cursor=1.5.2", "cursor=" + "9" * 23, "unknown=1", "Limit=1"),
    ],
)
async def test_a_list_takes_its_own_fields_in_their_one_spelling(served: Served, path: str, query: str) -> None:
    reply = await served.ask(f"{path}?{query}")
    assert (reply.status, reply.code) == (400, "bad_request")


@pytest.mark.parametrize("path", LISTS)
async def test_the_limits_of_a_page_are_1_and_100(served: Served, path: str) -> None:
    for limit in (1, 100):
        page = await served.get(f"{path}?limit={limit}")
        assert 1 <= len(next(iter(page.values()))) <= limit


async def test_the_cursor_of_nothing_gives_an_empty_page(served: Served) -> None:
    for path, key in (("/v1/blocks", "blocks"), ("/v1/rounds", "rounds")):
        for cursor in ("0", "1"):
            assert await served.get(f"{path}?cursor={cursor}") == {key: [], "next_cursor": None}
        newest = await served.get(f"{path}?limit=1")
        assert (await served.get(f"{path}?limit=1&cursor={2**64 - 1}")) == newest


# ---- Rounds and proofs


async def test_rounds_come_newest_first_and_each_is_as_it_is_alone(served: Served) -> None:
    rounds = await served.walked("/v1/rounds", "rounds", limit=2)
    assert [each["round"] for each in rounds] == list(range(ROUNDS + 2, 0, -1))
    assert [each["phase"] for each in rounds] == ["training", "void"] + ["closed"] * ROUNDS
    for each in rounds:
        assert each == await served.get(f"/v1/rounds/{each['round']}")
        assert each["validation_loss"] == (None if each["round"] > ROUNDS else 4.0 - each["round"] / 8)


async def test_a_round_that_left_the_state_is_told_from_its_blocks(served: Served) -> None:
    released = served.node.store.state().ledger.released_round
    assert 1 <= released < ROUNDS, "some rounds are in the state, some are not"
    rounds = {each["round"]: each for each in await served.walked("/v1/rounds", "rounds")}
    base = served.network.start.outer_root.hex()
    for number in range(1, ROUNDS + 1):
        told = rounds[number]
        assert told["base_outer_root"] == base and told["ended_height"] == served.node.store.height_of_round(number)
        [payload] = told["payloads"]
        assert payload["counted"] is True and payload["node"] == IDENTITY.node.hex()
        assert (served.node.home.directory / "payloads" / payload["payload_root"]).exists()
        base = told["outcome"]["outer_root"]
    assert base == served.node.store.state().ledger.model.outer_root.hex()
    assert rounds[ROUNDS + 1]["outcome"] is None and rounds[ROUNDS + 1]["payloads"] == []


async def test_a_void_round_that_left_the_state_is_told_as_void(served: Served) -> None:
    told = round_answers.of_blocks(served.node.store, ROUNDS + 1)
    now = await served.get(f"/v1/rounds/{ROUNDS + 1}")
    same = ("round", "phase", "opened_height", "ended_height", "base_outer_root", "payloads", "outcome")
    assert {name: told[name] for name in same} == {name: now[name] for name in same}


@pytest.mark.parametrize(("number", "status"), [("0", 400), ("-1", 400), ("1.0", 400), (f"{2**64}", 400), ("99", 404)])
async def test_a_round_that_is_none_or_has_not_opened_is_refused(served: Served, number: str, status: int) -> None:
    reply = await served.ask(f"/v1/rounds/{number}")
    assert reply.status == status and reply.code in ("bad_request", "not_found")


async def test_every_proof_of_the_ledger_is_listed_once_newest_first(served: Served) -> None:
    proofs = await served.walked("/v1/proofs", "proofs")
    store, chain_id = served.node.store, served.network.chain_id
    expected = [
        proof.id(chain_id).hex()
        for height in range(store.height, 0, -1)
        for proof in reversed(block_at(served, height).body.proofs)
    ]
    assert [proof["id"] for proof in proofs] == expected and len(expected) == 4 * ROUNDS + 1 + 2


@pytest.mark.parametrize(("query", "count"), [("round=2", 4), (f"round={ROUNDS + 1}", 1), ("round=99", 0)])
async def test_proofs_are_found_by_round_and_by_node(served: Served, query: str, count: int) -> None:
    found = await served.walked(f"/v1/proofs?{query}", "proofs")
    assert len(found) == count and {f"round={proof['round']}" for proof in found} <= {query}
    assert await served.walked(f"/v1/proofs?{query}&node={IDENTITY.node.hex()}", "proofs") == found
    assert await served.walked(f"/v1/proofs?{query}&node={'0' * 64}", "proofs") == []


async def test_a_search_for_proofs_goes_on_over_pages_that_find_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(round_answers, "BLOCKS_SEARCHED", 10)
    node = LoneNode(tmp_path)
    node.register()
    node.train(1)
    first = node.block().block.header.height
    for _ in range(2 * 10):
        node.block()
    found: list[int] = []
    cursor, pages = None, 0
    while True:
        page = round_answers.proof_page(node.store, 5, cursor, None, None)
        found, pages = found + [proof["height"] for proof in page["proofs"]], pages + 1
        if page["next_cursor"] is None:
            break
        height, index = page["next_cursor"].split(".")
        cursor = int(height), int(index)
    assert found == [first] and pages == 3


# ---- Accounts


def proven(account: Any, address: bytes) -> tuple[Header, bytes | None, StateProof]:
    """What a client checks of an account's proof with the chain's own code; fails if it does not hold."""
    told = account["proof"]
    header = Header.decode(bytes.fromhex(told["header"]))
    value = None if told["value"] is None else bytes.fromhex(told["value"])
    proof = StateProof.decode(bytes.fromhex(told["state_proof"]))
    assert told["key"] == account_key(address).hex() and told["state_root"] == header.state_root.hex()
    assert is_proven(header.state_root, account_key(address), value, proof)
    return header, value, proof


async def test_an_account_is_proven_against_the_last_finalized_header(served: Served) -> None:
    account = await served.get(f"/v1/accounts/{OWN}")
    header, value, _ = proven(account, IDENTITY.address)
    assert value is not None and Account.decode(value) == served.node.store.state().account(IDENTITY.address)
    assert account["balance_nanos"] == str(Account.decode(value).balance) and account["nonce"] == 2
    assert account["nodes"] == [IDENTITY.node.hex()] and int(account["vesting_nanos"]) > 0
    assert header.height == account["height"] == served.node.store.height
    committee = committee_of(served.node.store.state(), header.epoch)
    check_finalization(header, bytes.fromhex(account["proof"]["certificate"]), committee, served.network.chain_id)


async def test_an_account_that_nobody_has_is_proven_absent(served: Served) -> None:
    account = await served.get(f"/v1/accounts/{ABSENT}")
    _, value, _ = proven(account, address_of_secret(named("nobody")))
    assert value is None and account["balance_nanos"] == "0" and account["nodes"] == []


async def test_a_forged_account_is_not_proven(served: Served) -> None:
    header, value, proof = proven(await served.get(f"/v1/accounts/{OWN}"), IDENTITY.address)
    assert value is not None
    key = account_key(IDENTITY.address)
    richer = Account(Account.decode(value).balance + 1, 2).encode()
    assert not is_proven(header.state_root, key, richer, proof) and not is_proven(header.state_root, key, None, proof)
    _, _, absence = proven(await served.get(f"/v1/accounts/{ABSENT}"), address_of_secret(named("nobody")))
    assert not is_proven(header.state_root, key, None, absence)


@pytest.mark.parametrize(
    "text", ["neuro1", OWN[:-1], OWN[:-1] + ("q" if OWN[-1] != "q" else "p"), OWN.upper(), "t" + OWN, OWN + "%20", "1"]
)
async def test_what_is_no_address_is_refused_in_words(served: Served, text: str) -> None:
    for path in (f"/v1/accounts/{text}", f"/v1/accounts/{text}/transactions"):
        reply = await served.ask(path)
        assert (reply.status, reply.code) == (400, "bad_request") and "address" in reply.json["error"]["faults"]


async def test_the_transactions_of_an_address_are_those_that_name_it(served: Served) -> None:
    own = await served.walked(f"/v1/accounts/{OWN}/transactions", "transactions", limit=1)
    assert [each["action"]["type"] for each in own] == ["transfer", "register_node"]
    payee = to_text(address_of_secret(PAYEE))
    [received] = await served.walked(f"/v1/accounts/{payee}/transactions", "transactions")
    assert received == own[0] == await served.get(f"/v1/transactions/{received['id']}")
    assert (received["sender"], received["action"]["payee"]) == (OWN, payee)
    assert received["action"]["amount_nanos"] == "1000" and received["status"] == "final"
    in_block = (await served.get(f"/v1/blocks/{received['height']}"))["transactions"][received["index"]]
    assert in_block == received
    assert await served.walked(f"/v1/accounts/{ABSENT}/transactions", "transactions") == []


@pytest.mark.parametrize(("name", "status"), [("ab" * 32, 404), ("ab" * 31, 400), ("AB" * 32, 400), ("zz" * 32, 400)])
async def test_a_transaction_that_is_not_there_or_no_id_is_told_so(served: Served, name: str, status: int) -> None:
    reply = await served.ask(f"/v1/transactions/{name}")
    assert reply.status == status and reply.code


# ---- Losses


async def test_all_losses_are_shown_and_many_are_sampled_with_both_ends(served: Served) -> None:
    losses = (await served.get("/v1/losses"))["losses"]
    assert [each["round"] for each in losses] == list(range(ROUNDS + 1))
    many = [Measured(number, 1.0, None, 0, 0) for number in range(3 * LOSSES_SHOWN)]
    shown = [each["round"] for each in sampled(many)]
    assert len(shown) == LOSSES_SHOWN == len(set(shown)) and (shown[0], shown[-1]) == (0, 3 * LOSSES_SHOWN - 1)
    assert sampled([]) == [] and len(sampled(many[:1])) == 1


# ---- While blocks come


async def test_walking_a_list_while_blocks_come_meets_no_gap_and_no_duplicate(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served, served.blocks():
        start = (await served.get("/v1/status"))["height"]
        page = await served.get("/v1/blocks?limit=1")
        heights = [page["blocks"][0]["height"]]
        while page["next_cursor"] is not None:
            page = await served.get(f"/v1/blocks?limit=1&cursor={page['next_cursor']}")
            heights.append(page["blocks"][0]["height"])
        await served.until("/v1/status", lambda status: status["height"] > start + 2)
        proven(await served.get(f"/v1/accounts/{OWN}"), IDENTITY.address)
    assert heights[0] >= start and heights == list(range(heights[0], 0, -1))


async def test_a_submitted_transfer_reaches_a_block_and_the_payee(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        payment = a_transfer(served.network, 2, 70_000)
        name = payment.id(served.network.chain_id).hex()
        reply = await served.submit(payment)
        assert (reply.status, reply.json["status"], reply.json["id"]) == (202, "waiting", name)
        again = await served.submit(payment)
        assert (again.status, again.json) == (200, reply.json) and len(served.node.mempool) == 1
        assert (await served.get(f"/v1/transactions/{name}"))["status"] == "waiting"
        async with served.blocks():
            final = await served.until(f"/v1/transactions/{name}", lambda told: told["status"] == "final")
        late = await served.submit(payment)
        assert (late.status, late.json) == (200, final)
        payee = await served.get(f"/v1/accounts/{to_text(address_of_secret(PAYEE))}")
        assert payee["balance_nanos"] == str(1_000 + 70_000)
        assert bytes.fromhex(final["transaction"]) == payment.encode()


# ---- The note and the address


async def test_the_note_says_where_the_node_listens_and_goes_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    async with serving(folder) as served:
        told = await asyncio.to_thread(ask, folder)
        assert told["height"] == served.node.store.height
        with pytest.raises(NodeError, match="cannot listen"):
            await Api(served.node, served.node.home.directory, served.api.desk.control).start(served.address)
    assert not (folder / "api.json").exists()


@pytest.mark.parametrize("text", ["", ":", "8420", "host:", ":8420", "host:x", "host:65536", "host:+1", "host:١"])
async def test_what_is_no_listening_address_is_refused(text: str) -> None:
    with pytest.raises(NodeError, match="HOST:PORT"):
        parse_address(text)


async def test_an_ipv6_address_is_taken_with_its_brackets() -> None:
    assert parse_address("[::1]:8420") == ("::1", 8420)
