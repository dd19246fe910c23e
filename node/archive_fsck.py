"""fsck: the indexes made again from the blocks, and in words whatever cannot be repaired. Start reading at `Fsck.run`.

An index only helps to find things: blocks, transactions, addresses, ends of rounds, what wallets earned, and the nodes
of the state's tree.
Blocks, certificates and state are the ledger itself: what is lost of them has to come from somewhere else.
"""

from dataclasses import dataclass

from chain.block import Block, Header
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import Network
from chain.range_proof import leaf_of
from chain.tree import LEAF, Leaf, Update
from node.archive import Replay
from node.archive_stored import (
    NAMES,
    ArchiveDiffers,
    Progress,
    by_prefix,
    check_beginning,
    differences,
    silent,
    tip_of,
)
from node.archive_wallets import WalletCheck
from node.errors import NodeError
from node.key_value import KeyValue
from node.receipt_index import PREFIXES, ReceiptIndex, Sums, nodes_of_state
from node.store import PRUNED, RECEIPTS, body_entries, header_heights, index_entries, number

BATCH_RECORDS = 4_096
ADVICE = (
    "restore the whole data directory from a backup, or a snapshot of another node with `neuroshard archive restore`"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be. `repaired` False in a dry run, and where `sentence` says what to do."""

    part: str
    count: int
    repairable: bool
    repaired: bool
    sentence: str


class Fsck:
    """One pass over a stored ledger, with state and indexes in memory."""

    def __init__(self, database: KeyValue, network: Network, dry_run: bool) -> None:
        self.database = database
        self.network = network
        self.dry_run = dry_run
        self.tip = tip_of(database)
        self.pruned = int.from_bytes(database.get(PRUNED) or b"", "big")
        self.findings: list[Finding] = []
        self.indexes: dict[bytes, dict[bytes, bytes]] = {b"h": {}, b"x": {}, b"i": {}}
        self._missing: list[int] = []

    def run(self, progress: Progress = silent) -> list[Finding]:
        """Look at everything, and repair what can be. Raises NodeError if the ledger's beginning is lost."""
        try:
            check_beginning(self.database, self.network)
        except ArchiveDiffers as error:
            raise NodeError(f"{error}: this cannot be repaired; {ADVICE}") from error
        tip = self._blocks(progress)
        self._state(tip)
        for prefix, expected in self.indexes.items():
            if self._missing:
                # What finds a block that is lost may be right: it stays until the block is back.
                self._repair(prefix, self._with_kept(prefix, expected))
            else:
                self._repair(prefix, expected)
        self._executed(tip, progress)
        return self.findings

    # ---- Blocks: read, never repaired

    def _blocks(self, progress: Progress) -> Header | None:
        """Take the indexes down from the blocks; the tip's header, if it is there."""
        before: Header | None = None
        for height in header_heights(self.database, self.tip, self.network.params.epoch_blocks):
            header = self._block(height)
            if header is None:
                self._missing.append(height)
            elif before is not None and before.height == height - 1 and header.parent_hash != before.hash():
                self._name("blocks", f"block {height} does not stand on block {height - 1}: {ADVICE}")
            before = header
            progress(height, self.tip)
        if self._missing:
            listed = ", ".join(map(str, self._missing[:10])) + (", …" if len(self._missing) > 10 else "")
            self._name("blocks", f"missing or damaged: block {listed}: {ADVICE}", len(self._missing))
        return before if before is not None and before.height == self.tip else None

    def _block(self, height: int) -> Header | None:
        body, head = (self.database.get(prefix + number(height)) for prefix in (b"b", b"e"))
        if self.database.get(b"f" + number(height)) is None:
            self._name("certificates", f"block {height} lacks its certificate: {ADVICE}")
        try:
            if body is not None:
                block = Block.decode(body)
                header = block.header
            elif head is not None and height <= self.pruned:
                block, header = None, Header.decode(head)
            else:
                return None
        except NeuroError:
            return None
        if header.height != height or header.chain_id != self.network.chain_id:
            return None
        self.indexes[b"h"][header.hash()] = number(height)
        for key, value in body_entries(block, self.network).items() if block is not None else ():
            self.indexes[key[:1]][key[1:]] = value
        return header

    # ---- State: its tree can be made again, the records cannot

    def _state(self, tip: Header | None) -> None:
        flat = {key[1:]: value for key, value in self.database.items(b"s")}
        tree = Update(lambda _: None)
        root = tree.apply(ZERO, flat)
        if tip is None and self.tip:
            self._name("state", f"not checked: the header of block {self.tip} that names its root is lost; {ADVICE}")
        elif tip is not None and root != tip.state_root:
            wrong = self._unlike_tree(flat)
            first = f", first {wrong[0].hex()[:40]}" if wrong else ""
            words = (
                f"its root is {root.hex()[:16]}, the header of block {self.tip} names {tip.state_root.hex()[:16]}; "
                f"{len(wrong)} records differ from the tree{first}: {ADVICE}"
            )
            self._name("state", words, max(1, len(wrong)))
        else:
            self._repair(b"t", tree.fresh)
            nodes = nodes_of_state((b"s" + key, value) for key, value in flat.items() if key[:1] == b"n")
            self._repair(b"n", by_prefix(nodes, (b"n",))[b"n"])

    def _unlike_tree(self, flat: dict[bytes, bytes]) -> list[bytes]:
        """The state keys whose value the stored tree does not hold; ascending."""
        leaves = {Leaf(record[1:33], record[33:65]) for _, record in self.database.items(b"t") if record[:1] == LEAF}
        return sorted(key for key, value in flat.items() if leaf_of(key, value) not in leaves)

    # ---- Ends of rounds, and receipts by wallet: only execution knows them

    def _executed(self, tip: Header | None, progress: Progress) -> None:
        if self.pruned:
            self._fits(tip)
            return
        if self._missing:
            self._name(
                "round index", "not checked, nor are receipts of wallets: that needs every block from the first on"
            )
            return
        rounds: dict[bytes, bytes] = {}
        receipts = ReceiptIndex(lambda wallet, day: Sums())
        replay = Replay(self.database, self.network, None, every_certificate=False)
        replay.hear += [receipts.add, lambda applied: rounds.update(_ends(index_entries(applied, self.network)))]
        try:
            replay.follow(self.tip, progress)
        except ArchiveDiffers as error:
            self._name("blocks", f"{error}: {ADVICE}")
            return
        self._repair(b"o", rounds)
        for prefix, expected in by_prefix(receipts.fresh, PREFIXES).items():
            self._repair(prefix, expected)
        if self.database.get(RECEIPTS) is not None and not self.dry_run:
            self.database.write({RECEIPTS: None})  # The index begins at the genesis now.

    def _fits(self, tip: Header | None) -> None:
        """Nothing can be executed: what is there stays, and is only compared with itself."""
        if tip is None:
            return
        try:
            WalletCheck(self.database, self.network, tip).run()
        except ArchiveDiffers as error:
            self._name("receipt index", f"{error}: {ADVICE}")

    # ---- Findings

    def _with_kept(self, prefix: bytes, expected: dict[bytes, bytes]) -> dict[bytes, bytes]:
        found = {key[1:]: value for key, value in self.database.items(prefix)}
        lost = {number(height) for height in self._missing}
        place = slice(21, 29)  # of the height in an entry of the address index
        kept = {k: v for k, v in found.items() if (k[place] if prefix == b"i" else v) in lost}
        return {**kept, **expected}

    def _repair(self, prefix: bytes, expected: dict[bytes, bytes]) -> None:
        wrong = differences(self.database, prefix, expected)
        if not wrong:
            return
        if not self.dry_run:
            for start in range(0, len(wrong), BATCH_RECORDS):
                batch = wrong[start : start + BATCH_RECORDS]
                self.database.write({prefix + key: expected.get(key) for key in batch})
        words = "can be made again: run fsck without --dry-run" if self.dry_run else "made again from what it indexes"
        self.findings.append(Finding(NAMES[prefix], len(wrong), True, not self.dry_run, words))

    def _name(self, part: str, sentence: str, count: int = 1) -> None:
        self.findings.append(Finding(part, count, False, False, sentence))


def _ends(entries: dict[bytes, bytes | None]) -> dict[bytes, bytes]:
    return {key[1:]: value or b"" for key, value in entries.items() if key[:1] == b"o"}
