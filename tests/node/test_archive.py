"""The archive is replayed from the genesis: it agrees with an honest node, and with nothing else, to the byte."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

from chain.address import address_of
from chain.crypto import bls
from chain.transactions import Transaction as Signed
from chain.transactions import Transfer
from consensus.messages import FINALIZE, NOTARIZE, NULLIFY
from node.archive import ArchiveDiffers, PayloadsNotKept, Replay
from node.cli import cli
from node.data_directory import DataDirectory
from node.identity import EMPTY
from node.key_value import open_key_value
from node.model_store import load_base
from node.payload_store import PayloadStore
from node.store import CHAIN, GENESIS_ROOT, SCHEMA_KEY, TIP, number
from tests.node.lone_node import IDENTITY, LoneNode, MemoryKeyValue, certificate_of, named, tiny_network, with_rounds

ANY_HEIGHT = r"height \d+"
# How many bytes of each kind of record are changed, one at a time.
SAMPLES = {
    b"b": 18, b"f": 10, b"s": 8, b"t": 7, b"h": 4, b"x": 2, b"o": 2, b"k": 4, b"m": 4,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _each_signature_is_checked_once() -> Iterator[None]:
    """The same ledger is replayed again and again: remember what BLS said of the same bytes."""
    real = bls.fast_aggregate_verify
    remembered = cache(real)

    def verify(keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        return remembered(tuple(keys), message, signature)

    bls.fast_aggregate_verify = verify
    yield
    bls.fast_aggregate_verify = real


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    """Two rounds closed and one reward released and partly paid on; not to be changed."""
    node = with_rounds(tmp_path_factory.mktemp("archive") / "node", 3)
    pay(node, 1_000)
    node.block()
    # The notarization of a block above the tip, as a crash leaves it.
    node.view.keep(node.certify(NOTARIZE, node.build()))
    return node


def pay(node: LoneNode, amount: int) -> None:
    draft = Signed(IDENTITY.wallet_public_key, 1, 10, 1, Transfer(address_of(IDENTITY.node_public_key), amount), EMPTY)
    node.mempool.add(IDENTITY.sign_transaction(draft, node.network.chain_id), node.state)


def replay(node: LoneNode, changes: dict[bytes, bytes | None] | None = None) -> Replay:
    """The replay of the node's ledger with these records changed."""
    database = MemoryKeyValue(dict(node.database.items(b"")))
    database.write(changes or {})
    replayed = Replay(database, node.network, node.payloads)
    replayed.run()
    return replayed


def assert_differs(node: LoneNode, changes: dict[bytes, bytes | None], words: str = ANY_HEIGHT) -> None:
    with pytest.raises(ArchiveDiffers, match=words):
        replay(node, changes)


def flips() -> list[tuple[bytes, int]]:
    return [(prefix, i) for prefix, samples in SAMPLES.items() for i in range(samples)]


# ---- What is there is verified


def test_an_honest_ledger_is_found_right(honest: LoneNode) -> None:
    replayed = replay(honest)
    counts, state = replayed.counts, honest.state
    assert counts.blocks == honest.store.height and counts.certificates == honest.store.height
    assert (counts.rounds_closed, counts.rounds_void, counts.payloads) == (3, 0, 3)
    assert (counts.proofs, counts.transactions) == (12, 2)
    assert (counts.minted_nanos, counts.burned_nanos) == (state.supply.minted, state.supply.burned)
    assert counts.state_root == honest.view.tip.state_root.hex()
    assert counts.outer_root == state.ledger.model.outer_root.hex()
    assert honest.outcomes.model is not None
    assert replayed.model.weights.tobytes() == honest.outcomes.model.weights.tobytes()


def test_a_ledger_without_blocks_is_found_right(tmp_path: Path) -> None:
    assert replay(LoneNode(tmp_path)).counts.blocks == 0


def test_a_void_round_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    node = LoneNode(tmp_path / "node", tiny_network(train_blocks=2))
    node.register()
    for _ in range(4):
        node.block()
    counts = replay(node).counts
    assert counts.rounds_void >= 1 and counts.outer_root == node.network.start.outer_root.hex()


def test_blocks_under_a_descendants_certificate_are_covered(honest: LoneNode) -> None:
    assert replay(honest, {b"f" + number(2): b""}).counts.certificates == honest.store.height - 1


# ---- What was changed is found


@pytest.mark.parametrize(
    ("prefix", "sample"), flips(), ids=lambda value: value if isinstance(value, int) else value.decode()
)
def test_a_changed_byte_of_any_stored_value_is_found(honest: LoneNode, prefix: bytes, sample: int) -> None:
    draw = random.Random(f"{prefix!r} {sample}")
    records = [(key, value) for key, value in honest.database.items(prefix) if value and key not in (CHAIN,)]
    assert records, prefix
    key, value = records[sample % len(records)]
    place = draw.randrange(len(value))
    changed = value[:place] + bytes((value[place] ^ draw.randrange(1, 256),)) + value[place + 1 :]
    assert_differs(honest, {key: changed})


@pytest.mark.parametrize("sample", range(9))
def test_a_changed_byte_of_any_payload_is_found(honest: LoneNode, tmp_path: Path, sample: int) -> None:
    node = honest.copied(tmp_path / "node")
    path = sorted((node.folder / "payloads").iterdir())[sample % 3]
    content = bytearray(path.read_bytes())
    content[random.Random(sample).randrange(len(content))] ^= 1 << sample % 8
    path.write_bytes(content)
    assert_differs(node, {}, ANY_HEIGHT + " differs: the payload .* is damaged")


@pytest.mark.parametrize("prefix", sorted(set(SAMPLES) - {b"k"}))
def test_a_missing_record_of_any_kind_is_found(honest: LoneNode, prefix: bytes) -> None:
    keys = [key for key, _ in honest.database.items(prefix) if key != CHAIN]
    for key in random.Random(1).sample(keys, min(4, len(keys))):
        assert_differs(honest, {key: None})


def test_a_missing_entry_of_the_address_index_is_found(honest: LoneNode) -> None:
    keys = [key for key, _ in honest.database.items(b"i")]
    assert len(keys) == 3  # The registration, and the transfer from and to.
    for key in keys:
        assert_differs(honest, {key: None}, "address index")


@pytest.mark.parametrize("prefix", [b"s", b"t", b"h", b"x", b"i", b"o"])
def test_an_added_record_is_found(honest: LoneNode, prefix: bytes) -> None:
    assert_differs(honest, {prefix + named("added"): number(1)}, "differs in 1 records")


@pytest.mark.parametrize("height", [1, 4, 9])
def test_a_missing_block_is_named_by_its_height(honest: LoneNode, height: int) -> None:
    assert honest.store.height == 9
    assert_differs(honest, {b"b" + number(height): None}, f"^height {height} differs: the block or its certificate")
    assert_differs(honest, {b"f" + number(height): None}, f"^height {height} differs: the block or its certificate")


def test_blocks_that_changed_places_are_found(honest: LoneNode) -> None:
    third, fourth = (honest.database.get(b"b" + number(height)) for height in (3, 4))
    assert_differs(honest, {b"b" + number(3): fourth, b"b" + number(4): third}, "^height 3 differs")


def test_certificates_that_changed_places_are_found(honest: LoneNode) -> None:
    third, fourth = (honest.database.get(b"f" + number(height)) for height in (3, 4))
    changes = {b"f" + number(3): fourth, b"f" + number(4): third}
    assert_differs(honest, changes, "^height 3 differs: .* certificate is about something else")


def test_a_certificate_of_another_kind_view_or_epoch_is_found(honest: LoneNode) -> None:
    stored = honest.store.block(3)
    assert stored is not None
    header, network = stored.block.header, honest.network
    place = header.epoch, header.view, header.hash()
    for wrong in (
        certificate_of(network, NOTARIZE, *place),
        certificate_of(network, NULLIFY, header.epoch, header.view, bytes(32)),
        certificate_of(network, FINALIZE, header.epoch + 1, header.view, header.hash()),
        certificate_of(network, FINALIZE, header.epoch, header.view - 1, header.hash()),
        replace(certificate_of(network, FINALIZE, *place), bitmap=b"\x00"),
        replace(certificate_of(network, FINALIZE, *place), view=header.view + 1),
    ):
        assert_differs(honest, {b"f" + number(3): wrong.encode()}, "^height 3 differs")


def test_the_last_block_needs_a_certificate(honest: LoneNode) -> None:
    assert_differs(honest, {b"f" + number(9): b""}, "^height 9 differs: no finalization certificate")


def test_a_block_of_a_made_up_view_is_refused_without_looking_for_its_leader(honest: LoneNode) -> None:
    stored = honest.store.block(2)
    assert stored is not None
    header = replace(stored.block.header, view=2**32)
    assert_differs(honest, {b"b" + number(2): replace(stored.block, header=header).encode()}, "^height 2 differs")


@pytest.mark.parametrize("tip", [0, 8, 10, 2**63])
def test_another_tip_than_the_last_block_is_found(honest: LoneNode, tip: int) -> None:
    assert_differs(honest, {TIP: number(tip)})


def test_a_ledger_that_has_lost_its_height_says_so(honest: LoneNode) -> None:
    assert_differs(honest, {TIP: None}, "the ledger no longer knows its height$")


@pytest.mark.parametrize("key", [GENESIS_ROOT, SCHEMA_KEY])
def test_another_beginning_is_found(honest: LoneNode, key: bytes) -> None:
    assert_differs(honest, {key: b"1"}, "^height 0 differs")


def test_a_ledger_of_another_chain_is_refused(honest: LoneNode) -> None:
    assert_differs(honest, {CHAIN: bytes(32)}, "different chains")
    assert_differs(honest, {CHAIN: None}, "different chains")


def test_a_kept_certificate_in_anothers_place_is_found(honest: LoneNode) -> None:
    (key, value), *_ = honest.database.items(b"k")
    for wrong in (b"k" + number(7) + key[9:], key[:-1] + bytes((NULLIFY,))):
        assert_differs(honest, {key: None, wrong: value}, "kept certificate")


@pytest.mark.parametrize("kept", [None, 0, -1])
def test_a_missing_or_shortened_payload_is_found(honest: LoneNode, tmp_path: Path, kept: int | None) -> None:
    node = honest.copied(tmp_path / "node")
    current = node.state.round(3)
    assert current is not None
    path = node.payloads.path(current.revealed[0].payload_root)
    content = path.read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(content[:kept])
    if kept is None:
        with pytest.raises(PayloadsNotKept, match="of round 3 1 payloads are missing"):
            replay(node)
        return
    with pytest.raises(ArchiveDiffers, match=f"^{ANY_HEIGHT} differs: the payload .* is damaged"):
        replay(node)


def test_the_payload_of_another_round_is_found(honest: LoneNode, tmp_path: Path) -> None:
    node = honest.copied(tmp_path / "node")
    one, other, _ = sorted((node.folder / "payloads").iterdir())
    one.write_bytes(other.read_bytes())
    assert_differs(node, {}, ANY_HEIGHT + " differs: the payload .* is damaged")


# ---- The command


@pytest.fixture
def stopped(honest: LoneNode, tmp_path: Path) -> Path:
    """The data directory of a node that has stopped."""
    root = tmp_path / "home"
    directory = DataDirectory(root)
    directory.create()
    (directory / "network").write_bytes(honest.network.file_bytes())
    database = open_key_value(directory / "ledger")
    database.write(dict(honest.database.items(b"")))
    database.close()
    payloads = PayloadStore(directory / "payloads")
    for path in (honest.folder / "payloads").iterdir():
        payloads.put(path.read_bytes())
    return root


def test_the_command_says_ok_and_what_was_checked(stopped: Path) -> None:
    result = CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(stopped), "--json"])
    content = json.loads(result.stdout)
    assert result.exit_code == 0 and content["ok"] is True and content["blocks"] == 9 and content["rounds_closed"] == 3
    words = CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(stopped)])
    assert words.exit_code == 0 and words.stdout.endswith("OK\n")


def test_the_command_writes_a_lost_model_down_again(stopped: Path, honest: LoneNode) -> None:
    CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(stopped)])
    saved = load_base(stopped / "model" / "outer-3.safetensors", honest.learning)
    assert (saved.root, saved.round) == (honest.outcomes.model_root, 3)


def test_the_command_is_refused_while_a_node_runs_there(stopped: Path) -> None:
    directory = DataDirectory(stopped)
    directory.lock()
    result = CliRunner().invoke(cli, ["archive", "verify", "--data-dir", str(stopped)])
    directory.unlock()
    assert result.exit_code == 1 and "another node is running" in str(result.exception)
