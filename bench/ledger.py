"""What the ledger can do: applying and replaying blocks, proofs of state, disk and memory, and py-evm beside it.

make bench && .venv/bin/python -m bench ledger [--record docs/results/ledger.json] [--only apply replay …]

Rates are per second of processor time of one process, so that other programs on the machine count little; each is the
best of `--repeats` passes over the same blocks, which are decoded from their bytes each time.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import ledger_disk, ledger_evm, ledger_proofs
from bench.figure import report
from bench.ledger_chain import Ledger, Wallets, finalization, next_block, payments, the_network
from bench.ledger_meter import metered
from chain.block import Block, Header
from chain.crypto import ecdsa
from chain.transactions import Transaction
from chain.transition import Applied, apply_block
from consensus.certificate import verify_certificate
from consensus.messages import Certificate
from node.certificates import check_finalization, check_parent_certificate, check_proposer, committee_of
from node.key_value import open_key_value
from node.store import GENESIS_ROOT, Store

SECTIONS = ("apply", "replay", "proofs", "disk", "archive")
PER_BLOCK = 1000


class Figures:
    """What was measured, printed at once and kept for the record."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, name: str, value: float, unit: str, reference: float | None = None, note: str = "") -> None:
        report(name, value, unit, reference, note)
        limit = None if reference is None else float(f"{reference:.6g}")
        self.found[name] = {"value": float(f"{value:.6g}"), "unit": unit, "reference": limit, "note": note}


def best(passes: int, once: Callable[[], float]) -> float:
    """The least seconds of some passes."""
    return min(once() for _ in range(passes))


# ---- Applying


def apply_all(start: Ledger, blocks: Sequence[bytes]) -> float:
    """Seconds of processor time to decode, judge with all checks and keep blocks."""
    ledger = start.copy()
    begun = time.process_time()
    for data in blocks:
        ledger.keep(judged(ledger, Block.decode(data)))
    return time.process_time() - begun


def judged(ledger: Ledger, block: Block, reveal_checked: bool = False) -> Applied:
    return apply_block(ledger.state, ledger.parent, block, ledger.network, ledger.nodes.get, reveal_checked)


def verifications_per_s(transactions: Sequence[Transaction], chain_id: bytes, passes: int) -> float:
    """How many signatures the library behind the ledger checks in a second, with nothing around it."""
    wanted = [(each.sender, each.id(chain_id), each.signature) for each in transactions]

    def once() -> float:
        begun = time.process_time()
        for key, digest, signature in wanted:
            if not ecdsa.verify(key, digest, signature):
                raise SystemExit("a good signature was refused")
        return time.process_time() - begun

    return len(wanted) / best(passes, once)


def measure_apply(accounts: int, blocks: int, passes: int, figures: Figures) -> None:
    network = the_network()
    wallets, start = Wallets(network, accounts), Ledger(network)
    start.fund(wallets.addresses)
    maker, encoded = start.copy(), []
    for i in range(blocks):
        encoded.append(next_block(maker, wallets.transfers(i * PER_BLOCK, PER_BLOCK)).block.encode())
    number = blocks * PER_BLOCK
    # Both, and the rival, in turn: whatever else the machine does then meets them alike.
    spent, limit = float("inf"), 0.0
    transactions = [each for data in encoded for each in Block.decode(data).body.transactions]
    for _ in range(passes):
        spent = min(spent, apply_all(start, encoded))
        limit = max(limit, verifications_per_s(transactions, network.chain_id, 1))
    note = f"{blocks} blocks of {PER_BLOCK} transfers between {accounts} accounts; reference: signatures checked alone"
    figures.add("apply_signed_transfers_per_s_core", number / spent, "transfers/s", limit, note)
    figures.add("signature_verifications_per_s", limit, "1/s", None, f"{ecdsa.back_end()}, the limit of the above")
    measure_evm(accounts, number / spent, figures)
    measure_shares(start, encoded, figures)


def measure_evm(accounts: int, ours: float, figures: Figures) -> None:
    if not ledger_evm.is_installed():
        print(ledger_evm.MISSING, file=sys.stderr)
        return
    plan = [payments(accounts, i * PER_BLOCK, PER_BLOCK) for i in range(2)]
    theirs, library = ledger_evm.transfers_per_s(plan, accounts)
    figures.add(
        "py_evm_transfers_per_s_core", theirs, "transfers/s", ours, f"{library}; reference: ours, same payments"
    )


def measure_shares(start: Ledger, encoded: Sequence[bytes], figures: Figures) -> None:
    """Where the time goes when every block is also written to LevelDB, synced."""
    with tempfile.TemporaryDirectory(prefix="neuroshard-ledger-") as folder:
        store = Store(open_key_value(Path(folder)), start.network)
        changes = {b"s" + key: value for key, value in start.records.items()}
        changes |= {b"t" + key: value for key, value in start.nodes.items()}
        store.database.write(changes | {GENESIS_ROOT: start.parent.state_root})
        parent, waited = start.parent, 0.0
        with metered() as spent:
            begun = time.process_time()
            for data in encoded:
                applied = apply_block(store.state(), parent, Block.decode(data), start.network, store.node)
                clock, processor = time.perf_counter(), time.process_time()
                store.append(applied, finalization(applied.state, start.network, applied.parent))
                waited += time.perf_counter() - clock - (time.process_time() - processor)
                parent = applied.parent
            total = time.process_time() - begun
        store.close()
    number = len(encoded) * PER_BLOCK
    note = f"decoded, judged on {store.database.name} and appended; without {1000 * waited / len(encoded):.0f} ms of "
    figures.add(
        "apply_and_store_transfers_per_s_core",
        number / total,
        "transfers/s",
        None,
        note + "waiting for the disk a block",
    )
    for part, seconds in [*spent.items(), ("rest", total - sum(spent.values()))]:
        figures.add(f"share_{part}", 100 * seconds / total, "%", None, f"{1e6 * seconds / number:.1f} µs a transfer")


# ---- Replaying


class Replayed:
    """A chain's blocks and finalizations as an archive keeps them, and the ledger that they start from."""

    def __init__(self, start: Ledger, bodies: Sequence[Sequence[Transaction]]) -> None:
        self.start, self.blocks, self.certificates = start, [], []
        maker = start.copy()
        for transactions in bodies:
            applied = next_block(maker, transactions)
            self.blocks.append(applied.block.encode())
            self.certificates.append(finalization(maker.state, maker.network, maker.parent).encode())

    def once(self) -> float:
        """Seconds of a replay that checks one certificate an epoch: it covers the blocks before it."""
        ledger, epoch_blocks = self.start.copy(), self.start.network.params.epoch_blocks
        begun = time.process_time()
        for data, encoded in zip(self.blocks, self.certificates, strict=True):
            block = Block.decode(data)
            if block.header.height % epoch_blocks == 0:
                committee = committee_of(ledger.state, block.header.epoch)
                certificate = Certificate.decode(encoded)
                if certificate.block_hash != block.header.hash():
                    raise SystemExit("a certificate of another block")
                verify_certificate(certificate, committee, ledger.network.chain_id)
            ledger.keep(judged(ledger, block, True))
        return time.process_time() - begun

    def strictly(self) -> float:
        """Seconds of a replay that checks every reveal, both certificates of a block, and the proposers."""
        ledger, chain_id = self.start.copy(), self.start.network.chain_id
        parent: Header | None = None
        begun = time.process_time()
        for data, encoded in zip(self.blocks, self.certificates, strict=True):
            block, state = Block.decode(data), ledger.state
            committee = committee_of(state, block.header.epoch)
            before = committee if parent is None else committee_of(state, parent.epoch)
            check_proposer(block.header, committee)
            check_finalization(block.header, encoded, committee, chain_id)
            check_parent_certificate(block, parent, before, chain_id)
            ledger.keep(judged(ledger, block))
            parent = block.header
        return time.process_time() - begun


def measure_replay(validators: int, empty: int, full: int, passes: int, figures: Figures) -> None:
    network = the_network()
    for number in (0, validators - 1):
        chain = Replayed(Ledger(network, number), [()] * empty)
        words = "1 validator" if not number else f"{number + 1} validators"
        name = "replay_empty_blocks_per_s" + (f"_{number + 1}_validators" if number else "")
        note = f"{empty} blocks, {words}, a certificate checked every {network.params.epoch_blocks} blocks"
        figures.add(name, empty / best(passes, chain.once), "blocks/s", 3000, note + "; reference: the goal")
        note = f"{words}, every reveal and both certificates of each block checked: three pairing checks a block"
        figures.add(name + "_all_checked", empty / chain.strictly(), "blocks/s", None, note)
    wallets, start = Wallets(network, 10_000), Ledger(network)
    start.fund(wallets.addresses)
    chain = Replayed(start, [wallets.transfers(100 * i, 100) for i in range(full)])
    note = f"{full} blocks of 100 transfers, 10,000 accounts; reference: the goal"
    figures.add("replay_100tx_blocks_per_s", full / best(passes, chain.once), "blocks/s", 60, note)


# ---- Proofs of state


def measure_proofs(accounts: int, samples: int, passes: int, figures: Figures) -> None:
    network = the_network()
    wallets, start = Wallets(network, 10_000), Ledger(network)
    start.fund(wallets.addresses)
    begun = time.process_time()
    start.fund(ledger_proofs.many_addresses(accounts - 10_000))
    spent = time.process_time() - begun
    figures.add("tree_leaves_built_per_s", (accounts - 10_000) / spent, "1/s", None, "one batch of new accounts")
    ledger_proofs.measure(start, accounts - 10_000, samples, figures.add)
    maker, encoded = start.copy(), []
    for i in range(3):
        encoded.append(next_block(maker, wallets.transfers(i * PER_BLOCK, PER_BLOCK)).block.encode())
    del maker
    spent = best(passes, lambda: apply_all(start, encoded))
    note = f"as apply_signed_transfers_per_s_core, in a state of {accounts} accounts"
    figures.add("apply_signed_transfers_per_s_core_1m", len(encoded) * PER_BLOCK / spent, "transfers/s", None, note)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench ledger")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--accounts", type=int, default=1_000_000, help="in the tree whose proofs are measured")
    parser.add_argument("--archive-blocks", type=int, default=100_000)
    parser.add_argument("--archive-dir", type=Path, help="keep the archive there; a later run goes on with it")
    parser.add_argument("--record", type=Path, help="write all figures there; those not measured now are kept")
    options = parser.parse_args(arguments)
    figures = Figures()
    sections: dict[str, Callable[[], None]] = {
        "apply": lambda: measure_apply(10_000, 10, options.repeats, figures),
        "replay": lambda: measure_replay(100, 600, 100, options.repeats, figures),
        "proofs": lambda: measure_proofs(options.accounts, 20_000, options.repeats, figures),
        "disk": lambda: ledger_disk.measure_disk(100, 100, figures.add),
        "archive": lambda: ledger_disk.measure_archive(options.archive_blocks, options.archive_dir, figures.add),
    }
    for section in options.only:
        sections[section]()
        if options.record:
            write(options.record, figures)


def write(path: Path, figures: Figures) -> None:
    before = json.loads(path.read_text())["figures"] if path.exists() else {}
    machine = {"python": platform.python_version(), "machine": platform.machine(), "processor": processor()}
    path.write_text(json.dumps({**machine, "figures": before | figures.found}, indent=1, ensure_ascii=False) + "\n")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
