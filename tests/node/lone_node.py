"""A node of one in this process: the real ledger, producer, driver and outcomes over a tiny model; training is made up.

Blocks come when `block` is called, without the consensus engine and without waiting.
"""

import asyncio
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from chain.block import state_hash
from chain.crypto import bls
from chain.crypto.hashing import ZERO
from chain.genesis import Network
from chain.transition import Applied, Proposal, epoch_of
from consensus.certificate import certify
from consensus.messages import FINALIZE, NOTARIZE, Certificate, Vote, vote_message
from node.counted import Counted
from node.declarations import Candidacy, Declarations, Registration
from node.identity import Identity, find_stamp
from node.key_value import KeyValue
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.model_store import ModelStore
from node.outcomes import Claimed, Outcomes
from node.payload_store import PayloadStore
from node.producer import Producer
from node.round_driver import RoundDriver
from node.store import Store
from node.template import Learning, create_network, read_template, template_path
from node.trainer_messages import Command, RoundDone, SegmentDone, Train
from training.payload import encode_payload

TINY = {
    "chain.epoch_blocks": 4,
    "chain.inner_steps": 4,
    "chain.segment_steps": 1,
    "chain.sequences": 1,
    "chain.sequence_length": 8,
    "chain.vest_rounds": 1,
    "chain.stamp_bits": 0,
    "chain.block_interval_min_ms": 10,
    "chain.block_interval_ms": 20,
    "chain.block_interval_max_ms": 40,
    "model.vocabulary": 64,
    "model.width": 8,
    "model.layers": 1,
    "model.heads": 1,
    "model.kv_heads": 1,
    "model.ffn_width": 8,
    "model.context": 8,
}
CREATED_MS = 1_700_000_000_000


def named(name: str) -> bytes:
    """32 bytes that depend on the name only."""
    return sha256(name.encode()).digest()


def state_parts(name: str) -> tuple[bytes, bytes, bytes]:
    """Roots of made-up weights and moments."""
    return named(f"theta {name}"), named(f"m {name}"), named(f"v {name}")


def began_with(asked: Sequence[Command]) -> bytes:
    """The averages with which a trainer that has them all begins what it was last asked to train."""
    return next((command.averages_root for command in reversed(asked) if isinstance(command, Train)), ZERO)


IDENTITY = Identity(named("wallet"), named("node"), (7).to_bytes(32, "big"))


def tiny_network(**params: int) -> Network:
    """A network of `IDENTITY` alone. Keyword arguments replace `chain.*` parameters."""
    template = read_template(template_path(), "lab")
    numbers = template["parameters"] | TINY | {f"chain.{name}": value for name, value in params.items()}
    validators = (IDENTITY.bootstrap_validator(),)
    return create_network({**template, "parameters": numbers}, "tiny", CREATED_MS, validators)


class MemoryKeyValue:
    """A dictionary in place of a database: tests can change any byte of it."""

    name = "memory"

    def __init__(self, records: Mapping[bytes, bytes] | None = None) -> None:
        self.records = dict(records or {})

    def get(self, key: bytes) -> bytes | None:
        return self.records.get(key)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self.records.pop(key, None)
            else:
                self.records[key] = value

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        return iter(sorted((key, value) for key, value in self.records.items() if key.startswith(prefix)))

    def close(self) -> None:
        """Nothing to let go of."""


def certificate_of(network: Network, kind: int, epoch: int, view: int, block_hash: bytes) -> Certificate:
    """The certificate that the lone validator makes by itself."""
    message = vote_message(network.chain_id, kind, epoch, view, block_hash)
    return certify({0: Vote(kind, epoch, view, block_hash, 0, bls.sign(IDENTITY.validator_secret, message))}, 1)


@dataclass
class LoneNode:
    """Opened on construction; `reopened` is the same node after a restart."""

    folder: Path
    network: Network = field(default_factory=tiny_network)
    database: KeyValue = field(default_factory=MemoryKeyValue)
    asked: list[Command] = field(default_factory=list)
    validator: bool = False  # the setting of this name
    run: str = ""  # whose work `finish` publishes

    def __post_init__(self) -> None:
        for name in ("payloads", "aggregates", "model"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.learning = Learning.of(self.network)
        self.store = Store(self.database, self.network)
        self.view = LedgerView(self.store, self.network)
        self.payloads = PayloadStore(self.folder / "payloads")
        self.outcomes = Outcomes(ModelStore(self.folder / "model", self.learning), self.payloads)
        self.outcomes.restore(self.store.state())
        self.driver = RoundDriver(self.network, IDENTITY, self.outcomes)
        self.driver.ask = self.asked.append
        self.mempool = Mempool(self.network)
        self.producer = Producer(self.network, self.driver, self.mempool)
        self.declarations = Declarations(IDENTITY, self.network, self.mempool)
        if self.validator:
            self.declarations.candidacy = Candidacy(IDENTITY, self.network)

    def reopened(self) -> "LoneNode":
        return LoneNode(self.folder, self.network, self.database, validator=self.validator)

    def copied(self, folder: Path, database: KeyValue | None = None) -> "LoneNode":
        """The same node on a copy of its files and records; these in `database`, which is empty, or in memory."""
        shutil.copytree(self.folder, folder)
        database = MemoryKeyValue() if database is None else database
        database.write(dict(self.database.items(b"")))
        return LoneNode(folder, self.network, database)

    @property
    def state(self) -> Any:
        return self.store.state()

    @property
    def round(self) -> Any:
        current = self.state.round(self.state.ledger.round)
        assert current is not None
        return current

    def register(self) -> None:
        keys = IDENTITY.node_public_key, IDENTITY.wallet_public_key
        stamp = find_stamp(*keys, self.network.chain_id, self.network.params.stamp_bits)
        self.declarations.registration = Registration(IDENTITY, stamp, self.validator)
        self.declarations.follow(self.state)
        self.block()
        self.block()

    def proposal(self, time_ms: int | None = None) -> Proposal:
        tip = self.view.tip
        epoch = epoch_of(tip.height + 1, self.network.params)
        view = tip.view + 1 if epoch == tip.epoch else 1
        reveal = IDENTITY.beacon_reveal(self.network.chain_id, epoch, view)
        return Proposal(epoch, view, time_ms or tip.time_ms + self.network.params.block_interval_min_ms, 0, reveal)

    def notarization(self, block_hash: bytes) -> bytes:
        found = self.view.certificate_of(block_hash)
        return found.encode() if found else b""

    def build(self, time_ms: int | None = None) -> Applied:
        """A block of what the node has to say, not final yet."""
        tip, chosen = self.view.tip, self.proposal(time_ms)
        body = self.producer.body(self.state, tip, chosen, self.notarization(tip.hash))
        return self.view.build(tip.hash, chosen, body)

    def certify(self, kind: int, applied: Applied) -> Certificate:
        header = applied.block.header
        return certificate_of(self.network, kind, header.epoch, header.view, header.hash())

    def block(self, time_ms: int | None = None) -> Applied:
        """Build a block and make it final."""
        applied = self.build(time_ms)
        self.view.keep(self.certify(NOTARIZE, applied))
        self.view.finalize(applied.block.header.hash(), self.certify(FINALIZE, applied))
        for receipt in applied.receipts:
            if type(receipt).__name__ == "RoundClosed":
                assert self.outcomes.adopt(receipt.outcome)  # type: ignore[union-attr]
        self.mempool.follow(self.state, applied.state.changes)
        self.driver.follow(self.state, self.view.tip.height)
        self.declarations.follow(self.state)
        return applied

    def segment(self, index: int, run: str = "", time_ms: int | None = None) -> SegmentDone:
        """A made-up segment of the newest round; another `run` has done other work."""
        number = self.state.ledger.round
        root, now = state_hash(*state_parts(f"{run} {number} {index}")), time_ms or self.view.tip.time_ms
        return SegmentDone(number, index, root, 9_000 - index, 1 << 20, now, 1, began_with(self.asked))

    def train(self, segments: int = 4, run: str = "") -> None:
        """Segments of the newest round, as if the trainer had reported them."""
        self.run = run
        for index in range(len(self.driver.work.segments), segments):
            self.driver.add_segment(self.segment(index, run))

    def finish(self, size: float = 0.001) -> RoundDone:
        """Publish the payload of what has been trained: steps of `size` in every weight; and look at it."""
        work = self.driver.work
        assert self.outcomes.model is not None
        weights = self.outcomes.model.weights
        change = np.random.default_rng(work.round).normal(0, size, weights.size).astype(np.float32)
        payload = encode_payload(weights, weights + change, self.learning.fragment_sizes)
        parts = state_parts(f"{self.run} {work.round} {len(work.segments) - 1}")
        done = RoundDone(work.round, len(work.segments), self.payloads.put(payload), len(payload), *parts)
        self.driver.add_payload(done)
        path = sum(segment.distance for segment in work.segments)
        asyncio.run(self.outcomes.check(Claimed(done.payload_root, done.payload_bytes, path)))
        asyncio.run(
            self.outcomes.prepare(
                done.round,
                [Counted(self.driver.node, done.payload_root, done.segments * self.network.params.segment_steps)],
            )
        )
        return done

    def close_round(self) -> None:
        """Train and close the newest round, and draw the next."""
        self.train()
        self.finish()
        closed = self.state.ledger.closed_rounds
        self.block()
        assert self.state.ledger.closed_rounds == closed + 1
        self.block()


def with_rounds(folder: Path, rounds: int, database: KeyValue | None = None, **params: int) -> LoneNode:
    """A registered node that has closed this many rounds; the next is in its training phase."""
    node = LoneNode(folder, tiny_network(**params), database or MemoryKeyValue())
    node.register()
    for _ in range(rounds):
        node.close_round()
    return node
