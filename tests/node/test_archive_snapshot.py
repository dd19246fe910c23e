"""A snapshot proves itself, chunk by chunk, against a certified state root; what is restored from it is a node."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chain.block import Validator
from chain.crypto import bls
from consensus.certificate import certify
from consensus.messages import FINALIZE, NOTARIZE, Vote, vote_message
from node import snapshot
from node.data_directory import DataDirectory
from node.errors import NodeError
from node.home import Home
from node.model_store import load_base
from node.node import Node
from node.settings import Settings
from node.sign_state import SignStateError
from node.snapshot import Chunk, Epochs, Manifest, SnapshotError, check_chunk, make_snapshot
from node.snapshot_restore import Restoration, open_source
from node.store import HEADERS, PRUNED, TIP, Store, number
from tests.node.archive_homes import Opened, go_on, grows, lived, refused, run, stopped_home, told
from tests.node.lone_node import IDENTITY, LoneNode, certificate_of, named, with_rounds
from tests.node.processes import ROOT
from tests.node.served import open_node, remember_votes

SETTINGS = Settings(Path(), None, "lab", False, False, "cpu", 1, None, None)
SMALL = 600  # bytes of a chunk here, so that there are several


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> LoneNode:
    return lived(tmp_path_factory.mktemp("snapshot") / "node")


@pytest.fixture(scope="module")
def source(node: LoneNode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("snapshot") / "source"
    return made(node, folder)


def made(node: LoneNode, folder: Path, chunk_bytes: int = SMALL) -> Path:
    before = snapshot.CHUNK_BYTES
    snapshot.CHUNK_BYTES = chunk_bytes
    try:
        make_snapshot(node.store, node.outcomes.models, folder)
    finally:
        snapshot.CHUNK_BYTES = before
    return folder


def manifest_of(folder: Path) -> Manifest:
    return Manifest.decode((folder / "manifest").read_bytes()[len(snapshot.PREFIX) :])


def restored(source: Path, target: Path, trust: bytes | None = None) -> Path:
    Restoration(open_source(source, trust), target).run()
    return target


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def flip(path: Path, seed: int) -> None:
    content, draw = bytearray(path.read_bytes()), Random(seed)
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


def rewrite(folder: Path, manifest: Manifest) -> None:
    (folder / "manifest").write_bytes(snapshot.PREFIX + manifest.encode())


# ---- What is restored


def test_state_and_tree_are_the_same_to_the_byte(node: LoneNode, source: Path, tmp_path: Path) -> None:
    assert len(manifest_of(source).chunks) >= 4
    with Opened(restored(source, tmp_path / "home")) as database:
        for prefix in (b"s", b"t"):
            assert dict(database.items(prefix)) == dict(node.database.items(prefix))
        tip = number(node.store.height)
        assert (database.get(TIP), database.get(PRUNED), database.get(HEADERS)) == (tip, tip, tip + number(0))
        assert Store(database, node.network).tip() == node.view.tip


def test_the_network_file_and_the_model_are_the_ledgers(node: LoneNode, source: Path, tmp_path: Path) -> None:
    home = restored(source, tmp_path / "home")
    assert (home / "network").read_bytes() == node.network.file_bytes()
    saved = load_base(home / "model" / "outer-8.safetensors", node.learning)
    assert saved.root == node.outcomes.model_root
    assert not (home / "restore").exists() and not (tmp_path / "home.partial").exists()


def test_a_restored_node_starts_goes_on_and_is_right_at_every_step(
    node: LoneNode, source: Path, tmp_path: Path
) -> None:
    home = restored(source, tmp_path / "home")
    found = told("verify", home=home)
    assert (found["pruned_height"], found["first_header"], found["bodies"]) == (21, 21, 0)
    assert found["blocks"] == 6 and found["state_root"] == node.view.tip.state_root.hex()
    again = go_on(home, node, 6)
    assert again.view.tip.height > node.store.height
    found = told("verify", home=home)
    assert found["bodies"] == again.view.tip.height - 21 and found["outer_root"] == again.outcomes.model_root.hex()
    assert told("fsck", home=home)["ok"]
    told("prune", "--keep-epochs", "1", home=home)
    assert told("verify", home=home)["bodies"] < found["bodies"]


async def test_a_validator_goes_on_over_a_restored_ledger_only_with_the_record_of_its_votes(
    node: LoneNode, source: Path, tmp_path: Path
) -> None:
    home = await asyncio.to_thread(restored, source, tmp_path / "home")
    directory = DataDirectory(home)
    with pytest.raises(SignStateError, match="votes are lost, and voting would be unsafe"):
        Node(Home(directory, node.network, IDENTITY), SETTINGS, lambda _: None)
    (home / "sign-state").unlink()
    tip: Any = node.store.block(node.store.height)
    remember_votes(home, tip)
    running = open_node(home, node.network)
    await grows(running, 6)
    await running.close()
    assert (await asyncio.to_thread(told, "verify", home=home))["bodies"] >= 6


def test_of_a_restored_node_a_snapshot_can_be_made_again(node: LoneNode, source: Path, tmp_path: Path) -> None:
    home = restored(source, tmp_path / "home")
    with Opened(home) as database:
        again = LoneNode(home, node.network, database)
        folder = made(again, tmp_path / "second")
    # The metadata of the same model may stand in another order in its file.
    one, other = (replace(manifest_of(each), model_root=b"") for each in (folder, source))
    assert one == other and all(
        path.read_bytes() == (source / path.name).read_bytes() for path in folder.glob("chunk-*")
    )


@pytest.mark.parametrize("height", range(1, 10))
def test_a_snapshot_of_any_height_can_be_restored(tmp_path: Path, height: int) -> None:
    """At the first block, around the ends of epochs, before and after the first model."""
    node = LoneNode(tmp_path / "node")
    if height > 1:
        node.register()
    while node.store.height < height:
        if height > 4 and node.store.height > 1 and node.driver.work.done is None:
            node.train()
            node.finish()
        node.block()
    assert node.store.height == height and (node.state.ledger.closed_rounds > 0) == (height > 4)
    home = restored(made(node, tmp_path / "source"), tmp_path / "home")
    assert told("verify", home=home)["state_root"] == node.view.tip.state_root.hex()


def test_one_large_chunk_does_as_well(node: LoneNode, tmp_path: Path) -> None:
    folder = made(node, tmp_path / "source", 1 << 20)
    assert len(manifest_of(folder).chunks) == 1
    assert told("verify", home=restored(folder, tmp_path / "home"))["ok"]


def test_a_ledger_without_a_block_gives_no_snapshot(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="no block yet"):
        made(LoneNode(tmp_path / "new"), tmp_path / "source")


# ---- What is damaged is named


@pytest.mark.parametrize("seed", range(6))
def test_one_flipped_byte_names_the_bad_chunk(source: Path, tmp_path: Path, seed: int) -> None:
    folder = copied(source, tmp_path / "bad")
    chunks = sorted(folder.glob("chunk-*"))
    bad = chunks[seed % len(chunks)]
    flip(bad, seed)
    with pytest.raises(SnapshotError, match=f"^{bad.name} is damaged or forged"):
        restored(folder, tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("seed", range(6))
def test_one_flipped_byte_names_the_bad_chunk_even_if_the_manifest_was_made_to_fit(
    source: Path, tmp_path: Path, seed: int
) -> None:
    """The manifest is signed by nobody: what counts is the proof against the state root."""
    folder = copied(source, tmp_path / "bad")
    manifest = manifest_of(folder)
    index = seed % len(manifest.chunks)
    bad = folder / f"chunk-{index:05d}"
    flip(bad, seed)
    note = replace(manifest.chunks[index], root=snapshot.file_root(bad.read_bytes()))
    rewrite(folder, replace(manifest, chunks=(*manifest.chunks[:index], note, *manifest.chunks[index + 1 :])))
    with pytest.raises(SnapshotError, match=f"^{bad.name} is damaged or forged"):
        restored(folder, tmp_path / "home")


def test_a_manifest_that_lists_a_huge_chunk_is_refused_before_it_is_read(source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    manifest = manifest_of(folder)
    note = replace(manifest.chunks[0], size=2**32 - 1)
    rewrite(folder, replace(manifest, chunks=(note, *manifest.chunks[1:])))
    with pytest.raises(SnapshotError, match="a chunk of more than"):
        open_source(folder)


@pytest.mark.parametrize("change", ["dropped", "added", "changed", "swapped", "moved"])
def test_a_chunk_with_other_records_is_refused(source: Path, change: str) -> None:
    manifest = manifest_of(source)
    data = (source / "chunk-00001").read_bytes()
    chunk = Chunk.decode(data)
    one, *rest = chunk.entries
    other = replace(one, value=one.value + b"\x00")
    entries = {
        "dropped": tuple(rest),
        "added": (*chunk.entries, replace(one, key=b"zz")),
        "changed": (other, *rest),
        "swapped": (*rest, one),
        "moved": chunk.entries,
    }[change]
    forged = replace(chunk, entries=entries).encode()
    note = replace(manifest.chunks[1], entries=len(entries), size=len(forged), root=snapshot.file_root(forged))
    if change == "moved":
        note = replace(note, start=sha256(b"").digest() if note.start > sha256(b"").digest() else bytes(31) + b"\x01")
    chunks = (manifest.chunks[0], note, *manifest.chunks[2:])
    assert check_chunk(manifest, 1, data) == chunk
    with pytest.raises(SnapshotError, match="chunk-00001 is damaged or forged: its proof does not fit"):
        check_chunk(replace(manifest, chunks=chunks), 1, forged)


def test_a_missing_or_repeated_chunk_is_refused(source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    manifest = manifest_of(folder)
    for chunks in (manifest.chunks[1:], manifest.chunks[:1] * 2, manifest.chunks[::-1], ()):
        rewrite(folder, replace(manifest, chunks=chunks))
        with pytest.raises(SnapshotError, match="do not follow one another"):
            open_source(folder)
    rewrite(folder, replace(manifest, chunks=manifest.chunks[:-1]))
    last = f"chunk-{len(manifest.chunks) - 2:05d}"
    with pytest.raises(SnapshotError, match=f"^{last} is damaged or forged: its proof does not fit"):
        restored(folder, tmp_path / "home")
    (folder / "chunk-00002").unlink()
    shutil.rmtree(tmp_path / "home.partial")
    with pytest.raises(SnapshotError, match=r"cannot read .*chunk-00002"):
        restored(folder, tmp_path / "home")


@pytest.mark.parametrize("name", ["manifest", "network", "epochs", "model.safetensors"])
@pytest.mark.parametrize("seed", range(4))
def test_one_flipped_byte_of_any_other_file_is_refused(source: Path, tmp_path: Path, name: str, seed: int) -> None:
    folder = copied(source, tmp_path / "bad")
    flip(folder / name, seed)
    with pytest.raises(SnapshotError):
        restored(folder, tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("name", ["manifest", "network", "epochs", "model.safetensors"])
def test_a_missing_file_is_named(source: Path, tmp_path: Path, name: str) -> None:
    folder = copied(source, tmp_path / "bad")
    (folder / name).unlink()
    with pytest.raises(SnapshotError, match=f"cannot read .*{name}"):
        restored(folder, tmp_path / "home")


# ---- Who vouches for the tip


def test_a_certificate_of_another_block_kind_or_signer_is_refused(node: LoneNode, source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    manifest, header, network = manifest_of(folder), node.store.header(21), node.network
    assert header is not None
    place = header.epoch, header.view, header.hash()
    stranger = bls.sign((8).to_bytes(32, "big"), vote_message(network.chain_id, FINALIZE, *place))
    forged = certify({0: Vote(FINALIZE, *place, 0, stranger)}, 1)
    wrong = [
        node.store.certificate(20),
        certificate_of(network, NOTARIZE, *place).encode(),
        forged.encode(),
        replace(forged, bitmap=b"\x00").encode(),
        b"",
    ]
    for certificate in wrong:
        rewrite(folder, replace(manifest, certificate=certificate))
        with pytest.raises(SnapshotError, match="the manifest is damaged or forged"):
            open_source(folder)


def test_a_state_of_ones_own_making_is_refused_since_no_validator_has_signed_it(source: Path, tmp_path: Path) -> None:
    """The forger certifies his own header: his set is not the one that the genesis leads to."""
    folder = copied(source, tmp_path / "bad")
    manifest = manifest_of(folder)
    rewrite(folder, replace(manifest, header=replace(manifest.header, state_root=named("mine"))))
    with pytest.raises(SnapshotError, match="certificate is about something else"):
        open_source(folder)


def test_epochs_must_lead_from_the_genesis_to_the_tip_without_a_gap(source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    manifest = manifest_of(folder)
    ends = Epochs.decode((folder / "epochs").read_bytes()).ends
    stranger = Validator(bls.public_key((8).to_bytes(32, "big")), 1)
    for wrong in (
        ends[1:],
        ends[:-1],
        (*ends, ends[-1]),
        (*ends[:2], *ends[3:]),
        (*ends[:-1], replace(ends[-1], following=(stranger,))),
        (*ends[:-1], replace(ends[-1], certificate=ends[0].certificate)),
    ):
        data = Epochs(wrong).encode()
        (folder / "epochs").write_bytes(data)
        rewrite(folder, replace(manifest, epochs_root=snapshot.file_root(data)))
        with pytest.raises(SnapshotError, match="the manifest is damaged or forged"):
            open_source(folder)


def forgetful(node: LoneNode, folder: Path) -> LoneNode:
    """The node as it will be when the ends of its first three epochs are out of reach."""
    copy = node.copied(folder)
    for height in (4, 8, 12):
        copy.database.write({b"b" + number(height): None})
    return copy


def test_where_the_first_sets_are_forgotten_the_tip_must_be_trusted(node: LoneNode, tmp_path: Path) -> None:
    folder = made(forgetful(node, tmp_path / "copy"), tmp_path / "source")
    assert manifest_of(folder).first_epoch == 3
    tip = node.view.tip.hash
    with pytest.raises(SnapshotError, match=r"from epoch 3 on only.*hash of block 21 and give it with --trust"):
        open_source(folder)
    with pytest.raises(SnapshotError, match="not the one that you trust"):
        open_source(folder, named("other"))
    assert told("verify", home=restored(folder, tmp_path / "home", tip))["ok"]


def test_a_trusted_hash_is_compared_even_where_the_genesis_vouches(node: LoneNode, source: Path) -> None:
    open_source(source, node.view.tip.hash)
    with pytest.raises(SnapshotError, match="not the one that you trust"):
        open_source(source, named("other"))


def test_a_model_that_is_not_the_ledgers_is_refused(node: LoneNode, source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    (folder / "model.safetensors").write_bytes(node.outcomes.models.path(7).read_bytes())
    with pytest.raises(SnapshotError, match="is damaged: its bytes"):
        restored(folder, tmp_path / "home")
    root = snapshot.root_of_file(folder / "model.safetensors")
    rewrite(folder, replace(manifest_of(folder), model_root=root))
    with pytest.raises(SnapshotError, match="is another model than the ledger's"):
        restored(folder, tmp_path / "other-home")


# ---- Interrupted

KILLED_AT = """
import os, signal, sys
from pathlib import Path
from node.snapshot_restore import Restoration, open_source

def progress(done, total):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

Restoration(open_source(Path(sys.argv[1])), Path(sys.argv[2])).run(progress)
"""


def killed(source: Path, target: Path, chunks: int) -> None:
    """A restore in a process of its own that is killed when this many chunks are there."""
    ended = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(source), str(target), str(chunks)], check=False, cwd=ROOT
    )
    assert ended.returncode == -signal.SIGKILL


def test_a_killed_restore_goes_on_where_it_was(node: LoneNode, source: Path, tmp_path: Path) -> None:
    home, total = tmp_path / "home", len(manifest_of(source).chunks)
    for chunks in (1, 2, total):
        killed(source, home, chunks)
        assert not home.exists()
    found = told("restore", str(source), home=home)
    assert (found["chunks_before"], found["chunks"]) == (total, total)
    with Opened(home) as database:
        assert dict(database.items(b"s")) == dict(node.database.items(b"s"))
        assert dict(database.items(b"t")) == dict(node.database.items(b"t"))
    assert told("verify", home=home)["ok"]


def failing_at(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(step, fail)


STEPS = [
    "node.ledger_restore.check_chunk",
    "node.snapshot_restore.ModelStore.save",
    "node.snapshot_restore.sync_folder",
    "node.snapshot_restore.write_atomically",
]


@pytest.mark.parametrize("step", STEPS)
def test_whatever_step_a_restore_ends_at_the_next_run_finishes_it(
    source: Path, tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        failing_at(step, patch)
        with pytest.raises(KeyboardInterrupt):
            restored(source, tmp_path / "home")
    if not (tmp_path / "home").exists():
        restored(source, tmp_path / "home")
    assert told("verify", home=tmp_path / "home")["ok"]


def test_after_a_bad_chunk_the_next_run_takes_up_with_that_one(source: Path, tmp_path: Path) -> None:
    folder = copied(source, tmp_path / "bad")
    good = (folder / "chunk-00002").read_bytes()
    flip(folder / "chunk-00002", 1)
    with pytest.raises(SnapshotError):
        restored(folder, tmp_path / "home")
    (folder / "chunk-00002").write_bytes(good)
    restoration = Restoration(open_source(folder), tmp_path / "home")
    restoration.run()
    assert restoration.chunks_before == 2


def test_another_snapshot_does_not_go_on_with_what_the_first_one_began(
    node: LoneNode, source: Path, tmp_path: Path
) -> None:
    killed(source, tmp_path / "home", 1)
    other = made(with_rounds(tmp_path / "other", 1), tmp_path / "other-source")
    with pytest.raises(NodeError, match="left of something else than this snapshot"):
        restored(other, tmp_path / "home")
    assert told("verify", home=restored(source, tmp_path / "home"))["ok"]


# ---- Where it goes


def test_nothing_is_ever_restored_over_something(source: Path, tmp_path: Path) -> None:
    home = restored(source, tmp_path / "home")
    with pytest.raises(NodeError, match="is not empty"):
        restored(source, home)
    (tmp_path / "empty").mkdir()
    restored(source, tmp_path / "empty")
    (tmp_path / "foreign.partial").mkdir()
    (tmp_path / "foreign.partial" / "letter.txt").write_text("mine")
    with pytest.raises(NodeError, match=r"letter\.txt"):
        restored(source, tmp_path / "foreign")


@pytest.mark.parametrize("name", ["manifest", "chunk-00001", "model.safetensors"])
def test_a_pipe_or_a_device_in_place_of_a_file_is_refused_and_never_read(
    source: Path, tmp_path: Path, name: str
) -> None:
    copy = copied(source, tmp_path / "copy")
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(SnapshotError, match=f"{name} is not a file"):
        restored(copy, tmp_path / "home")
    (copy / name).unlink()
    (copy / name).symlink_to("/dev/zero")
    with pytest.raises(SnapshotError, match=f"{name} is not a file"):
        restored(copy, tmp_path / "home")


# ---- The commands


def test_the_commands_make_and_restore_and_say_what_they_did(node: LoneNode, tmp_path: Path) -> None:
    home = stopped_home(node, tmp_path / "home")
    found = told("snapshot", str(tmp_path / "source"), home=home)
    assert (found["height"], found["block_hash"]) == (21, node.view.tip.hash.hex())
    assert found["records"] == len(list(node.database.items(b"s"))) and found["first_epoch"] == 0
    assert "is not empty" in refused("snapshot", str(tmp_path / "source"), home=home)
    result = run("restore", str(tmp_path / "source"), "--trust", found["block_hash"], home=tmp_path / "new")
    assert result.exit_code == 0 and result.stdout.startswith("Restored height 21")
    assert "knows no votes" in result.stdout
    assert told("verify", home=tmp_path / "new")["state_root"] == found["state_root"]


@pytest.mark.parametrize("trust", ["", "00", "x" * 64, "0" * 63])
def test_a_trusted_hash_that_is_none_is_refused(source: Path, tmp_path: Path, trust: str) -> None:
    assert "64 hexadecimal digits" in refused("restore", str(source), "--trust", trust, home=tmp_path / "new")


def test_a_folder_that_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    assert "name the folder of a whole snapshot" in refused("restore", str(tmp_path), home=tmp_path / "new")
    for name in ("manifest", "network", "epochs"):
        (tmp_path / name).write_bytes(b"something else")
    assert "is no manifest of a snapshot" in refused("restore", str(tmp_path), home=tmp_path / "new")
    assert not (tmp_path / "new").exists()
