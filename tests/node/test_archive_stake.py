"""Stake in the archive: bonded and unbonding pots are counted, and validator sets that change are followed."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from chain.block import validators_root
from chain.stakes import Stake, stake_key
from chain.state import SUPPLY_KEY, Supply
from node.archive import ArchiveDiffers
from node.archive_stored import recount
from node.store import Store
from tests.node.archive_homes import Opened, go_on, staked, stopped_home, told
from tests.node.lone_node import IDENTITY, LoneNode


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return staked(tmp_path_factory.mktemp("stake") / "node")


@pytest.fixture
def home(node: LoneNode, tmp_path: Path) -> Path:
    return stopped_home(node, tmp_path / "home")


def flat(node: LoneNode) -> dict[bytes, bytes]:
    return {key[1:]: value for key, value in node.database.items(b"s")}


def test_bonded_and_unbonding_stake_is_owned_by_somebody(node: LoneNode, home: Path) -> None:
    assert told("verify", home=home)["ok"]
    supply = told("replay", "--to", str(node.store.height), home=home)["supply_nanos"]
    assert (int(supply["bonded"]), int(supply["unbonding"])) == (3_000, 2_000)
    pots = ("balances", "bonded", "unbonding", "vesting")
    assert sum(int(supply[pot]) for pot in pots) == int(supply["circulating"])


def test_a_pot_that_is_not_what_the_totals_say_is_found(node: LoneNode) -> None:
    records = flat(node)
    recount(records)
    key = stake_key(IDENTITY.address)
    with pytest.raises(ArchiveDiffers, match="bonded: 3000 nanos are recorded, 0 are found"):
        recount({**records, key: Stake().encode()})
    unbonding = next(key for key in records if key[:1] == b"u")
    with pytest.raises(ArchiveDiffers, match="unbonding: 2000 nanos are recorded, 0 are found"):
        recount({key: value for key, value in records.items() if key != unbonding})
    with pytest.raises(ArchiveDiffers, match="nanos are recorded"):
        recount({**records, SUPPLY_KEY: Supply(1).encode()} | {b"a" + IDENTITY.address: bytes(24)})


def test_a_snapshot_leads_through_every_set_to_the_tips(node: LoneNode, home: Path, tmp_path: Path) -> None:
    header = node.store.header(node.store.height)
    assert header is not None
    assert header.validators_root != validators_root(node.state.validators(0).members)
    told("snapshot", str(tmp_path / "copy"), home=home)
    told("restore", str(tmp_path / "copy"), home=tmp_path / "new")
    found = told("verify", home=tmp_path / "new")
    assert found["state_root"] == header.state_root.hex() and found["certificates_unchecked"] == 0
    go_on(tmp_path / "new", node, 2)
    with Opened(tmp_path / "new") as database:
        assert Store(database, node.network).state().supply.bonded == 3_000


def test_a_pruned_ledger_is_verified_through_changing_sets(home: Path) -> None:
    assert told("prune", "--keep-epochs", "1", home=home)["pruned_height"] > 8
    found = told("verify", home=home)
    assert found["certificates"] == found["blocks"] and found["certificates_unchecked"] == 0


def test_the_tables_name_bonds_and_the_keys_that_vote_with_them(node: LoneNode, home: Path, tmp_path: Path) -> None:
    told("export", str(tmp_path / "tables"), home=home)
    rows = pq.read_table(tmp_path / "tables" / "transactions.parquet").to_pylist()
    found = [(row["kind"], int(row["amount"] or 0), row["validator_key"]) for row in rows]
    key = IDENTITY.bootstrap_validator().public_key.hex()
    assert ("bond", 5_000, key) in found and ("unbond", 2_000, None) in found
