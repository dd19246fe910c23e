"""A pruned node has forgotten bodies and payloads and nothing else: it goes on, and says what it no longer knows."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from chain.block import PayloadReveal
from node.api.block_answers import block_page, whole_block
from node.api.faults import Refusal
from node.api.round_answers import Local, RoundAnswers, proof_page
from node.archive_prune import last_prunable, prune
from node.archive_pruned import PrunedCheck
from node.archive_stored import ArchiveDiffers
from node.consistency import check_consistency
from node.errors import StoreError
from node.jobs import Jobs
from node.sign_state import SignState, owner_of
from node.store import HEADERS, PRUNED, Store, number
from tests.node.archive_homes import go_on, grows, lived, refused, run, stopped_home, told
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, named
from tests.node.served import PATIENCE_SECONDS, make_past, open_node

EPOCH = 4


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("prune") / "node")


@pytest.fixture
def home(node: LoneNode, tmp_path: Path) -> Path:
    return stopped_home(node, tmp_path / "home")


def pruned(node: LoneNode, folder: Path, keep_epochs: int = 1) -> LoneNode:
    """A copy of the node that has pruned."""
    copy = node.copied(folder)
    prune(copy.store, copy.payloads, last_prunable(copy.store, keep_epochs))
    return copy


def bodies(store: Store) -> list[int]:
    return [int.from_bytes(key[1:], "big") for key, _ in store.database.items(b"b")]


# ---- What goes and what stays


def test_the_running_epoch_the_wanted_ones_before_it_and_unreleased_rounds_stay(node: LoneNode) -> None:
    tip, ledger = node.store.height, node.state.ledger
    assert tip == 21 and ledger.released_round == 7
    oldest = node.state.round(8)
    assert oldest is not None
    for keep in range(1, 7):
        by_epochs = max(0, ((tip - 1) // EPOCH - keep) * EPOCH)
        assert last_prunable(node.store, keep) == min(by_epochs, oldest.opened_height - 1)


def test_bodies_up_to_there_go_and_their_headers_and_certificates_stay(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy", 2)
    height = last_prunable(node.store, 2)
    assert bodies(copy.store) == list(range(height + 1, node.store.height + 1))
    assert copy.store.pruned_height == height and copy.store.block(height) is None
    for at in range(1, node.store.height + 1):
        header = node.store.header(at)
        assert header is not None and copy.store.header(at) == header
        assert copy.store.certificate(at) == node.store.certificate(at)
        assert copy.store.height_of(header.hash()) == at


def test_state_tree_and_the_index_of_rounds_stay_to_the_byte(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    for prefix in (b"s", b"t", b"h", b"o", b"k", b"p", b"f"):
        assert dict(copy.database.items(prefix)) == dict(node.database.items(prefix))


def test_entries_of_transactions_go_with_their_blocks(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    left = [height for height, _ in copy.store.transactions_of(IDENTITY.address)]
    everything = [height for height, _ in node.store.transactions_of(IDENTITY.address)]
    assert left == [height for height in everything if height > copy.store.pruned_height]
    assert left and len(left) < len(everything)


def test_payloads_of_released_rounds_go_and_all_others_stay(node: LoneNode, tmp_path: Path) -> None:
    copy = node.copied(tmp_path / "copy")
    unrevealed = copy.payloads.put(b"of the round in training")
    rounds: dict[int, str] = {}
    for height in range(1, node.store.height + 1):
        stored = node.store.block(height)
        assert stored is not None
        reveals = (item for item in stored.block.body.rounds if isinstance(item, PayloadReveal))
        rounds |= {item.round: item.payload_root.hex() for item in reveals}
    prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    left = {path.name for path in (copy.folder / "payloads").iterdir()}
    assert left == {root for number, root in rounds.items() if number > 7} | {unrevealed.hex()}
    assert len(rounds) == 8


def test_a_young_ledger_stays_whole(tmp_path: Path) -> None:
    node = lived(tmp_path / "node", 3)
    before = dict(node.database.items(b""))
    done = prune(node.store, node.payloads, last_prunable(node.store, 2))
    assert (done.height, done.blocks, done.payloads) == (0, 0, [])
    assert dict(node.database.items(b"")) == before


def test_more_is_pruned_later_and_keeping_more_brings_nothing_back(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy", 3)
    first = copy.store.pruned_height
    prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    second = copy.store.pruned_height
    assert 0 < first < second
    done = prune(copy.store, copy.payloads, last_prunable(copy.store, 4))
    assert (done.height, done.blocks) == (second, 0) and copy.store.pruned_height == second


class TornKeyValue(MemoryKeyValue):
    """Fails at the n-th write, as a full disk does."""

    writes = 0

    def write(self, changes: object) -> None:
        self.writes -= 1
        if self.writes == 0:
            raise StoreError("cannot write to the ledger: the disk is full")
        super().write(changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_what_was_cut_short_says_that_it_is_pruned_and_is_ended_by_the_next_run(
    node: LoneNode, tmp_path: Path, writes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.archive_prune.BATCH_BLOCKS", 5)
    copy = node.copied(tmp_path / "copy", TornKeyValue())
    copy.database.writes = writes  # type: ignore[attr-defined]
    with pytest.raises(StoreError):
        prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    if writes > 1:
        PrunedCheck(copy.database, copy.network, copy.payloads, copy.outcomes.models).run()
    prune(copy.store, copy.payloads, last_prunable(copy.store, 1))
    assert dict(copy.database.items(b"")) == dict(pruned(node, tmp_path / "other").database.items(b""))


# ---- The node goes on


def test_a_pruned_node_starts_goes_on_and_is_still_right(node: LoneNode, home: Path) -> None:
    told("prune", "--keep-epochs", "1", home=home)
    again = go_on(home, node, 3)
    assert again.view.tip.height > node.store.height
    found = told("verify", home=home)
    assert found["ok"] and found["blocks"] == again.view.tip.height
    told("prune", "--keep-epochs", "1", home=home)
    assert told("verify", home=home)["pruned_height"] > found["pruned_height"]


async def test_the_engine_goes_on_over_a_pruned_ledger(tmp_path: Path) -> None:
    network = await asyncio.to_thread(make_past, tmp_path, 8)
    (tmp_path / "network").write_bytes(network.file_bytes())
    found = await asyncio.to_thread(told, "prune", "--keep-epochs", "1", home=tmp_path)
    assert found["pruned_height"] > 8
    running = open_node(tmp_path, network)
    await grows(running, 6)
    await running.close()
    assert (await asyncio.to_thread(told, "verify", home=tmp_path))["ok"]


async def test_a_running_node_prunes_by_itself_if_it_is_told_to(tmp_path: Path) -> None:
    network = await asyncio.to_thread(make_past, tmp_path, 8)
    (tmp_path / "network").write_bytes(network.file_bytes())
    running = open_node(tmp_path, network)
    assert Jobs(running).scheduler.get_job("prune") is None
    running.settings = replace(running.settings, keep_epochs=1)
    jobs = Jobs(running)
    assert jobs.scheduler.get_job("prune") is not None
    await jobs.prune()
    assert running.store.pruned_height == 0  # The model's file is written at the start of the node's work.
    growing = asyncio.create_task(grows(running, 12))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while running.store.pruned_height < 12:
            await jobs.prune()
            await asyncio.sleep(0.01)
    await growing
    await running.close()
    assert (await asyncio.to_thread(told, "verify", home=tmp_path))["bodies"] >= EPOCH


def test_its_votes_still_fit_its_ledger(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    key = IDENTITY.validator_public_key
    votes = SignState.open(tmp_path / "sign-state", owner_of(node.network.chain_id, key))
    votes.prune(node.view.tip.epoch, node.view.tip.view)
    check_consistency(copy.view, votes, key)
    votes.close()


def test_the_api_says_what_is_not_kept(node: LoneNode, tmp_path: Path) -> None:
    store = pruned(node, tmp_path / "copy").store
    height = store.pruned_height
    page = block_page(store, 1_000, None)
    assert [block["height"] for block in page["blocks"]] == list(range(node.store.height, height, -1))
    assert page["next_cursor"] is None
    assert whole_block(store, height + 1)["height"] == height + 1
    with pytest.raises(Refusal, match=f"keeps no blocks up to {height}"):
        whole_block(store, height)
    with pytest.raises(Refusal, match="there is no finalized block 0"):
        whole_block(store, 0)
    answers = RoundAnswers()
    rounds = answers.page(store, Local({}, {}, 1_000), 100, None)
    assert [found["round"] for found in rounds["rounds"]] == [9, 8, 7] and rounds["next_cursor"] is None
    with pytest.raises(Refusal, match="in which round 2 ended"):
        answers.whole(store, Local({}, {}, 1_000), 2)
    proofs = proof_page(store, 1_000, None, None, None)
    assert {found["height"] for found in proofs["proofs"]} <= set(range(height + 1, node.store.height + 1))


# ---- The commands


def test_the_command_says_how_many_bytes_came_back(home: Path) -> None:
    found = told("prune", "--keep-epochs", "1", home=home)
    assert found["blocks"] == found["pruned_height"] == 16 and found["payloads"] == 7
    assert found["ledger_bytes_after"] < found["ledger_bytes_before"]
    result = run("prune", "--keep-epochs", "1", home=home)
    assert result.stdout.startswith("Pruned up to block 16: 0 bodies and 0 payloads")


def test_verify_says_in_words_that_the_ledger_is_pruned_and_from_where(home: Path) -> None:
    told("prune", "--keep-epochs", "1", home=home)
    result = run("verify", home=home)
    assert result.exit_code == 0 and result.stdout.endswith("OK\n")
    assert "the bodies of blocks up to 16 are not kept" in result.stdout


@pytest.mark.parametrize("command", [("replay", "--to", "3"), ("export", "tables")])
def test_what_needs_every_block_is_refused(home: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    told("prune", "--keep-epochs", "1", home=home)
    words = [str(tmp_path / word) if word == "tables" else word for word in command]
    assert "this ledger is pruned: it lacks the bodies of blocks up to 16" in refused(*words, home=home)
    assert not (tmp_path / "tables").exists()


def test_without_its_model_a_node_does_not_prune_what_the_model_can_be_made_from(home: Path) -> None:
    for path in (home / "model").iterdir():
        path.unlink()
    assert "run `neuroshard archive verify` first" in refused("prune", "--keep-epochs", "1", home=home)
    told("verify", home=home)
    assert told("prune", "--keep-epochs", "1", home=home)["pruned_height"] == 16


@pytest.mark.parametrize("epochs", ["0", "-1", "many"])
def test_at_least_one_epoch_is_kept(home: Path, epochs: str) -> None:
    assert "--keep-epochs" in refused("prune", "--keep-epochs", epochs, home=home)


# ---- What was changed in a pruned ledger is found


@pytest.fixture(scope="module")
def small(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return pruned(node, tmp_path_factory.mktemp("small") / "node")


def check(node: LoneNode, changes: dict[bytes, bytes | None] | None = None) -> PrunedCheck:
    database = MemoryKeyValue(dict(node.database.items(b"")))
    database.write(changes or {})
    checked = PrunedCheck(database, node.network, node.payloads, node.outcomes.models)
    checked.run()
    return checked


def test_a_pruned_ledger_is_found_right(small: LoneNode) -> None:
    counts = check(small).counts
    assert (counts.blocks, counts.bodies, counts.certificates) == (21, 5, 21)
    assert (counts.certificates_unchecked, counts.payloads) == (0, 1)
    assert counts.state_root == small.view.tip.state_root.hex()


@pytest.mark.parametrize("prefix", [b"b", b"f", b"e", b"s", b"t", b"h", b"x", b"k"])
@pytest.mark.parametrize("sample", range(4))
def test_a_changed_byte_is_found(small: LoneNode, prefix: bytes, sample: int) -> None:
    records = [(key, value) for key, value in small.database.items(prefix) if value]
    key, value = records[sample * len(records) // 4]
    place = (7 + 31 * sample) % len(value)
    changed = value[:place] + bytes((value[place] ^ 1 << sample,)) + value[place + 1 :]
    with pytest.raises(ArchiveDiffers):
        check(small, {key: changed})


@pytest.mark.parametrize("prefix", [b"b", b"f", b"e", b"s", b"t", b"h", b"x", b"i"])
def test_a_missing_record_is_found(small: LoneNode, prefix: bytes) -> None:
    for key, _ in list(small.database.items(prefix))[:2]:
        with pytest.raises(ArchiveDiffers):
            check(small, {key: None})


@pytest.mark.parametrize("prefix", [b"s", b"t", b"h", b"x", b"i", b"e", b"b"])
def test_an_added_record_is_found(small: LoneNode, prefix: bytes) -> None:
    with pytest.raises(ArchiveDiffers):
        check(small, {prefix + named("added"): number(1)})


def test_a_body_that_is_missing_above_the_pruned_height_is_not_excused(small: LoneNode) -> None:
    header = small.store.header(17)
    assert header is not None
    with pytest.raises(ArchiveDiffers, match="height 17 differs: the block or its certificate is missing"):
        check(small, {b"b" + number(17): None, b"e" + number(17): header.encode()})


def test_a_gap_in_the_headers_is_excused_by_nothing_but_its_note(small: LoneNode) -> None:
    with pytest.raises(ArchiveDiffers, match="height 2 differs"):
        check(small, {b"e" + number(2): None})
    with pytest.raises(ArchiveDiffers):
        check(small, {HEADERS: number(30) + number(0)})
    with pytest.raises(ArchiveDiffers):
        check(small, {PRUNED: None})


def test_a_lost_model_and_a_damaged_payload_are_found(node: LoneNode, tmp_path: Path) -> None:
    copy = pruned(node, tmp_path / "copy")
    path = sorted((copy.folder / "payloads").iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
    with pytest.raises(ArchiveDiffers, match="is damaged"):
        check(copy)
    path.write_bytes(content)
    check(copy)
    for model in (copy.folder / "model").iterdir():
        model.unlink()
    with pytest.raises(ArchiveDiffers, match="without the payloads it cannot be made again"):
        check(copy)
