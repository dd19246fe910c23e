"""The ledger on disk: what a transaction and a proof take, and what an archive of many blocks needs of memory."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench.ledger_chain import Wallets, certify, finalization, funding, propose, secret_of, the_network
from chain.block import TRAINING, WHOLE, Body, Proof
from chain.crypto import ecdsa
from chain.crypto.hashing import ZERO
from chain.crypto.votes import NOTARIZE
from chain.genesis import Network
from chain.state import Claim, NodeRecord, State, claim_key, node_key
from chain.transactions import RegisterNode, Transaction, node_consent, stamp_bits
from chain.transfers import node_id
from chain.tree import Update
from node.key_value import KeyValue, LevelDb, open_key_value
from node.ledger_view import LedgerView
from node.store import GENESIS_ROOT, Store

Add = Callable[..., None]
MIB = 1 << 20
WALLETS = 200  # that pay in an archive
BUSY = 10  # every so many blocks of an archive one has transfers, as many as this


class Unsynced(LevelDb):
    """LevelDB that does not wait for the disk: a hundred thousand blocks would take an hour of waiting."""

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        with self._database.write_batch(transaction=True, sync=False) as batch:
            for key, value in changes.items():
                if value is None:
                    batch.delete(key)
                else:
                    batch.put(key, value)


def fund(store: Store, addresses: Sequence[bytes]) -> None:
    """Give money to addresses in a ledger without blocks, as part of its genesis."""
    changes = funding(store.state(), addresses)
    tree = Update(store.node)
    root = tree.apply(store.database.get(GENESIS_ROOT) or ZERO, changes)
    nodes = dict.fromkeys(tree.stale) | tree.fresh
    batch = {b"t" + digest: record for digest, record in nodes.items()}
    store.database.write(batch | {b"s" + key: value for key, value in changes.items()} | {GENESIS_ROOT: root})


class Archive:
    """A ledger directory, and the way of a node that is its network's only validator."""

    def __init__(self, database: KeyValue, network: Network, wallets: Wallets) -> None:
        self.network = network
        self.store = Store(database, network)
        if not self.store.height and self.store.state().account(wallets.addresses[0]).balance == 0:
            fund(self.store, wallets.addresses)
        self.view = LedgerView(self.store, network)

    def block(self, transactions: Sequence[Transaction] = (), proofs: Sequence[Proof] = ()) -> None:
        """Build, hold, notarize and finalize a block, with every write that a node makes for it."""
        view, network, parent = self.view, self.network, self.view.tip
        state = view.state()
        notarization = view.certificate_of(parent.hash)
        body = Body(tuple(proofs), tuple(transactions), (), notarization.encode() if notarization else b"")
        made = view.build(parent.hash, propose(state, network, parent), body).parent
        view.hold(made.hash)
        view.keep(certify(state, network, made, NOTARIZE))
        view.finalize(made.hash, finalization(state, network, made))

    def state(self) -> State:
        return self.store.state()

    def close(self) -> None:
        self.store.close()


def bytes_on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def grown(bodies: Iterable[Sequence[Transaction]], wallets: Wallets) -> int:
    """Bytes of a ledger whose blocks have these transactions."""
    with tempfile.TemporaryDirectory(prefix="neuroshard-ledger-") as folder:
        archive = Archive(Unsynced(Path(folder)), wallets.network, wallets)
        for transactions in bodies:
            archive.block(transactions)
        return _closed(archive, Path(folder))


def _closed(archive: Archive, folder: Path) -> int:
    """Close a ledger and return its bytes, without what the database would throw away by and by."""
    archive.store.database._database.compact_range()  # type: ignore[attr-defined]
    archive.close()
    return bytes_on_disk(folder)


def measure_disk(blocks: int, per_block: int, add: Add) -> None:
    """Ledgers of equally many blocks with and without content: the difference is what the content takes."""
    network = the_network(stamp_bits=4, registrations_per_block=64, inner_steps=250, segment_steps=10)
    wallets = Wallets(network, WALLETS)
    empty = grown([()] * blocks, wallets)
    full = grown((wallets.transfers(i * per_block, per_block) for i in range(blocks)), wallets)
    each = (full - empty) / (blocks * per_block)
    note = f"LevelDB, compacted: {blocks} blocks of {per_block} transfers between {WALLETS} accounts, less empty ones"
    add("disk_bytes_per_transaction", each, "bytes", 160, note + "; reference: the transfer itself")
    add("disk_bytes_per_empty_block", empty / blocks, "bytes", None, "one validator, three signatures a block")
    with_proofs, number = _with_proofs(network, wallets)
    without, _ = _with_proofs(network, wallets, segments=0)
    note = f"LevelDB, compacted: {number} proofs of 64 nodes in one round, less the same ledger without"
    add("disk_bytes_per_proof", (with_proofs - without) / number, "bytes", 319, note + "; reference: the proof itself")


def _with_proofs(network: Network, wallets: Wallets, nodes: int = 64, segments: int = 25) -> tuple[int, int]:
    """Bytes of a ledger in which so many nodes prove so many segments, and how many proofs that are."""
    with tempfile.TemporaryDirectory(prefix="neuroshard-ledger-") as folder:
        archive = Archive(Unsynced(Path(folder)), network, wallets)
        secrets = [secret_of(10**6 + i) for i in range(nodes)]
        archive.block([_registration(wallets, i, secret) for i, secret in enumerate(secrets)])
        archive.block()
        archive.block()
        for segment in range(25):
            archive.block(proofs=[_proof(archive, s) for s in secrets] if segment < segments else ())
        return _closed(archive, Path(folder)), nodes * segments


def _registration(wallets: Wallets, owner: int, secret: bytes) -> Transaction:
    chain_id, wallet, node = wallets.network.chain_id, wallets.keys[owner], ecdsa.public_key(secret)
    wanted = wallets.network.params.stamp_bits
    stamp = next(s for s in range(1 << 20) if stamp_bits(chain_id, node, wallet, s) >= wanted)
    consent = ecdsa.sign(secret, node_consent(chain_id, node, wallet, False))
    unsigned = Transaction(wallet, 0, 0, 0, RegisterNode(node, False, stamp, consent), bytes(64))
    signature = ecdsa.sign(secret_of(owner), unsigned.id(chain_id))
    return Transaction(wallet, 0, 0, 0, unsigned.action, signature)


def _proof(archive: Archive, secret: bytes) -> Proof:
    """A node's next segment of the running round."""
    state, params = archive.state(), archive.network.params
    node = node_id(ecdsa.public_key(secret))
    record, number = state.need(NodeRecord, node_key(node)), state.ledger.round
    current, claim = state.round(number), state.find(Claim, claim_key(number, node))
    if current is None:
        raise SystemExit("no round is open")
    done, sequences = len(claim.states) if claim else 0, params.segment_steps * params.sequences
    unsigned = Proof(
        node=node,
        wallet=record.wallet,
        kind=TRAINING,
        role=WHOLE,
        first_layer=0,
        last_layer=0xFFFF,
        round=number,
        segment=done,
        base_root=current.base.outer_root,
        data_first=done * sequences,
        data_count=sequences,
        batches=params.segment_steps,
        tokens=params.segment_steps * params.batch_tokens,
        samples=0,
        state_before=claim.states[-1] if claim else current.base.start_state,
        state_after=node_id(secret + done.to_bytes(2, "big")),
        loss_milli=5000,
        time_ms=archive.view.tip.time_ms,
        nonce=record.proofs,
        previous_proof=claim.last_proof if claim else ZERO,
        signature=bytes(64),
    )
    values = {name: getattr(unsigned, name) for name in Proof.__dataclass_fields__}
    return Proof(**values | {"signature": ecdsa.sign(secret, unsigned.id(archive.network.chain_id))})


# ---- The archive, in a process of its own


def measure_archive(blocks: int, folder: Path | None, add: Add) -> None:
    """Memory of a process that holds a ledger of so many blocks. A folder is kept, and a later run goes on in it."""
    with tempfile.TemporaryDirectory(prefix="neuroshard-archive-") as temporary:
        path = folder or Path(temporary)
        found = _child("build", path, blocks)
        read = _child("read", path, blocks)
        size = bytes_on_disk(path)
    note = f"store and view after {found['height']} blocks, {found['transactions']} transfers; reference: the goal"
    add("archive_rss_mib", found["rss_mib"], "MiB", 300, note)
    add("archive_rss_peak_mib", found["peak_mib"], "MiB", 300, "the most while it was built")
    add("archive_rss_read_mib", read["rss_mib"], "MiB", 300, "a fresh process that has read every block once")
    add("archive_disk_mib", size / MIB, "MiB", None, f"{size / found['height']:.0f} bytes a block, not compacted")


def _child(verb: str, path: Path, blocks: int) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.ledger_disk", verb, str(path), str(blocks)]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    answer: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return answer


def build(path: Path, blocks: int) -> Iterator[int]:
    """Go on with the ledger at `path` until it has so many blocks; yields each height."""
    network = the_network()
    wallets = Wallets(network, WALLETS)
    path.mkdir(parents=True, exist_ok=True)
    archive = Archive(Unsynced(path), network, wallets)
    for height in range(archive.store.height + 1, blocks + 1):
        is_busy = height % BUSY == 0
        archive.block(wallets.transfers(height - BUSY, BUSY) if is_busy else ())
        yield height
    archive.close()


def read(path: Path) -> int:
    """Read every block of the ledger at `path`."""
    network = the_network()
    store = Store(open_key_value(path), network)
    LedgerView(store, network)
    found = sum(store.block(height) is not None for height in range(1, store.height + 1))
    store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.ledger_disk")
    parser.add_argument("verb", choices=["build", "read"])
    parser.add_argument("path", type=Path)
    parser.add_argument("blocks", type=int)
    options = parser.parse_args()
    if options.verb == "build":
        for height in build(options.path, options.blocks):
            if height % 10_000 == 0:
                print(f"block {height}", file=sys.stderr, flush=True)
    else:
        read(options.path)
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    memory = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("Vm")}
    answer = {"height": options.blocks, "transactions": options.blocks // BUSY * BUSY}
    answer |= {"rss_mib": memory["VmRSS"], "peak_mib": memory["VmHWM"]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
