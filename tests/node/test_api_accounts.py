"""What the API tells of wallets: history, earnings, nodes and ranks are what stands in blocks and state."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.address import address_of, to_text
from chain.audit_records import hold_back
from chain.money import NEURO
from chain.receipts import (
    DATA,
    FORFEITED,
    PROOF_FEE,
    SERVICE_SHARE,
    SLASHED,
    UPTIME,
    AuditPaid,
    AutoBonded,
    Burned,
    Forfeited,
    FraudRewarded,
    Jailed,
    Minted,
    Receipt,
    Released,
    ServicePaid,
    StakeLeft,
    Tombstoned,
    TransactionApplied,
)
from chain.stakes import Stake, Unbonding, stake_of
from chain.state import Account, NodeRecord, Vesting, node_key, vesting_key
from chain.transactions import MultiTransfer, Payment, ServicePayment, Transaction, Transfer
from chain.transition import Applied
from node.api import block_answers
from node.api.account_answers import NODES_TOLD, VESTING_TOLD, account_of, day_name, earnings_of, vesting_parts
from node.api.account_questions import ADDRESSES_MAXIMUM, DAYS_MAXIMUM, DAYS_USUAL
from node.api.account_schemas import Entry
from node.api.faults import Refusal
from node.api.history_answers import HISTORY_KINDS, RECEIPT_KINDS, history_page, receipt_entries
from node.api.node_answers import NAMED, node_of
from node.api.reads import Reads
from node.api.rich_list import RANKS, RichList, ranked, rich_page
from node.api.wallet_events import MONEY_TOLD, chosen, wallet_events
from node.facts import vesting_of
from node.receipt_index import DAY_MS, SUMS
from node.store import BEFORE_RECEIPTS, SCHEMA_KEY, Store, number
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, named, with_rounds
from tests.node.naive_receipts import executed, naive_history, naive_sums
from tests.node.served import PATIENCE_SECONDS, PAYEE, Served, a_transfer, address_of_secret, serving
from tests.node.test_api_events import events_of
from tests.node.test_api_stake import GUEST, stake_past

OWN, OTHERS = to_text(IDENTITY.address), to_text(GUEST.address)
PAID = address_of_secret(PAYEE)
NOBODY = bytes(1) + named("nobody")[:20]


class Sorted(MemoryKeyValue):
    """Read in both directions."""

    def descending(self, first: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted(((k, v) for k, v in self.records.items() if first <= k < end), reverse=True))

    def snapshot(self) -> "Sorted":
        return Sorted(self.records)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A founder who trained, staked and paid, and a guest who voted twice; it makes no blocks."""
    async with serving(tmp_path_factory.mktemp("accounts") / "home", past=stake_past) as found:
        yield found


def blocks_of(served: Served) -> list[Applied]:
    return executed(served.node.store.database, served.network)


# ---- History


def expected_history(blocks: list[Applied], address: bytes) -> Counter[tuple[Any, ...]]:
    """(height, kind, nanos) of everything, the simple way."""
    found: Counter[tuple[Any, ...]] = Counter()
    for (wallet, height), receipts in naive_history(blocks).items():
        for receipt in receipts if wallet == address else ():
            match receipt:
                case Burned(reason=reason):
                    kind, amount = "slashed" if reason == SLASHED else "", receipt.amount
                    if kind:  # the reporter's part was taken too
                        tombs = [each for each in receipts if isinstance(each, Tombstoned)]
                        amount = tombs[0].lost if tombs else amount
                case Tombstoned(reporter=reporter):
                    kind, amount = ("fraud_reward", receipt.reward) if reporter == address else ("banned", None)
                case ServicePaid(service=service, amount=amount):
                    kind = {UPTIME: "uptime", DATA: "data"}[service]
                case Jailed():
                    kind, amount = "jailed", None
                case _:
                    names = {
                        Minted: "reward", Released: "released", Forfeited: "forfeited", FraudRewarded: "fraud_reward",
                        AuditPaid: "audit", AutoBonded: "auto_bonded", StakeLeft: "stake_left",
                    }  # fmt: skip
                    kind, amount = names[type(receipt)], receipt.amount  # type: ignore[union-attr]
            if kind:
                found[height, kind, amount] += 1
    for applied in blocks:
        for transaction in applied.block.body.transactions:
            entry = expected_transaction(transaction.action, address_of(transaction.sender), address)
            if entry:
                found[applied.block.header.height, *entry] += 1
    return found


def expected_transaction(action: Any, sender: bytes, address: bytes) -> tuple[Any, ...] | None:
    kind = type(action).__name__
    if sender != address:
        paid = [each.amount for each in getattr(action, "payments", ()) if each.payee == address]
        if getattr(action, "payee", None) == address:
            paid = [action.amount * 95 // 100 if kind == "ServicePayment" else action.amount]
        return ("received", sum(paid)) if paid else None
    names = {"Bond": "bonded", "Unbond": "unbonded", "Withdraw": "withdrawn", "RegisterNode": "registered"}
    if kind in ("Transfer", "ServicePayment", "MultiTransfer"):
        return "sent", sum(each.amount for each in action.payments) if kind == "MultiTransfer" else action.amount
    return names.get(kind, "other"), getattr(action, "amount", None)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("address", [IDENTITY.address, GUEST.address, PAID, NOBODY])
async def test_a_history_is_all_that_blocks_say_of_a_wallet_newest_first(served: Served, address: bytes) -> None:
    path = f"/v1/accounts/{to_text(address)}/history"
    entries = await served.walked(path, "entries", limit=100)
    amounts = [None if each["amount_nanos"] is None else int(each["amount_nanos"]) for each in entries]
    found = Counter((each["height"], each["kind"], amount) for each, amount in zip(entries, amounts, strict=True))
    assert found == expected_history(blocks_of(served), address)
    assert [each["height"] for each in entries] == sorted((each["height"] for each in entries), reverse=True)
    assert (await served.get(path))["from_height"] == 1 and (entries or address == NOBODY)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("limit", [1, 7])
async def test_pages_of_any_size_give_the_same_history(served: Served, limit: int) -> None:
    path = f"/v1/accounts/{OTHERS}/history"
    assert await served.walked(path, "entries", limit) == await served.walked(path, "entries", 100)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_entry_tells_when_with_whom_and_what_it_cost(served: Served) -> None:
    blocks = blocks_of(served)
    fees = {
        receipt.id.hex(): str(receipt.fee)
        for applied in blocks
        for receipt in applied.receipts
        if isinstance(receipt, TransactionApplied)
    }
    times = {applied.block.header.height: applied.block.header.time_ms for applied in blocks}
    own = await served.walked(f"/v1/accounts/{OWN}/history", "entries", 100)
    others = await served.walked(f"/v1/accounts/{OTHERS}/history", "entries", 100)
    for entry in [*own, *others]:
        assert Entry().validate(entry) == {} and entry["time_ms"] == times[entry["height"]]
        if entry["kind"] == "received":
            assert entry["fee_nanos"] is None and entry["counterparty"] in (OWN, OTHERS)
        elif entry["id"] is not None:
            assert entry["fee_nanos"] == fees[entry["id"]]
    assert {entry["kind"] for entry in [*own, *others]} >= {
        *("reward", "released", "auto_bonded", "stake_left", "slashed", "banned", "fraud_reward"),
        *("sent", "received", "bonded", "unbonded", "withdrawn", "registered", "other"),
    }
    several = [entry for entry in own if entry["kind"] == "sent" and entry["counterparty"] is None]
    assert [entry["amount_nanos"] for entry in several] == [str(300 * NEURO + 7)]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_fee_of_a_reward_is_what_its_proofs_cost(served: Served) -> None:
    told = await served.walked(f"/v1/accounts/{OWN}/history", "entries", 100)
    fees = [int(each["fee_nanos"]) for each in told if each["kind"] == "reward"]
    burned = [
        receipt.amount
        for applied in blocks_of(served)
        for receipt in applied.receipts
        if isinstance(receipt, Burned) and receipt.reason == PROOF_FEE
    ]
    assert sum(fees) == sum(burned) > 0 and len(fees) == len(burned)


@pytest.mark.parametrize(("above", "tip"), [(0, 0), (0, 9), (4, 9), (9, 9), (50, 9)])
def test_a_tip_is_in_the_fee_as_far_as_the_maximum_leaves_room_for_it(
    aged: LoneNode, tmp_path: Path, above: int, tip: int
) -> None:
    copy = aged.copied(tmp_path / "copy", Sorted())
    nonce, base_fee = copy.state.account(IDENTITY.address).nonce, copy.state.ledger.base_fee
    offered = {"max_fee": base_fee + above, "tip": min(tip, base_fee + above)}
    copy.mempool.add(a_transfer(copy.network, nonce, 1, **offered), copy.state)
    applied = copy.block()
    [paid] = [receipt for receipt in applied.receipts if isinstance(receipt, TransactionApplied)]
    newest = history_page(copy.store, IDENTITY.address, 1, None)["entries"][0]
    assert (newest["kind"], newest["fee_nanos"]) == ("sent", str(paid.fee))
    assert paid.fee == paid.gas * (base_fee + min(above, offered["tip"]))


@settings(max_examples=100, deadline=None)
@given(
    height=st.integers(0, 40) | st.just(2**64 - 1), rest=st.binary(min_size=33, max_size=33), limit=st.integers(1, 9)
)
def test_any_cursor_is_a_place_in_the_history(aged: LoneNode, height: int, rest: bytes, limit: int) -> None:
    cursor = number(height) + bytes((rest[0] % 3,)) + rest[1:]
    page = history_page(aged.store, IDENTITY.address, limit, cursor)["entries"]
    whole = history_page(aged.store, IDENTITY.address, 10_000, None)["entries"]
    above = sum(entry["height"] > height for entry in whole)
    at = sum(entry["height"] == height for entry in whole)
    assert page in [whole[start : start + limit] for start in range(above, above + at + 1)]


@pytest.mark.asyncio(loop_scope="module")
async def test_strange_cursors_and_limits_are_refused(served: Served) -> None:
    for query in ("cursor=00", f"cursor={'zz' * 41}", f"cursor={'00' * 42}", "limit=0", "limit=101", "days=3"):
        assert (await served.ask(f"/v1/accounts/{OWN}/history?{query}")).status == 400, query
    for query in ("days=0", f"days={DAYS_MAXIMUM + 1}", "days=-1", "days=1.0", "cursor=1"):
        assert (await served.ask(f"/v1/accounts/{OWN}/earnings?{query}")).status == 400, query
    for query in ("days=1", f"days={DAYS_MAXIMUM}"):
        assert (await served.ask(f"/v1/accounts/{OWN}/earnings?{query}")).status == 200, query


def test_every_receipt_of_the_index_has_an_entry_or_belongs_to_one() -> None:
    wallet, node, key = NOBODY, named("node"), bytes(48)
    receipts: list[Receipt] = [
        Minted(1, node, wallet, 10), Burned(PROOF_FEE, wallet, 3), Minted(2, node, wallet, 9),
        Released(1, node, wallet, 7), ServicePaid(UPTIME, 4, node, wallet, 2), ServicePaid(DATA, 4, node, wallet, 3),
        AuditPaid(wallet, 5, 4), FraudRewarded(3, node, wallet, 6), Forfeited(3, node, wallet, 0),
        AutoBonded(wallet, 5), StakeLeft(wallet, 6, 9), Jailed(wallet, 8), Burned(SLASHED, wallet, 30),
        Tombstoned(key, 32, PAID, 2), Tombstoned(key, 32, wallet, 2), Burned(SLASHED, wallet, 11),
    ]  # fmt: skip
    told = [(place, each["kind"], each["amount_nanos"], each["fee_nanos"]) for place, each in
            receipt_entries(receipts, wallet)]  # fmt: skip
    assert told == [
        (0, "reward", "10", "3"), (2, "reward", "9", "0"), (3, "released", "7", None), (4, "uptime", "2", None),
        (5, "data", "3", None), (6, "audit", "4", None), (7, "fraud_reward", "6", None), (8, "forfeited", "0", None),
        (9, "auto_bonded", "5", None), (10, "stake_left", "6", None), (11, "jailed", None, None),
        (12, "slashed", "32", None), (13, "banned", None, None), (14, "fraud_reward", "2", None),
        (15, "slashed", "11", None),
    ]  # fmt: skip
    assert {kind for _, kind, *_ in told} == set(RECEIPT_KINDS) < set(HISTORY_KINDS)
    assert receipt_entries([Burned(SERVICE_SHARE, wallet, 1), Burned(FORFEITED, wallet, 1)], wallet) == []


# ---- Earnings


def days_of(blocks: list[Applied], address: bytes) -> dict[str, dict[str, str]]:
    return {
        day_name(day): {f"{name}_nanos": str(said[name]) for name in SUMS}
        for (wallet, day), said in sorted(naive_sums(blocks).items())
        if wallet == address
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_earnings_are_the_sums_of_the_receipts(served: Served) -> None:
    blocks = blocks_of(served)
    for address in (IDENTITY.address, GUEST.address):
        found = await served.get(f"/v1/accounts/{to_text(address)}/earnings")
        expected = days_of(blocks, address)
        assert {day.pop("day"): day for day in found["days"]} == expected != {}
        assert found["total"] == next(iter(expected.values())) and found["from_height"] == 1
    account = await served.get(f"/v1/accounts/{OWN}")
    supply = served.node.store.state().supply
    assert account["earned_nanos"] == str(supply.minted)  # The guest has minted nothing.


@pytest.fixture(scope="module")
def aged(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Rounds and payments on days that lie apart."""
    node = with_rounds(tmp_path_factory.mktemp("aged") / "node", 2, database=Sorted())
    for days in (1, 1, 5, 40, 400, 1):
        node.block(node.view.tip.time_ms + days * DAY_MS)
        node.close_round()
        nonce = node.state.account(IDENTITY.address).nonce
        node.mempool.add(a_transfer(node.network, nonce, 1), node.state)
        node.block()
    return node


@pytest.mark.parametrize("days", [1, 2, 3, 30, 40, 41, 50, DAYS_MAXIMUM])
def test_the_last_days_are_told_oldest_first_and_add_up(aged: LoneNode, days: int) -> None:
    blocks = executed(aged.database, aged.network)
    last = aged.view.tip.time_ms // DAY_MS
    expected = {
        day: said for day, said in days_of(blocks, IDENTITY.address).items()
        if day in {day_name(each) for each in range(last - days + 1, last + 1)}
    }  # fmt: skip
    found = earnings_of(aged.store, IDENTITY.address, days)
    told = [dict(day) for day in found["days"]]
    assert {day.pop("day"): day for day in told} == expected
    assert [day["day"] for day in found["days"]] == sorted(expected)
    for name in SUMS:
        field = f"{name}_nanos"
        assert int(found["total"][field]) == sum(int(day[field]) for day in told)
    assert len(told) == {1: 1}.get(days, len(told)) and DAYS_USUAL == 30


def test_a_wallet_without_any_receipt_earned_nothing(aged: LoneNode) -> None:
    found = earnings_of(aged.store, NOBODY, DAYS_MAXIMUM)
    assert found["days"] == [] and set(found["total"].values()) == {"0"}


def test_a_wallet_that_was_idle_for_the_days_asked_for_earned_nothing_in_them(aged: LoneNode, tmp_path: Path) -> None:
    copy = aged.copied(tmp_path / "copy", Sorted())
    copy.block(copy.view.tip.time_ms + 50 * DAY_MS)
    found = earnings_of(copy.store, IDENTITY.address, 30)
    assert found["days"] == [] and set(found["total"].values()) == {"0"}
    assert copy.store.sums_of(IDENTITY.address).minted > 0
    assert found["last_day"] == day_name(aged.view.tip.time_ms // DAY_MS + 50)  # by the chain's clock


@pytest.mark.parametrize(("day", "name"), [(0, "1970-01-01"), (19_723, "2024-01-01"), (2**32 - 1, "9999-12-31")])
def test_a_day_has_the_name_of_the_calendar(day: int, name: str) -> None:
    assert day_name(day) == name


def test_an_older_ledger_says_from_where_on_it_knows(aged: LoneNode, tmp_path: Path) -> None:
    records = {key: value for key, value in aged.database.items(b"") if key[:1] not in (b"w", b"r", b"d", b"n")}
    store = Store(Sorted({**records, SCHEMA_KEY: BEFORE_RECEIPTS}), aged.network)
    page = history_page(store, IDENTITY.address, 100, None)
    assert page["from_height"] == earnings_of(store, IDENTITY.address, 9)["from_height"] == aged.store.height + 1
    assert {entry["kind"] for entry in page["entries"]} == {"sent", "registered"}
    assert [entry["fee_nanos"] for entry in page["entries"]] == [None] * 6 + ["0"]


# ---- The account


@pytest.mark.asyncio(loop_scope="module")
async def test_what_waits_is_told_with_the_nonce_behind_it(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as other:
        before = await other.get(f"/v1/accounts/{OWN}")
        assert before["next_nonce"] == before["nonce"] and before["waiting"] == []
        sent = []
        for nonce in range(before["nonce"], before["nonce"] + 3):
            reply = await other.submit(a_transfer(other.network, nonce, 5))
            assert reply.status == 202
            sent.append(reply.json["id"])
        after = await other.get(f"/v1/accounts/{OWN}")
        assert (after["nonce"], after["next_nonce"]) == (before["nonce"], before["nonce"] + 3)
        assert after["waiting"] == sent
        async with other.blocks():
            final = await other.until(f"/v1/accounts/{OWN}", lambda found: not found["waiting"])
        assert final["nonce"] == final["next_nonce"] == before["nonce"] + 3


def test_what_became_final_meanwhile_waits_no_more(aged: LoneNode) -> None:
    nonce = aged.state.account(IDENTITY.address).nonce
    waiting = [(nonce - 1, named("final")), (nonce, named("next")), (nonce + 1, named("last"))]
    found = account_of(aged.store, IDENTITY.address, waiting)
    assert found["waiting"] == [named("next").hex(), named("last").hex()] and found["next_nonce"] == nonce + 2
    assert account_of(aged.store, IDENTITY.address, waiting[:1])["next_nonce"] == nonce


@pytest.mark.asyncio(loop_scope="module")
async def test_vesting_rewards_are_told_one_by_one_and_add_up(served: Served) -> None:
    account, state = await served.get(f"/v1/accounts/{OWN}"), served.node.store.state()
    assert sum(int(each["amount_nanos"]) for each in account["vesting"]) == int(account["vesting_nanos"])
    assert account["vesting_nanos"] == str(state.supply.vesting) != "0"
    for each in account["vesting"]:
        assert each["releases_after_round"] == each["round"] + served.network.params.vest_rounds
        assert each["releases_after_round"] > state.ledger.ended_round and each["node"] == IDENTITY.node.hex()


def test_a_reward_that_an_audit_holds_vests_still(aged: LoneNode) -> None:
    state = aged.state.fork()
    number = next(each for each, *_ in vesting_parts(state, [IDENTITY.node]))
    # As at the round's release while an audit of the node is open.
    hold_back(state, IDENTITY.node, number)
    state.update_ledger(released_round=number)
    whole = state.supply.vesting
    assert sum(amount for *_, amount in vesting_parts(state, [IDENTITY.node])) == whole
    assert vesting_of(state, IDENTITY.address, IDENTITY.node) == whole > vesting_of(state, IDENTITY.address)


def with_nodes(node: LoneNode, count: int) -> Store:
    """A ledger on which the wallet has this many nodes, each with a vesting reward of its own."""
    database = Sorted(dict(node.database.items(b"")))
    store = Store(database, node.network)
    record = store.state().need(NodeRecord, node_key(IDENTITY.node))
    settled = store.state().ledger.settled_round
    for index in range(1, count):
        name = index.to_bytes(4, "big") + IDENTITY.node[4:]
        database.write({
            b"s" + node_key(name): record.encode(), b"n" + IDENTITY.address + name: b"",
            b"s" + vesting_key(settled, name): Vesting(IDENTITY.address, 10).encode(),
        })  # fmt: skip
    return store


@pytest.mark.parametrize("count", [1, VESTING_TOLD, NODES_TOLD, NODES_TOLD + 1])
def test_an_account_tells_so_many_nodes_and_no_more(aged: LoneNode, count: int) -> None:
    store = with_nodes(aged, count)
    found = account_of(store, IDENTITY.address)
    if count > NODES_TOLD:
        assert found["nodes"] is None and found["vesting"] == []
        return
    assert len(found["nodes"]) == count and len(found["vesting"]) == min(VESTING_TOLD, count)
    own = account_of(aged.store, IDENTITY.address)["vesting_nanos"]
    assert int(found["vesting_nanos"]) == int(own) + 10 * (count - 1)


# ---- Nodes


@pytest.mark.asyncio(loop_scope="module")
async def test_the_nodes_of_a_wallet_are_told_as_the_state_has_them(served: Served) -> None:
    [own], [guest] = [
        (await served.get(f"/v1/accounts/{address}/nodes"))["nodes"] for address in (OWN, OTHERS)
    ]  # fmt: skip
    record = served.node.store.state().need(NodeRecord, node_key(IDENTITY.node))
    assert (own["node"], own["wallet"]) == (IDENTITY.node.hex(), OWN)
    assert (own["passes"], own["proofs"]) == (record.audited_rounds, record.proofs)
    assert (own["last_round"], own["validator_intent"], own["retired"]) == (record.committed_round, True, False)
    assert own["vesting_nanos"] == (await served.get(f"/v1/accounts/{OWN}"))["vesting_nanos"]
    assert (guest["retired"], guest["last_round"], guest["vesting_nanos"]) == (True, None, "0")
    assert own["suspended_until_round"] is None and 0 < own["audit_share_basis_points"] <= 10_000
    for prefix in (own["node"], own["node"][:4], own["node"][:5], own["node"][:63]):
        assert await served.get(f"/v1/nodes/{prefix}") == own


@pytest.mark.asyncio(loop_scope="module")
async def test_nodes_that_are_not_there_and_bad_names_are_told_apart(served: Served) -> None:
    absent = "0000" if not IDENTITY.node.hex().startswith("0000") else "1111"
    assert (await served.ask(f"/v1/nodes/{absent}")).code == "not_found"
    for name in ("abc", "xyzw", "ABCD", "00" * 33):
        assert (await served.ask(f"/v1/nodes/{name}")).status == 400, name
    assert (await served.get(f"/v1/accounts/{to_text(NOBODY)}/nodes"))["nodes"] == []


def test_nodes_that_begin_alike_are_refused_by_name_until_one_is_left(aged: LoneNode) -> None:
    store = with_nodes(aged, 300)
    with pytest.raises(Refusal, match="several nodes begin with 0000") as told:
        node_of(store, "0000")
    assert (told.value.status, told.value.code, str(told.value).count(",")) == (409, "ambiguous", NAMED - 1)
    with pytest.raises(Refusal, match="several nodes begin with 0000001"):
        node_of(store, "0000001")
    assert node_of(store, "00000007")["node"] == "00000007" + IDENTITY.node.hex()[8:]
    assert node_of(store, "0000012" + "b")["node"].startswith("0000012b")


# ---- The rich list


def naive_ranks(store: Store) -> list[tuple[int, bytes]]:
    """(nanos, address) of everybody, the most first."""
    owned: Counter[bytes] = Counter()
    for key, value in store.database.items(b"s"):
        match key[1:2]:
            case b"a":
                owned[key[2:23]] += Account.decode(value).balance
            case b"b":
                owned[key[2:23]] += Stake.decode(value).bonded
            case b"u":
                owned[key[2:23]] += Unbonding.decode(value).amount
            case b"v":
                vesting = Vesting.decode(value)
                owned[vesting.wallet] += vesting.amount
    return sorted(((n, a) for a, n in owned.items() if n), key=lambda each: (-each[0], each[1]))


@pytest.mark.asyncio(loop_scope="module")
async def test_the_rich_list_has_everybody_by_what_they_own(served: Served) -> None:
    accounts = await served.walked("/v1/rich-list", "accounts", 1)
    store = served.node.store
    assert [(int(each["total_nanos"]), each["address"]) for each in accounts] == [
        (nanos, to_text(address)) for nanos, address in naive_ranks(store)
    ]
    assert [each["rank"] for each in accounts] == list(range(1, len(accounts) + 1))
    page = await served.get("/v1/rich-list")
    assert page["accounts_total"] == len(accounts) > 2 and page["height"] == store.height
    supply = store.state().supply
    assert sum(int(each["total_nanos"]) for each in accounts) == supply.circulating
    assert [each["share_basis_points"] for each in accounts] == [
        int(each["total_nanos"]) * 10_000 // supply.circulating for each in accounts
    ]
    own = next(each for each in accounts if each["address"] == OWN)
    assert own["bonded_nanos"] == str(stake_of(store.state(), IDENTITY.address).bonded) != "0"
    assert own["unbonding_nanos"] != "0" != own["vesting_nanos"]
    assert (await served.get(f"/v1/rich-list?cursor={RANKS}"))["accounts"] == []
    assert (await served.ask(f"/v1/rich-list?cursor={RANKS + 1}")).status == 400


@settings(max_examples=60, deadline=None)
@given(
    balances=st.lists(st.sampled_from([0, 1, 2, 5, 10**18]), max_size=12),
    stakes=st.lists(st.sampled_from([1, 5]), max_size=4),
    ranks=st.integers(1, 6),
)
def test_only_the_first_are_kept_and_all_are_counted(
    aged: LoneNode, balances: list[int], stakes: list[int], ranks: int
) -> None:
    made = [bytes(1) + named(str(index))[:20] for index in range(20)]
    records: dict[bytes, bytes | None] = dict(aged.database.items(b""))
    for address, balance in zip(made, balances, strict=False):
        records[b"sa" + address] = Account(balance, 3).encode()
    for address, bonded in zip(made[8:], stakes, strict=False):
        records[b"sb" + address] = Stake(bonded=bonded).encode()
        records[b"su" + address + bytes(8)] = Unbonding(2).encode()
    store = Store(Sorted(records), aged.network)  # type: ignore[arg-type]
    found, expected = ranked(store, ranks), naive_ranks(store)
    assert found.accounts == len(expected)
    assert [(owner.total, owner.address) for owner in found.richest] == expected[:ranks]
    page = rich_page(found, 2, None)
    assert page["next_cursor"] == ("2" if len(found.richest) > 2 else None)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_ranking_is_made_once_for_all_who_ask_and_again_when_it_is_old(
    aged: LoneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    monkeypatch.setattr("node.api.rich_list.ranked", lambda store: made.append(store.height) or ranked(store))
    reads, rich, height = Reads(aged.database, aged.network), RichList(), aged.store.height
    pages = await asyncio.gather(*(rich.page(reads, height, 5, None) for _ in range(20)))
    assert len(made) == 1 and all(page == pages[0] for page in pages)
    await rich.page(reads, height + 1, 5, None)
    assert len(made) == 1  # It is of another height, and fresh still.
    rich._until = float("-inf")
    await rich.page(reads, height, 5, None)
    assert len(made) == 1  # Old, and nothing has changed.
    # While one of them has a new one made, nobody else waits and takes places from other requests.
    rich._until = float("-inf")
    async with rich._making:
        assert await rich.page(reads, height + 1, 5, None) == pages[0]
    await rich.page(reads, height + 1, 5, None)
    assert len(made) == 2
    reads.close()


# ---- Events of wallets


def paying_block(node: LoneNode, *actions: Any) -> Applied:
    """A block of such transactions of the node's wallet, not final."""
    applied = node.build()
    made = [replace(a_transfer(node.network, place, 1), action=action) for place, action in enumerate(actions)]
    body = replace(applied.block.body, transactions=tuple(made))
    return replace(applied, block=replace(applied.block, body=body))


def test_a_payment_is_told_to_both_sides_and_to_nobody_else(aged: LoneNode) -> None:
    payments = MultiTransfer((Payment(PAID, 5), Payment(GUEST.address, 7)))
    applied = paying_block(aged, Transfer(PAID, 3), payments, ServicePayment(PAID, 100, named("reference")))
    for wallet, amounts in ((IDENTITY.address, [3, 5, 7, 95]), (PAID, [3, 5, 95]), (GUEST.address, [7]), (NOBODY, [])):
        found = wallet_events(applied, frozenset((wallet,)), aged.network)
        told = [event.content for event in chosen(found, frozenset((wallet,))) if event.kind == "payment"]
        assert [int(each["amount_nanos"]) for each in told] == amounts
        assert all(each["from"] == OWN and each["height"] == applied.block.header.height for each in told)
        assert all(len(each["id"]) == 64 and each["left_out"] == 0 for each in told)
    both = wallet_events(applied, frozenset((PAID, GUEST.address)), aged.network)
    assert [len(list(chosen(both, frozenset((one,))))) for one in (PAID, GUEST.address)] == [3, 1]


@pytest.mark.parametrize("count", [MONEY_TOLD, MONEY_TOLD + 1, 100])
def test_of_many_payments_in_one_block_some_are_told_and_the_rest_are_counted(aged: LoneNode, count: int) -> None:
    applied = paying_block(aged, MultiTransfer(tuple(Payment(PAID, 1) for _ in range(count))))
    mine = frozenset((PAID,))
    told = list(chosen(wallet_events(applied, mine, aged.network), mine))
    assert [event.content["left_out"] for event in told] == [0] * (MONEY_TOLD - 1) + [count - MONEY_TOLD]


def test_only_what_is_told_of_a_full_block_is_written_out(aged: LoneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    monkeypatch.setattr("node.api.wallet_events.to_text", lambda address: written.append(address) or "")
    applied = paying_block(aged, MultiTransfer(tuple(Payment(PAID, 1) for _ in range(200))))
    assert len(list(chosen(wallet_events(applied, frozenset((PAID,)), aged.network), frozenset((PAID,))))) == MONEY_TOLD
    assert len(written) == 2 * MONEY_TOLD


def test_of_a_full_block_only_the_transactions_that_are_asked_for_are_written_out(
    aged: LoneNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = block_answers.transactions_page(aged.store, IDENTITY.address, 100, None)["transactions"]
    assert len(whole) > 1
    written: list[str] = []
    fields = block_answers.transaction_fields

    def counting(transaction: Transaction, *more: Any) -> Any:
        written.append(transaction.id(aged.network.chain_id).hex())
        return fields(transaction, *more)

    monkeypatch.setattr(block_answers, "transaction_fields", counting)
    page = block_answers.transactions_page(aged.store, IDENTITY.address, 1, None)
    assert [each["id"] for each in page["transactions"]] == written == [whole[0]["id"]]


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_large_blocks_make_pages_shorter_and_leave_nothing_out(
    aged: LoneNode, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    def walked(read: Any, key: str) -> list[Any]:
        found, cursor, pages = [], None, 0
        while not pages or cursor is not None:
            page = read(aged.store, IDENTITY.address, limit, cursor and bytes.fromhex(cursor))
            found, cursor, pages = found + page[key], page["next_cursor"], pages + 1
        return [found, pages]

    reads = ((history_page, "entries"), (block_answers.transactions_page, "transactions"))
    whole = [walked(read, key) for read, key in reads]
    for module in ("history_answers", "block_answers"):
        monkeypatch.setattr(f"node.api.{module}.READ_BYTES_MAXIMUM", 0)
    for (read, key), (expected, pages) in zip(reads, whole, strict=True):
        again, shorter = walked(read, key)
        assert again == expected and len(expected) > 1 and (shorter > pages or limit == 1)


def test_an_earning_is_told_to_its_wallet_alone(aged: LoneNode) -> None:
    node = named("node")
    receipts = (
        Minted(3, node, PAID, 50), Burned(PROOF_FEE, PAID, 2), Released(2, node, GUEST.address, 9), Jailed(PAID, 4),
        AuditPaid(PAID, 1, 8),
    )  # fmt: skip
    applied = replace(aged.build(), receipts=receipts)
    mine = frozenset((PAID,))
    told = [event.content for event in chosen(wallet_events(applied, mine, aged.network), mine)]
    names = ("address", "kind", "amount_nanos", "round", "node")
    assert [tuple(each[name] for name in names) for each in told] == [
        (to_text(PAID), "reward", "50", 3, node.hex()), (to_text(PAID), "audit", "8", None, None),
    ]  # fmt: skip


async def heard(served: Served, query: str, wanted: str, seconds: float = PATIENCE_SECONDS) -> list[tuple[str, Any]]:
    """Everything up to the first event of a kind."""
    found: list[tuple[str, Any]] = []
    async with served.session.get(f"{served.url}/v1/events{query}") as response:
        assert response.status == 200
        async with asyncio.timeout(seconds):
            async for kind, content in events_of(response.content):
                found.append((kind, content))
                if kind == wanted:
                    return found
    raise AssertionError(f"no {wanted} among {found}")


async def test_a_listener_hears_of_the_addresses_that_it_named_and_others_do_not(tmp_path: Path) -> None:
    async with serving(tmp_path / "home") as served:
        nonce = (await served.get(f"/v1/accounts/{OWN}"))["next_nonce"]
        payee = to_text(PAID)
        listening = [
            asyncio.create_task(heard(served, query, wanted))
            for query, wanted in ((f"?address={payee},{OTHERS}", "payment"), ("", "round_void"))
        ]
        await served.until("/v1/status", lambda _: served.api.desk.events.streams == 2)
        reply = await served.submit(a_transfer(served.network, nonce, 77))
        async with served.blocks():
            of_wallet, of_all = await asyncio.gather(*listening)
        told = of_wallet[-1][1]
        assert told == {
            "id": reply.json["id"], "height": told["height"], "from": OWN, "to": payee, "amount_nanos": "77",
            "left_out": 0,
        }  # fmt: skip
        assert {"status", "block"} <= {kind for kind, _ in of_wallet}
        assert not {"payment", "earning"} & {kind for kind, _ in of_all}


async def test_a_listener_that_named_no_address_costs_no_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[frozenset[bytes]] = []
    monkeypatch.setattr(
        "node.api.events.wallet_events", lambda applied, addresses, network: searched.append(addresses) or []
    )
    async with serving(tmp_path / "home") as served:
        async with served.blocks():
            await heard(served, "", "block")
            await heard(served, "", "block")
        assert searched == []
        async with served.blocks():
            await heard(served, f"?address={OTHERS}", "block")
        assert set(searched) == {frozenset((GUEST.address,))}


@pytest.mark.asyncio(loop_scope="module")
async def test_only_so_many_good_addresses_may_be_listened_to(served: Served) -> None:
    many = [to_text(bytes(1) + named(str(index))[:20]) for index in range(ADDRESSES_MAXIMUM + 1)]
    for query in (
        "",
        "x",
        f"{OWN},",
        f"{OWN},,{OTHERS}",
        OWN.upper(),
        OWN[:-1] + "q",
        ",".join(many),
        f"{OWN} {OTHERS}",
    ):
        reply = await served.ask("/v1/events", params={"address": query})
        assert (reply.status, reply.code) == (400, "bad_request"), query
    await heard(served, f"?address={','.join(many[:-1])}", "status")


def test_the_documentation_tells_the_bounds_of_the_code() -> None:
    text = " ".join((Path(__file__).parents[2] / "docs/api.md").read_text().split())
    for words in (
        f"up to {ADDRESSES_MAXIMUM} addresses",
        f"{MONEY_TOLD} payments and {MONEY_TOLD} earnings are told",
        f"the last 1 to {DAYS_MAXIMUM} days, {DAYS_USUAL} if not given",
        f"{VESTING_TOLD} at most",
        f"more than {NODES_TOLD}",
        f"the first {RANKS:,} can be paged through",
        *(f"`{kind}`" for kind in HISTORY_KINDS),
    ):
        assert words in text, words
