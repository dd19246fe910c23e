"""Replay: everything the ledger claims, computed again from the genesis. Start reading at `Replay.run`.

What is stored is only compared, never believed: certificates, state roots, supply, the flat state, tree and indexes,
and the model of every round from the payloads. The first difference ends it, with its height and what differs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from chain.block import Block, Header
from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import Network, genesis_state
from chain.receipts import RoundClosed, RoundVoid
from chain.rounds import counted
from chain.stakes import Stake, Unbonding
from chain.state import Account, State, Vesting, set_key
from chain.transition import Applied, apply_block, genesis_parent
from chain.tree import Update
from consensus.certificate import verify_certificate
from consensus.messages import Certificate
from node.certificates import check_finalization, check_parent_certificate, check_proposer, committee_of
from node.errors import NodeError, StoreError
from node.key_value import KeyValue
from node.model_store import check_outcome, step_from_payloads
from node.payload_store import PayloadStore
from node.store import CHAIN, GENESIS_ROOT, SCHEMA, SCHEMA_KEY, TIP, index_entries, kept_key, number
from node.template import Learning
from training.errors import TrainingError

# Views that may pass without a block: twelve days of views given up at one a second.
VIEWS_MAXIMUM = 1 << 20

Progress = Callable[[int, int], None]


class ArchiveDiffers(NodeError):
    """What is stored is not what the rules give."""


@dataclass(slots=True)
class Counts:
    blocks: int = 0
    certificates: int = 0
    transactions: int = 0
    proofs: int = 0
    rounds_closed: int = 0
    rounds_void: int = 0
    payloads: int = 0
    minted_nanos: int = 0
    burned_nanos: int = 0
    state_root: str = ""
    outer_root: str = ""


class Replay:
    """One pass over a stored ledger, with all state in memory."""

    def __init__(self, database: KeyValue, network: Network, payloads: PayloadStore) -> None:
        self.database = database
        self.network = network
        self.payloads = payloads
        self.learning = Learning.of(network)
        self.model = self.learning.born()
        self.model_round = 0  # the round that led to it
        self.flat: dict[bytes, bytes] = {}
        self.nodes: dict[bytes, bytes] = {}
        self.indexes: dict[bytes, bytes] = {}
        self.counts = Counts()

    def run(self, progress: Progress = lambda done, total: None) -> Counts:
        """Verify everything up to the tip. Raises ArchiveDiffers."""
        if self.database.get(CHAIN) != self.network.chain_id:
            raise ArchiveDiffers("the ledger and the network file belong to different chains")
        tip = int.from_bytes(self.database.get(TIP) or b"", "big")
        self._begin()
        covered = 0  # the highest block that a finalization certificate makes final
        for height in range(1, tip + 1):
            try:
                covered = self._verify_block(height, covered)
            except (NeuroError, TrainingError) as error:
                raise ArchiveDiffers(f"height {height} differs: {error}") from error
            progress(height, tip)
        if covered != tip:
            raise ArchiveDiffers(f"height {tip} differs: no finalization certificate covers it")
        self._compare_stored(tip)
        self._check_kept(tip)
        self._recount()
        return self.counts

    def _begin(self) -> None:
        state = genesis_state(self.network)
        tree = Update(lambda _: None)
        root = tree.apply(ZERO, state.changes)
        self._keep(state, tree)
        if (self.database.get(GENESIS_ROOT), self.database.get(SCHEMA_KEY)) != (root, SCHEMA):
            raise ArchiveDiffers("height 0 differs: the ledger was begun with another state or schema")
        self.parent = genesis_parent(self.network, root)
        self.parent_header: Header | None = None
        if self.learning.outcome(ZERO, self.model) != self.network.start:
            raise ArchiveDiffers("height 0 differs: the model born from the seed has other roots than the genesis")

    def _verify_block(self, height: int, covered: int) -> int:
        data, certificate = self.database.get(b"b" + number(height)), self.database.get(b"f" + number(height))
        if data is None or certificate is None:
            raise StoreError("the block or its certificate is missing")
        block = Block.decode(data)
        state = State(self.flat.get)
        self._check_certificates(block, certificate, state)
        applied = apply_block(state, self.parent, block, self.network, self.nodes.get)
        self._keep(applied.state, applied.tree)
        self._follow_rounds(applied)
        self.indexes |= {key: value or b"" for key, value in index_entries(applied, self.network).items()}
        self.parent, self.parent_header = applied.parent, block.header
        self._count(block)
        return height if certificate else covered

    def _check_certificates(self, block: Block, certificate: bytes, state: State) -> None:
        header, chain_id = block.header, self.network.chain_id
        committee = committee_of(state, header.epoch) if self._has_set(header) else None
        if committee is None:
            raise StoreError(f"the block names epoch {header.epoch} and view {header.view}, which cannot be")
        if certificate:
            check_finalization(header, certificate, committee, chain_id)
            self.counts.certificates += 1
        check_proposer(header, committee)
        parent = self.parent_header
        before = committee if parent is None or parent.epoch == header.epoch else committee_of(state, parent.epoch)
        check_parent_certificate(block, parent, before, chain_id)

    def _has_set(self, header: Header) -> bool:
        expected = (header.height - 1) // self.network.params.epoch_blocks
        # Finding a view's leader takes time proportional to the view: a made-up one must not take hours.
        return header.epoch == expected and header.view <= self.parent.view + VIEWS_MAXIMUM

    def _keep(self, state: State, tree: Update) -> None:
        for digest in tree.stale:
            del self.nodes[digest]
        self.nodes.update(tree.fresh)
        for key, value in state.changes.items():
            if value is None:
                self.flat.pop(key, None)
            else:
                self.flat[key] = value

    def _follow_rounds(self, applied: Applied) -> None:
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed):
                current = applied.state.round(receipt.round)
                assert current is not None
                chosen = [payload.payload_root for payload in counted(applied.state, current)]
                self.model = step_from_payloads(self.model, chosen, self.payloads, self.learning)
                self.model_round = receipt.round
                check_outcome(
                    self.learning.outcome(receipt.outcome.counted_root, self.model), receipt.outcome, receipt.round
                )
                self.counts.rounds_closed += 1
                self.counts.payloads += len(chosen)
            elif isinstance(receipt, RoundVoid):
                self.counts.rounds_void += 1

    def _count(self, block: Block) -> None:
        counts, header = self.counts, block.header
        counts.blocks += 1
        counts.transactions += len(block.body.transactions)
        counts.proofs += len(block.body.proofs)
        counts.minted_nanos, counts.burned_nanos = header.minted, header.burned
        counts.state_root = header.state_root.hex()
        counts.outer_root = State(self.flat.get).ledger.model.outer_root.hex()

    def _compare_stored(self, tip: int) -> None:
        """The flat state, the tree and the indexes on disk are exactly what the blocks give."""
        wanted = {b"s": self.flat, b"t": self.nodes}
        wanted |= {p: {k[1:]: v for k, v in self.indexes.items() if k[:1] == p} for p in (b"h", b"x", b"i", b"o")}
        names = {
            b"s": "state",
            b"t": "tree",
            b"h": "block index",
            b"x": "transaction index",
            b"i": "address index",
            b"o": "round index",
        }
        for prefix, name in ((b"b", "block"), (b"f", "certificate")):
            beyond = sum(int.from_bytes(key[1:], "big") > tip for key, _ in self.database.items(prefix))
            if beyond:
                raise ArchiveDiffers(f"after height {tip} there are {beyond} {name} records more")
        for prefix, expected in wanted.items():
            found = {key[1:]: value for key, value in self.database.items(prefix)}
            wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
            if wrong:
                raise ArchiveDiffers(
                    f"after height {tip} the stored {names[prefix]} differs in {len(wrong)} records, "
                    f"first {wrong[0].hex()[:40]}"
                )

    def _check_kept(self, tip: int) -> None:
        """Certificates of views that are not final yet: the next block will carry the tip's notarization."""
        state = State(self.flat.get)
        for key, data in self.database.items(b"k"):
            try:
                certificate = Certificate.decode(data)
                if key != kept_key(certificate) or state.get(set_key(certificate.epoch)) is None:
                    raise StoreError("it lies in another's place")
                verify_certificate(certificate, committee_of(state, certificate.epoch), self.network.chain_id)
            except NeuroError as error:
                raise ArchiveDiffers(f"after height {tip} a kept certificate differs: {error}") from error

    def _recount(self) -> None:
        """Add up every pot by itself: the totals of the supply record are only sums that somebody kept."""
        supply = State(self.flat.get).supply
        found = {"balances": 0, "vesting": 0, "bonded": 0, "unbonding": 0}
        for key, value in self.flat.items():
            match key[:1]:
                case b"a":
                    found["balances"] += Account.decode(value).balance
                case b"v":
                    found["vesting"] += Vesting.decode(value).amount
                case b"b":
                    found["bonded"] += Stake.decode(value).bonded
                case b"u":
                    found["unbonding"] += Unbonding.decode(value).amount
        told = {kind: getattr(supply, kind) for kind in found}
        if found != told or supply.circulating != sum(found.values()):
            raise ArchiveDiffers(f"{supply.circulating} nanos exist, {told} are told, {found} are owned")
