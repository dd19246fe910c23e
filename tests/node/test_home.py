"""The first start and every later one: a private directory, one node, one wallet, and secrets in one place only."""

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chain.genesis import Parameter, parse_network
from node.data_directory import DataDirectory, read_json, write_atomically
from node.errors import DataDirectoryError, NodeError
from node.home import Home, open_home
from node.node_key import index_text, kept_index
from node.schema import SCHEMA
from node.settings import Settings
from node.wallet_files import Secrets
from wallet.errors import MnemonicError, WrongPassword
from wallet.folder import WalletFolder
from wallet.keys import Wallet

WORDS = Wallet(bytes(range(16))).words()
OTHER_WORDS = Wallet(bytes(16)).words()
NOBODY = None
PASSWORD = "correct horse"


@pytest.fixture(autouse=True)
def _passwords_are_cheap_to_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second of scrypt is for attackers, not for tests."""
    defaults: Any = Wallet.to_keystore.__kwdefaults__
    monkeypatch.setitem(defaults, "scrypt_n", 2)


@pytest.fixture(autouse=True)
def _private() -> Iterator[None]:
    """As the command line sets it before anything is written."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def settings(root: Path, network_file: Path | None = None) -> Settings:
    return Settings(root, network_file, "lab", True, False, "cpu", 1, None, None)


def opened(root: Path, given: Secrets | None = None, network_file: Path | None = None, ask: Any = NOBODY) -> Home:
    """Open a home and let go of it again, as a node that ends."""
    home = open_home(settings(root, network_file), given or Secrets(), ask)
    home.directory.unlock()
    return home


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "home"


# ---- The directory


def test_the_first_start_makes_everything_for_its_owner_only(root: Path) -> None:
    opened(root)
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    assert {path.name for path in root.iterdir()} == {
        "schema", "lock", "network", "keystore.json", "keystore.password", "node-key",
        "ledger", "model", "payloads", "aggregates", "work", "segments", "audits", "verdicts", "tokens",
    }  # fmt: skip
    for path in root.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path.name


def test_the_second_start_finds_the_same_wallet_and_network(root: Path) -> None:
    first, before = opened(root), content(root)
    second = opened(root)
    assert (second.identity, second.network) == (first.identity, first.network)
    assert content(root) == before


def test_an_empty_directory_is_taken_and_one_with_something_else_in_it_is_left_alone(root: Path) -> None:
    root.mkdir()
    (root / "thesis.txt").write_text("years of work")
    with pytest.raises(DataDirectoryError, match=r"is not empty .*\(it holds thesis.txt\)"):
        opened(root)
    assert content(root) == {"thesis.txt": b"years of work"}
    (root / "thesis.txt").unlink()
    assert opened(root).words is not None


@pytest.mark.parametrize("schema", ["0", f"{SCHEMA + 1}", f"{SCHEMA}1"])
def test_a_directory_of_another_schema_is_refused_untouched(root: Path, schema: str) -> None:
    opened(root)
    (root / "schema").write_text(schema)
    before = content(root)
    with pytest.raises(DataDirectoryError, match="schema"):
        opened(root)
    assert content(root) == before


def test_a_wallet_that_was_made_before_there_was_a_node_is_the_nodes(root: Path) -> None:
    wallet = WalletFolder(root).create(None, PASSWORD)
    (root / "wallet-history").write_text("balance\n")
    # What a write leaves that was cut short.
    for name in (".keystore-0123.draft", "wallet.json.partial", "wallet-pending.json.partial"):
        (root / name).touch()
    (root / "wallet.json.bak").touch()
    with pytest.raises(DataDirectoryError, match=r"\(it holds wallet.json.bak\)"):
        opened(root, Secrets(password=PASSWORD))
    (root / "wallet.json.bak").unlink()
    home = opened(root, Secrets(password=PASSWORD))
    assert home.identity.address == wallet.address() and home.words is None


def test_a_file_in_the_place_of_the_directory_is_refused_in_words(root: Path) -> None:
    root.write_text("a file")
    with pytest.raises(DataDirectoryError, match=r"cannot use .*--data-dir"):
        opened(root)
    assert root.read_text() == "a file"


def test_a_file_in_the_place_of_a_folder_is_refused_in_words(root: Path) -> None:
    opened(root)
    (root / "work").rmdir()
    (root / "work").write_text("a file")
    with pytest.raises(DataDirectoryError, match="cannot use"):
        opened(root)


def test_a_directory_that_may_not_be_written_is_refused_in_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(DataDirectoryError, match=r"cannot use .*right to read and write"):
        opened(root)


def test_a_second_node_on_the_directory_is_refused_until_the_first_ends(root: Path) -> None:
    first = open_home(settings(root), Secrets(), NOBODY)
    with pytest.raises(DataDirectoryError, match="another node is running"):
        opened(root)
    first.directory.unlock()
    assert opened(root).identity == first.identity


def test_a_start_that_fails_lets_go_of_the_directory(root: Path) -> None:
    with pytest.raises(MnemonicError):
        opened(root, Secrets(token="twelve words these are not"))
    assert opened(root, Secrets(token=WORDS)).words is None


def test_a_directory_that_no_node_has_used_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataDirectoryError, match="is no data directory"):
        DataDirectory(tmp_path).check_schema()


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    (tmp_path / "file.partial").write_bytes(b"left by a killed process, and longer")
    for text in (b"old", b"new"):
        write_atomically(path, text)
        assert path.read_bytes() == text
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]", b"\xff", b"5"])
def test_a_damaged_note_counts_as_none(tmp_path: Path, damage: bytes | None) -> None:
    if damage is not None:
        (tmp_path / "note").write_bytes(damage)
    assert read_json(tmp_path / "note") is None


# ---- The wallet


def test_a_new_wallets_words_are_shown_once_and_stand_in_no_file(root: Path) -> None:
    first = opened(root)
    assert first.words is not None and len(first.words.split()) == 12
    assert opened(root).words is None
    assert_no_secret(root, first.words)


def assert_no_secret(root: Path, words: str) -> None:
    wallet = Wallet.from_words(words)
    keys = [wallet.wallet_key(), wallet.node_key(), wallet.validator_key(), wallet.entropy, wallet.seed]
    for name, found in content(root).items():
        assert words.encode() not in found, name
        assert not any(key in found or key.hex().encode() in found for key in keys), name


def test_a_given_token_is_the_wallet_and_is_not_shown_again(root: Path) -> None:
    home = opened(root, Secrets(token=WORDS))
    assert home.words is None and home.identity.address == Wallet.from_words(WORDS).address()
    assert_no_secret(root, WORDS)


def test_printing_secrets_or_an_identity_shows_none(root: Path) -> None:
    home = opened(root, Secrets(token=WORDS, password="hunter2"))
    shown = repr(Secrets(WORDS, "hunter2")) + repr(home.identity) + repr(home)
    assert WORDS.split()[0] not in shown and "hunter2" not in shown
    assert home.identity.wallet_secret.hex() not in shown and repr(home.identity.wallet_secret) not in shown


def test_the_token_of_the_same_wallet_is_accepted_and_of_another_refused(root: Path) -> None:
    opened(root, Secrets(token=WORDS))
    before = content(root)
    opened(root, Secrets(token=f"  {WORDS.upper()} "))
    with pytest.raises(NodeError, match="belongs to another wallet"):
        opened(root, Secrets(token=OTHER_WORDS))
    assert content(root) == before


def test_a_token_may_be_the_path_of_a_keystore(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "moved.json"
    Wallet.from_words(WORDS).save(path, "hunter2")
    with pytest.raises(NodeError, match="give its password"):
        opened(root, Secrets(token=str(path)))
    with pytest.raises(WrongPassword):
        opened(root, Secrets(token=str(path), password="hunter3"))
    assert (
        opened(root, Secrets(token=str(path), password="hunter2")).identity.address
        == Wallet.from_words(WORDS).address()
    )


@pytest.mark.parametrize("token", ["nosuchfile.json", "x" * 5000, "~nobody-of-this-name/x", "\x00", ""])
def test_a_token_that_is_neither_words_nor_a_file_is_refused_in_words(root: Path, token: str) -> None:
    with pytest.raises(MnemonicError):
        opened(root, Secrets(token=token))


def test_a_given_password_locks_the_wallet_and_is_kept_nowhere(root: Path) -> None:
    opened(root, Secrets(password="hunter2"))
    assert not (root / "keystore.password").exists()
    assert not any(b"hunter2" in found for found in content(root).values())
    with pytest.raises(NodeError, match="needs its password"):
        opened(root)
    with pytest.raises(WrongPassword):
        opened(root, Secrets(password="hunter3"))
    opened(root, Secrets(password="hunter2"))


def test_a_made_password_stands_in_its_own_file_only(root: Path) -> None:
    opened(root)
    found = content(root)
    password = found.pop("keystore.password")
    assert len(password) >= 16 and not any(password in each for each in found.values())


def test_who_can_be_asked_chooses_a_password_and_is_asked_for_it_later(root: Path) -> None:
    questions = []

    def ask(new: bool) -> str:
        questions.append(new)
        return "hunter2"

    opened(root, ask=ask)
    assert not (root / "keystore.password").exists()
    opened(root, ask=ask)
    assert questions == [True, False]


# ---- The network


def test_a_network_file_is_taken_over_by_the_first_start(root: Path, tmp_path: Path) -> None:
    made = opened(tmp_path / "maker", Secrets(token=WORDS))
    shared = tmp_path / "maker" / "network"
    home = opened(root, Secrets(token=WORDS), shared)
    assert home.network == made.network
    assert (root / "network").read_bytes() == shared.read_bytes()
    opened(root, Secrets(token=WORDS), shared)


def test_the_file_of_another_network_is_refused_later(root: Path, tmp_path: Path) -> None:
    opened(root, Secrets(token=WORDS))
    opened(tmp_path / "other", Secrets(token=OTHER_WORDS))
    with pytest.raises(NodeError, match="belongs to another network"):
        opened(root, network_file=tmp_path / "other" / "network")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """The file of a network whose only validator is somebody else."""
    opened(tmp_path / "maker", Secrets(token=OTHER_WORDS))
    return tmp_path / "maker" / "network"


PEERS: tuple[dict[str, Any], ...] = ({"peers": (("a", 1),)}, {"listen": ("0.0.0.0", 0)})


@pytest.mark.parametrize("found", PEERS, ids=["peer", "listen"])
def test_a_network_of_others_is_joined_with_its_file_and_a_way_to_them(
    root: Path, shared: Path, found: dict[str, Any]
) -> None:
    wish = replace(settings(root, shared), **found)
    home = open_home(wish, Secrets(token=WORDS), NOBODY)
    home.directory.unlock()
    assert (root / "network").read_bytes() == shared.read_bytes()
    assert any("this wallet is not it" in note for note in home.notes)
    again = open_home(replace(wish, network_file=None), Secrets(), NOBODY)
    again.directory.unlock()
    assert (again.network, again.identity) == (home.network, home.identity)


def test_who_could_find_nobody_of_the_network_is_told_what_to_give(root: Path, shared: Path) -> None:
    with pytest.raises(NodeError, match=r"would find nobody: give --peer HOST:PORT.* or --listen HOST:PORT"):
        opened(root, Secrets(token=WORDS), shared)


def test_a_peer_without_a_network_file_makes_no_new_network(root: Path) -> None:
    with pytest.raises(NodeError, match="give its file with --network FILE"):
        open_home(replace(settings(root), peers=(("a", 1),)), Secrets(token=WORDS), NOBODY)
    assert not (root / "network").exists()


def test_a_network_of_one_may_listen_for_others(root: Path) -> None:
    home = open_home(replace(settings(root), listen=("127.0.0.1", 0)), Secrets(token=WORDS), NOBODY)
    home.directory.unlock()
    assert any(note.startswith("New network of one") for note in home.notes)


# ---- The node key


def test_one_wallet_on_two_machines_is_two_nodes_and_one_validator(root: Path, tmp_path: Path) -> None:
    first, second = opened(root, Secrets(token=WORDS)), opened(tmp_path / "second", Secrets(token=WORDS))
    assert first.identity.node_public_key != second.identity.node_public_key
    assert first.identity.validator_public_key == second.identity.validator_public_key
    assert first.identity.address == second.identity.address
    assert opened(root).identity == first.identity


def test_a_directory_of_an_earlier_version_keeps_the_wallets_first_node_key(root: Path) -> None:
    opened(root, Secrets(token=WORDS))
    (root / "node-key").unlink()
    (root / "schema").write_text("2")
    assert opened(root).identity.node_secret == Wallet.from_words(WORDS).node_key(0)
    assert kept_index(root / "node-key") == 0


def test_a_node_key_that_is_removed_makes_another_node_of_the_same_wallet(root: Path) -> None:
    before = opened(root, Secrets(token=WORDS)).identity
    (root / "node-key").unlink()
    after = opened(root).identity
    assert after.node != before.node and after.address == before.address
    assert opened(root).identity == after


@pytest.mark.parametrize("damage", [b"", b"7", b"-1", index_text(2**31).encode(), b"\xff", b"9" * 5000])
def test_a_damaged_node_key_is_refused_with_what_to_do(root: Path, damage: bytes) -> None:
    opened(root, Secrets(token=WORDS))
    (root / "node-key").write_bytes(damage)
    with pytest.raises(DataDirectoryError, match=r"node-key is damaged: .*or remove it"):
        opened(root)


@pytest.mark.parametrize("later", [False, True], ids=["first start", "later start"])
def test_a_network_file_that_is_missing_is_told_in_words(root: Path, tmp_path: Path, later: bool) -> None:
    if later:
        opened(root)
    with pytest.raises(NodeError, match=r"cannot read .*nowhere"):
        opened(root, network_file=tmp_path / "nowhere")


def test_a_damaged_network_file_is_told_in_words(root: Path) -> None:
    opened(root)
    path = root / "network"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataDirectoryError, match=r"network is damaged .*restore it from a backup"):
        opened(root)


def of_other_rules(content: bytes, *missing: str, unknown: str = "") -> bytes:
    """A network file as a version wrote it whose ledger had other parameters."""
    network = parse_network(content)
    kept = [each for each in network.parameters if each.name.decode() not in missing]
    more = [Parameter(unknown.encode(), 1)] if unknown else []
    parameters = tuple(sorted(kept + more, key=lambda each: each.name))
    return replace(network, parameters=parameters).file_bytes()


STAKING = ("chain.jail_epochs", "chain.sunset_height", "chain.unbonding_epochs")


@pytest.mark.parametrize("schema", ["1", str(SCHEMA)])
def test_a_network_of_an_earlier_version_is_refused_with_what_to_do_and_left_as_it_is(root: Path, schema: str) -> None:
    opened(root)
    (root / "network").write_bytes(of_other_rules((root / "network").read_bytes(), *STAKING))
    (root / "schema").write_text(schema)
    (root / "work" / "round-7.jsonl").write_text("{}")
    (root / "ledger" / "000001.log").write_bytes(b"blocks")
    before = content(root)
    words = (
        r"made by an earlier version with other rules \(it lacks chain.jail_epochs and 2 more\): "
        r"start anew with another --data-dir, or use the version that made it"
    )
    with pytest.raises(DataDirectoryError, match=words):
        opened(root)
    assert content(root) == before


def test_a_network_of_a_later_version_is_refused_and_left_as_it_is(root: Path) -> None:
    opened(root)
    found = of_other_rules((root / "network").read_bytes(), unknown="chain.later_blocks")
    (root / "network").write_bytes(found)
    with pytest.raises(DataDirectoryError, match=r"by a later version .*it has chain.later_blocks\)"):
        opened(root)
    assert (root / "network").read_bytes() == found


def test_a_given_network_file_of_an_earlier_version_is_refused_before_anything_is_made(
    root: Path, tmp_path: Path
) -> None:
    opened(tmp_path / "maker")
    old = tmp_path / "old"
    old.write_bytes(of_other_rules((tmp_path / "maker" / "network").read_bytes(), "chain.jail_epochs"))
    with pytest.raises(NodeError, match=r"old was made by an earlier version .*lacks chain.jail_epochs\).*new file"):
        opened(root, network_file=old)
    assert not (root / "network").exists() and not (root / "keystore.json").exists()


@pytest.mark.parametrize(
    ("old", "new"), [(b"chain.jail_epochs", b"chain.jail_epochr"), (b"chain.jail_epochs", b"chaio.jail_epochs")]
)
def test_a_spoilt_name_of_a_parameter_is_damage_and_no_other_version(root: Path, old: bytes, new: bytes) -> None:
    opened(root)
    path = root / "network"
    path.write_bytes(path.read_bytes().replace(old, new))
    with pytest.raises(DataDirectoryError, match=r"network is damaged .*restore it from a backup"):
        opened(root)


def test_a_spoilt_number_of_training_is_damage(root: Path) -> None:
    opened(root)
    path = root / "network"
    before = path.read_bytes()
    at = before.index(b"model.context") + len(b"model.context") + 15  # the last byte of its number
    path.write_bytes(before[:at] + b"\x01" + before[at + 1 :])
    with pytest.raises(DataDirectoryError, match=r"network is damaged .*restore it from a backup"):
        opened(root)


def test_a_newer_layout_is_told_before_its_network_is_looked_at(root: Path) -> None:
    opened(root)
    (root / "network").write_bytes(b"of the future")
    (root / "schema").write_text(str(SCHEMA + 1))
    with pytest.raises(DataDirectoryError, match="newer program"):
        opened(root)


def lived_in(root: Path) -> Home:
    """A directory whose node has written a ledger."""
    home = open_home(settings(root), Secrets(), NOBODY)
    home.directory.unlock()
    (root / "ledger" / "000001.log").write_bytes(b"blocks")
    return home


def test_a_lost_keystore_is_asked_for_and_its_password_is_never_overwritten(root: Path) -> None:
    home = lived_in(root)
    kept, password = (root / "keystore.json").read_bytes(), (root / "keystore.password").read_bytes()
    (root / "keystore.json").unlink()
    with pytest.raises(NodeError, match=r"keystore\.json is missing"):
        opened(root)
    assert (root / "keystore.password").read_bytes() == password
    (root / "keystore.json").write_bytes(kept)
    again = opened(root)
    assert again.identity == home.identity
    again.directory.unlock()


def test_a_lost_network_file_is_asked_for_and_never_replaced_by_a_new_network(root: Path) -> None:
    lived_in(root)
    (root / "network").unlink()
    with pytest.raises(NodeError, match="network is missing"):
        opened(root)
    assert not (root / "network").exists()


def test_a_start_that_is_refused_leaves_no_wallet_and_no_network_behind(root: Path, shared: Path) -> None:
    with pytest.raises(NodeError, match="would find nobody"):
        opened(root, network_file=shared)
    assert not (root / "keystore.json").exists() and not (root / "network").exists()
    assert not (root / "node-key").exists()
    assert opened(root).words is not None
