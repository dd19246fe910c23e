"""A replay up to a height finds what the ledger was there, and says in words which heights there are."""

from pathlib import Path

import pytest

from node.data_directory import DataDirectory
from tests.node.archive_homes import lived, refused, run, stopped_home, told
from tests.node.lone_node import LoneNode, with_rounds


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("replay") / "node", 4)


@pytest.fixture(scope="module")
def home(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stopped_home(node, tmp_path_factory.mktemp("replay") / "home")


@pytest.mark.parametrize("height", range(14))
def test_every_height_has_the_roots_and_the_supply_of_its_header(node: LoneNode, home: Path, height: int) -> None:
    found = told("replay", "--to", str(height), home=home)
    header = node.store.header(height)
    assert found["height"] == found["blocks"] == height and found["epoch"] == (height - 1) // 4 * (height > 0)
    if header is None:
        assert height == 0 and found["state_root"] == node.store.database.get(b"mgenesis").hex()
        assert found["block_hash"] == node.network.chain_id.hex()
        assert found["outer_root"] == node.network.start.outer_root.hex()
        return
    supply = {kind: int(amount) for kind, amount in found["supply_nanos"].items()}
    assert (found["block_hash"], found["state_root"]) == (header.hash().hex(), header.state_root.hex())
    assert (supply["minted"], supply["burned"]) == (header.minted, header.burned)
    assert supply["circulating"] == supply["balances"] + supply["vesting"] == header.minted - header.burned


def test_at_the_tip_model_and_counts_are_the_nodes(node: LoneNode, home: Path) -> None:
    found = told("replay", "--to", str(node.store.height), home=home)
    assert found["outer_root"] == node.outcomes.model_root.hex()
    assert (found["rounds_closed"], found["payloads"], found["transactions"]) == (4, 4, 5)
    assert (found["accounts"], found["nodes"]) == (2, 1)


def test_the_model_of_a_height_is_that_of_the_last_round_closed_by_then(node: LoneNode, home: Path) -> None:
    ended = node.store.height_of_round(2)
    assert ended is not None
    before, after = (told("replay", "--to", str(height), home=home) for height in (ended - 1, ended))
    assert (before["rounds_closed"], after["rounds_closed"]) == (1, 2)
    assert before["outer_root"] != after["outer_root"]


def test_without_json_it_is_said_in_words(node: LoneNode, home: Path) -> None:
    result = run("replay", "--to", "3", home=home)
    header = node.store.header(3)
    assert header is not None
    assert result.stdout.startswith("height 3, block ") and f"state root {header.state_root.hex()}" in result.stdout


@pytest.mark.parametrize("height", ["-1", "14", "99999999999999999999"])
def test_a_height_that_is_not_there_is_refused_with_those_that_are(node: LoneNode, home: Path, height: str) -> None:
    assert node.store.height == 13
    assert "this ledger has heights 0 to 13" in refused("replay", "--to", height, home=home)


@pytest.mark.parametrize("height", ["", "tip", "1.5"])
def test_what_is_no_height_is_refused(home: Path, height: str) -> None:
    assert "is not a valid integer" in refused("replay", "--to", height, home=home)


def test_a_replay_ends_at_the_first_difference(tmp_path: Path) -> None:
    node = with_rounds(tmp_path / "node", 2)
    path = sorted((node.folder / "payloads").iterdir())[0]
    path.unlink()
    home = stopped_home(node, tmp_path / "home")
    assert told("replay", "--to", "1", home=home)["blocks"] == 1
    assert "payloads are missing" in refused("replay", "--to", str(node.store.height), home=home)


@pytest.mark.parametrize(
    "words", [("replay", "--to", "0"), ("fsck",), ("prune",), ("export", "tables"), ("snapshot", "copy")]
)
def test_no_command_works_where_a_node_runs(home: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    directory = DataDirectory(home)
    directory.lock()
    try:
        arguments = [str(tmp_path / word) if word in ("tables", "copy") else word for word in words]
        assert "another node is running" in refused(*arguments, home=home)
    finally:
        directory.unlock()


def test_a_folder_without_a_ledger_is_refused(node: LoneNode, tmp_path: Path) -> None:
    directory = DataDirectory(tmp_path)
    directory.create()
    assert "has no network yet" in refused("replay", "--to", "0", home=tmp_path)
    (tmp_path / "network").write_bytes(node.network.file_bytes())
    assert "nothing to verify or to work on" in refused("replay", "--to", "0", home=tmp_path)
