"""The index by wallet says of every wallet what a naive pass over the receipts of all blocks says, whatever happens."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.errors import DecodeError
from chain.receipts import (
    BASE_FEE,
    DATA,
    FORFEITED,
    PROOF_FEE,
    SERVICE_SHARE,
    SLASHED,
    UPTIME,
    AuditFault,
    AuditPaid,
    AutoBonded,
    Burned,
    Forfeited,
    FraudRewarded,
    Jailed,
    Minted,
    Released,
    RoundVoid,
    ServicePaid,
    StakeLeft,
    Tombstoned,
    TransactionApplied,
)
from chain.stakes import ValidatorKey, validator_key
from chain.state import State
from chain.transition import Applied
from node.archive import Replay
from node.archive_fsck import Fsck
from node.archive_prune import last_prunable, prune
from node.archive_pruned import PrunedCheck
from node.archive_stored import ArchiveDiffers
from node.errors import StoreError
from node.key_value import KeyValue
from node.receipt_index import DAY_MS, SUMS, Reached, ReceiptIndex, Sums, Told, day_of, node_entry
from node.store import BEFORE_RECEIPTS, SCHEMA, SCHEMA_KEY, Store, number
from tests.node.archive_homes import Opened, go_on, lived, run, staked, stopped_home, told
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, named
from tests.node.naive_receipts import executed, naive_history, naive_sums

MINTED = ("training", "uptime", "data", "audit")
WALLETS = [bytes((0,)) + named(name)[:20] for name in ("one", "two", "three")]
KEYS = [named(name) + bytes(16) for name in ("first key", "second key")]


@pytest.fixture(scope="module", params=[lived, staked], ids=["paid", "staked"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Not to be changed."""
    made: LoneNode = request.param(tmp_path_factory.mktemp("index") / "node")
    return made


def by_day(store: Store, wallet: bytes) -> dict[int, dict[str, int]]:
    """What the index says was added on each day."""
    days, found = list(store.sums_by_day(wallet)), {}
    for (day, after), (_, before) in zip(days, [*days[1:], (0, Sums())], strict=True):
        found[day] = {name: getattr(after, name) - getattr(before, name) for name in SUMS}
    return found


def assert_index_is(database: KeyValue, blocks: list[Applied], kept_above: int = 0) -> None:
    """`blocks` are those that are summed; histories go back to those above a height."""
    store, sums, history = store_of(database), naive_sums(blocks), naive_history(blocks)
    for wallet in {wallet for wallet, _ in sums}:
        assert by_day(store, wallet) == {day: said for (owner, day), said in sums.items() if owner == wallet}
    assert {key[1:22] for key, _ in database.items(b"d")} == {wallet for wallet, _ in sums}
    times = {applied.block.header.height: applied.block.header.time_ms for applied in blocks}
    expected = {
        b"w" + wallet + number(height): Told(times[height], tuple(said))
        for (wallet, height), said in history.items()
        if height > kept_above
    }
    assert {key: Told.decode(data) for key, data in database.items(b"w")} == expected


def store_of(database: KeyValue) -> Store:
    """Only its reading, on whatever records there are."""
    store = Store.__new__(Store)
    store.database = database
    return store


def lives_on(node: LoneNode, rounds: int) -> LoneNode:
    """The node after a restart and so many rounds more."""
    again = node.reopened()
    again.driver.follow(again.state, again.view.tip.height)
    for _ in range(rounds):
        again.close_round()
    return again


def everything(node: LoneNode) -> dict[bytes, bytes]:
    return dict(node.database.items(b""))


def totals(database: KeyValue) -> tuple[int, int]:
    """(minted, burned) over all wallets, by their newest sums."""
    newest: dict[bytes, Sums] = {}
    for key, data in database.items(b"d"):
        newest.setdefault(key[1:22], Sums.decode(data))
    sums = list(newest.values())
    return sum(getattr(each, name) for each in sums for name in MINTED), sum(each.burned for each in sums)


def test_the_index_of_a_ledger_is_what_its_receipts_say_and_adds_up_to_all_that_was_minted(node: LoneNode) -> None:
    assert_index_is(node.database, executed(node.database, node.network))
    supply = node.state.supply
    assert totals(node.database) == (supply.minted, supply.burned) and supply.minted > 0 < supply.burned
    sums = node.store.sums_of(IDENTITY.address)
    assert sums.minted > sums.released > 0


def test_the_nodes_of_a_wallet_are_found_and_those_of_others_are_not(node: LoneNode) -> None:
    assert list(node.store.nodes_of(IDENTITY.address)) == [IDENTITY.node]
    assert list(node.store.nodes_of(WALLETS[0])) == []


def test_the_base_fee_of_a_block_is_known_where_somebody_paid_it(node: LoneNode) -> None:
    paying = 0
    for applied in executed(node.database, node.network):
        fees = {
            burned.amount // paid.gas
            for paid, burned in zip(applied.receipts, applied.receipts[1:], strict=False)
            if isinstance(paid, TransactionApplied) and isinstance(burned, Burned) and burned.reason == BASE_FEE
        }
        assert node.store.base_fee(applied.block.header.height) == (fees.pop() if fees else None)
        paying += bool(fees)
        assert not fees
    assert any(node.store.base_fee(height) for height in range(1, node.store.height + 1))


def test_a_restart_changes_nothing_and_the_index_goes_on(node: LoneNode, tmp_path: Path) -> None:
    copy = lives_on(node.copied(tmp_path / "copy"), 2)
    assert_index_is(copy.database, executed(copy.database, copy.network))
    assert totals(copy.database) == (copy.state.supply.minted, copy.state.supply.burned)


def test_blocks_that_are_written_in_one_batch_give_the_same_index(node: LoneNode, tmp_path: Path) -> None:
    other = MemoryKeyValue()
    store = Store(other, node.network)
    store.append_all(executed(node.database, node.network), None)
    for prefix in (b"w", b"r", b"d", b"n"):
        assert dict(other.items(prefix)) == dict(node.database.items(prefix)) != {}


# ---- An older ledger


def before_receipts(node: LoneNode, folder: Path) -> LoneNode:
    """A copy as the program before this one would have left it."""
    records = {key: value for key, value in node.database.items(b"") if key[:1] not in (b"w", b"r", b"d", b"n")}
    copy = node.copied(folder)
    copy.database = MemoryKeyValue({**records, SCHEMA_KEY: BEFORE_RECEIPTS})
    return copy


def test_an_older_ledger_is_brought_up_to_date_and_its_index_begins_at_its_tip(node: LoneNode, tmp_path: Path) -> None:
    copy, height = lives_on(before_receipts(node, tmp_path / "copy"), 0), node.store.height
    assert copy.database.get(SCHEMA_KEY) == SCHEMA and copy.store.receipts_from == height + 1
    assert list(copy.store.nodes_of(IDENTITY.address)) == [IDENTITY.node]
    assert copy.store.sums_of(IDENTITY.address) == Sums()
    minted = copy.state.supply.minted
    for _ in range(3):
        copy.close_round()
    assert_index_is(copy.database, executed(copy.database, copy.network)[height:])
    assert totals(copy.database)[0] == copy.state.supply.minted - minted > 0
    assert Replay(copy.database, copy.network, copy.payloads).run().blocks == copy.store.height


def test_fsck_completes_the_index_of_an_older_ledger(node: LoneNode, tmp_path: Path) -> None:
    copy = before_receipts(node, tmp_path / "copy").reopened()
    findings = Fsck(copy.database, copy.network, dry_run=True).run()
    assert {each.part for each in findings} == {"receipt index", "receipt index by block", "sums of wallets"}
    assert copy.store.receipts_from > 1 and all(each.repairable for each in findings)
    assert all(each.repaired for each in Fsck(copy.database, copy.network, dry_run=False).run())
    assert everything(copy) == everything(node) and copy.store.receipts_from == 1


def test_the_archive_commands_take_an_older_ledger_too(node: LoneNode, tmp_path: Path) -> None:
    home = stopped_home(before_receipts(node, tmp_path / "copy"), tmp_path / "home")
    assert told("verify", home=home)["ok"]
    result = run("fsck", home=home)
    assert result.exit_code == 0 and "sums of wallets" in result.stdout
    with Opened(home) as database:
        assert dict(database.items(b"")) == everything(node)


@pytest.mark.parametrize("schema", [b"1", b"4", b""])
def test_a_ledger_of_any_other_schema_is_refused_and_left_alone(node: LoneNode, tmp_path: Path, schema: bytes) -> None:
    copy = before_receipts(node, tmp_path / "copy")
    copy.database.write({SCHEMA_KEY: schema})
    before = everything(copy)
    with pytest.raises(StoreError, match="schema"):
        Store(copy.database, copy.network)
    assert everything(copy) == before


# ---- Pruned and restored ledgers


def pruned(node: LoneNode, folder: Path) -> LoneNode:
    copy = node.copied(folder)
    prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    assert copy.store.pruned_height > 4
    return copy


def check(node: LoneNode, database: KeyValue) -> None:
    PrunedCheck(database, node.network, node.payloads, node.outcomes.models).run()


def test_pruning_forgets_histories_of_old_blocks_and_keeps_every_sum(node: LoneNode, tmp_path: Path) -> None:
    copy, blocks = pruned(node, tmp_path / "copy"), executed(node.database, node.network)
    assert_index_is(copy.database, blocks, copy.store.pruned_height)
    for prefix in (b"d", b"n"):
        assert dict(copy.database.items(prefix)) == dict(node.database.items(prefix))
    heights = [int.from_bytes(key[-8:], "big") for prefix in (b"w", b"r") for key, _ in copy.database.items(prefix)]
    assert heights and min(heights) > copy.store.pruned_height
    check(copy, copy.database)
    again = lives_on(copy, 2)
    check(again, again.database)
    assert totals(again.database) == (again.state.supply.minted, again.state.supply.burned)
    assert Fsck(again.database, again.network, dry_run=False).run() == []


def test_the_index_of_a_restored_ledger_begins_at_its_snapshot(node: LoneNode, tmp_path: Path) -> None:
    home, folder, new = stopped_home(node, tmp_path / "home"), tmp_path / "snapshot", tmp_path / "new"
    assert run("snapshot", str(folder), home=home).exit_code == 0
    assert run("restore", str(folder), home=new).exit_code == 0
    with Opened(new) as database:
        store = Store(database, node.network)
        assert store.receipts_from == node.store.height + 1 and dict(database.items(b"d")) == {}
        assert list(store.nodes_of(IDENTITY.address)) == [IDENTITY.node]
    assert told("verify", home=new)["ok"] and told("fsck", home=new)["ok"]
    again = go_on(new, node, 3)
    assert told("verify", home=new)["ok"] and told("fsck", home=new)["ok"]
    with Opened(new) as database:
        supply = Store(database, node.network).state().supply
        minted, burned = totals(database)
        assert (minted, burned) == (
            supply.minted - node.state.supply.minted,
            supply.burned - node.state.supply.burned,
        )
    assert minted > 0 and again.network == node.network


def spoilt(node: LoneNode) -> Iterator[tuple[str, dict[bytes, bytes | None]]]:
    """Changes to the records of a pruned ledger, and what is said of each."""
    records = everything(node)
    wallets, lists, sums = (sorted(key for key in records if key[:1] == prefix) for prefix in (b"w", b"r", b"d"))
    full = next(key for key in lists if Reached.decode(records[key]).wallets)
    tip = int.from_bytes(records[b"mtip"], "big")
    beyond = b"w" + WALLETS[0] + number(tip + 1)
    extra = b"w" + WALLETS[0] + wallets[0][-8:]
    yield "lacks what block", {wallets[0]: None}
    yield "lacks what block", {wallets[0]: records[wallets[0]][:8]}
    yield "is damaged", {wallets[0]: records[wallets[0]][:-1]}
    yield "is damaged", {full: records[full] + b"\0"}
    yield "has [0-9]+ records of wallets", {full: None}
    yield "has [0-9]+ records of wallets", {extra: records[wallets[0]]}
    yield "tells of block", {beyond: records[wallets[0]]}
    yield "whose body is not kept", {b"r" + number(1): bytes(8)}
    yield "adds up to", {sums[0]: None}
    yield "is damaged", {sums[0]: b"\1"}
    more = Sums.decode(records[sums[0]])
    yield "adds up to", {sums[0]: replace(more, training=more.training + 1).encode()}
    yield "adds up to", {sums[0]: replace(more, burned=more.burned + 1).encode()}
    yield "became smaller", {sums[0][:22] + b"\xff" * 4: replace(more, released=more.released + 1).encode()}
    yield "has not come", {sums[0][:22] + bytes(4): records[sums[0]]}


def test_a_pruned_ledger_whose_index_does_not_fit_together_is_told_in_words(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    for words, changes in spoilt(copy):
        database = MemoryKeyValue(everything(copy))
        database.write(changes)
        before = dict(database.records)
        with pytest.raises(ArchiveDiffers, match=words):
            check(copy, database)
        (finding,) = Fsck(database, copy.network, dry_run=False).run()
        assert not finding.repairable and "restore the whole data directory" in finding.sentence
        assert database.records == before, words


def test_the_nodes_of_wallets_in_a_pruned_ledger_are_made_again_from_its_state(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    database = MemoryKeyValue(everything(copy))
    database.write({node_entry(IDENTITY.address, IDENTITY.node): None, node_entry(WALLETS[0], named("none")): b""})
    with pytest.raises(ArchiveDiffers, match="node index differs in 2 records"):
        check(copy, database)
    (finding,) = Fsck(database, copy.network, dry_run=False).run()
    assert (finding.part, finding.count, finding.repaired) == ("node index", 2, True)
    assert database.records == everything(copy)


# ---- Made-up receipts of every kind

AMOUNTS = st.sampled_from([0, 1, 7, 10**18])
WALLET = st.sampled_from(WALLETS)
HASHES = st.just(bytes(32))
RECEIPT: st.SearchStrategy[Any] = st.one_of(
    st.builds(Minted, st.just(1), HASHES, WALLET, AMOUNTS),
    st.builds(Burned, st.sampled_from([BASE_FEE, SERVICE_SHARE, PROOF_FEE, SLASHED, FORFEITED]), WALLET, AMOUNTS),
    st.builds(Released, st.just(1), HASHES, WALLET, AMOUNTS),
    st.builds(AutoBonded, WALLET, AMOUNTS),
    st.builds(StakeLeft, WALLET, AMOUNTS, st.just(9)),
    st.builds(Jailed, WALLET, st.just(9)),
    st.builds(Tombstoned, st.sampled_from(KEYS), AMOUNTS, st.just(WALLETS[2]), AMOUNTS),
    st.builds(ServicePaid, st.sampled_from([UPTIME, DATA]), st.just(3), HASHES, WALLET, AMOUNTS),
    st.builds(AuditPaid, WALLET, st.just(2), AMOUNTS),
    st.builds(Forfeited, st.just(1), HASHES, WALLET, AMOUNTS),
    st.builds(FraudRewarded, st.just(1), HASHES, WALLET, AMOUNTS),
    st.builds(AuditFault, st.just(1), HASHES, st.sampled_from(KEYS), AMOUNTS),
    st.just(RoundVoid(4)),
)
BLOCKS = st.lists(st.tuples(st.lists(RECEIPT, max_size=6), st.sampled_from([10, DAY_MS // 2, 3 * DAY_MS])), max_size=8)


def made_up(node: LoneNode, told: list[tuple[list[Any], int]]) -> list[Applied]:
    """Blocks with these receipts, so long after one another; the first key is known to the state, the second is not."""
    stored = node.store.block(1)
    assert stored is not None
    state, time_ms, found = State({validator_key(KEYS[0]): ValidatorKey(WALLETS[1], False).encode()}.get), 5, []
    for height, (receipts, later) in enumerate(told, 1):
        time_ms += later
        # A base fee is burned for gas: without it there is nothing to divide by.
        before = [TransactionApplied(bytes(32), 1, 1)] * any(isinstance(each, Burned) for each in receipts)
        header = replace(stored.block.header, height=height, time_ms=time_ms)
        block = replace(stored.block, header=header)
        found.append(Applied(block, state, None, (*before, *receipts)))  # type: ignore[arg-type]
    return found


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    node = LoneNode(tmp_path_factory.mktemp("young"))
    node.register()
    return node


@settings(max_examples=150, deadline=None)
@given(told=BLOCKS, batches=st.lists(st.integers(1, 4), min_size=8, max_size=8))
def test_every_receipt_is_found_and_summed_however_the_blocks_are_written(
    young: LoneNode, told: list[tuple[list[Any], int]], batches: list[int]
) -> None:
    blocks, database = made_up(young, told), MemoryKeyValue()
    store, at = store_of(database), 0
    for size in batches:
        index = ReceiptIndex(store.sums_of)
        for applied in blocks[at : at + size]:
            index.add(applied)
        database.write(index.fresh)
        at += size
    assert_index_is(database, blocks)
    listed = {
        (wallet, int.from_bytes(key[1:], "big"))
        for key, data in database.items(b"r")
        for wallet in Reached.decode(data).wallets
    }
    assert listed == set(naive_history(blocks))
    for wallet in WALLETS:
        days = [day for day, _ in store.sums_by_day(wallet)]
        assert days == sorted(days, reverse=True)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200))
def test_damaged_records_raise_no_other_error_than_ours(data: bytes) -> None:
    for kind in (Sums, Told, Reached):
        with suppress(DecodeError):
            assert kind.decode(data).encode() == data or kind is Sums


@pytest.mark.parametrize("amount", [1, 2**64, 2**128 - 1])
def test_sums_are_read_as_they_were_written(amount: int) -> None:
    sums = Sums(training=amount, burned=3, data=amount)
    assert Sums.decode(sums.encode()) == sums and Sums.decode(Sums().encode()) == Sums() and sums.minted == 2 * amount
    assert day_of(b"d" + WALLETS[0] + b"\xff\xff\xff\xff") == 0
