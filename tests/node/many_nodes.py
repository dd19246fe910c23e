"""A few nodes in this process: their ledgers, mempools, pools, drivers and outcomes are real; training is made up.

A block comes when `Cluster.block` is called: the next validator builds it, everybody judges its bytes, all sign. What
nodes say otherwise goes through the real relay and claims over a little network.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from chain.block import Block, state_hash
from chain.crypto import bls
from chain.genesis import Network
from chain.state import TRAINING, Round, State
from chain.transition import Applied, Proposal, epoch_of
from consensus.certificate import certify
from consensus.messages import FINALIZE, NOTARIZE, Certificate, Vote, vote_message
from network.pages import Wanted
from node.attendance import Attendance
from node.bringing import Fetch
from node.claim_pool import ClaimPool
from node.claims import Claims
from node.declarations import Declarations, Registration
from node.errors import StoreError
from node.identity import Identity, find_stamp
from node.ledger_view import LedgerView
from node.mempool import Mempool
from node.model_store import ModelStore
from node.outcomes import Outcomes
from node.past_rounds import closed_round
from node.payload_store import PayloadStore
from node.producer import Producer
from node.relay import Relay
from node.reporting import Reporting
from node.round_driver import RoundDriver
from node.store import Store
from node.template import Learning, create_network, read_template, template_path
from node.trainer_messages import Command, RoundDone, SegmentDone, Train
from tests.node.little_network import LittleNetwork, LittleRuntime
from tests.node.lone_node import CREATED_MS, TINY, MemoryKeyValue, began_with, named, state_parts
from training.payload import encode_payload


def identity(index: int) -> Identity:
    return Identity(named(f"wallet {index}"), named(f"node {index}"), (100 + index).to_bytes(32, "big"))


def network_of(identities: list[Identity], **params: int) -> Network:
    template = read_template(template_path(), "lab")
    numbers = template["parameters"] | TINY | {f"chain.{name}": value for name, value in params.items()}
    validators = tuple(each.bootstrap_validator() for each in identities)
    ordered = tuple(sorted(validators, key=lambda each: each.public_key))
    return create_network({**template, "parameters": numbers}, "tiny", CREATED_MS, ordered)


@dataclass(eq=False)
class Member:
    """One node, wired as a real one is."""

    folder: Path
    network: Network
    identity: Identity
    runtime: LittleRuntime
    runner: asyncio.Runner
    asked: list[Command] = field(default_factory=list)
    fetch: Fetch | None = None
    began_with: dict[int, bytes] = field(default_factory=dict)  # averages, by round
    extend: Callable[["Member"], None] = lambda member: None  # what else belongs to this node, after every start

    def __post_init__(self) -> None:
        for name in ("payloads", "aggregates", "model"):
            (self.folder / name).mkdir(parents=True)
        self.store = Store(MemoryKeyValue(), self.network)
        self.learning = Learning.of(self.network)
        self.start()

    def start(self) -> None:
        """Begin from what is on disk: also what a restart does."""
        network = self.network
        self.asked.clear()
        self.view = LedgerView(self.store, network)
        self.payloads = PayloadStore(self.folder / "payloads")
        self.outcomes = Outcomes(ModelStore(self.folder / "model", self.learning), self.payloads, self.fetch)
        self.outcomes.past = partial(closed_round, self.store)
        with suppress(StoreError):  # Others may have what is missing.
            self.outcomes.restore(self.state)
        self.driver = RoundDriver(network, self.identity, self.outcomes)
        self.driver.ask = self.asked.append
        self.mempool = Mempool(network, self.runtime.wall_ms)
        self.pool = ClaimPool(network.params)
        self.producer = Producer(network, self.driver, self.mempool, self.pool)
        self.declarations = Declarations(self.identity, network, self.mempool)
        self.reporting = Reporting(self.identity, network, self.mempool)
        self.relay = Relay(self.runtime, self.mempool, self.store.state)
        self.claims = Claims(self.runtime, network, self.pool, self.store.state, self.driver.claims)
        self.attendance = Attendance(self.outcomes, self.driver.attests, lambda: None, self._follow)
        self.runtime.runs(self.relay, self.claims)
        self.hear: list[Callable[[State, int], None]] = []  # told of every final block
        self.extend(self)

    @property
    def state(self) -> State:
        return self.store.state()

    def register(self) -> None:
        keys = self.identity.node_public_key, self.identity.wallet_public_key
        stamp = find_stamp(*keys, self.network.chain_id, self.network.params.stamp_bits)
        self.declarations.registration = Registration(self.identity, stamp, False)
        self.declarations.follow(self.state)

    def build(self, time_ms: int) -> Block:
        """The next block, as the leader that this node is."""
        tip = self.view.tip
        epoch = epoch_of(tip.height + 1, self.network.params)
        view = tip.view + 1 if epoch == tip.epoch else 1
        keys = [member.public_key for member in self.state.validators(epoch).members]
        place = keys.index(self.identity.validator_public_key)
        reveal = self.identity.beacon_reveal(self.network.chain_id, epoch, view)
        chosen = Proposal(epoch, view, max(time_ms, tip.time_ms + 10), place, reveal)
        certificate = self.view.certificate_of(tip.hash)
        body = self.producer.body(self.state, tip, chosen, certificate.encode() if certificate else b"")
        return self.view.build(tip.hash, chosen, body).block

    def finish(self, applied: Applied) -> None:
        """What a node does when a block has become final."""
        self.mempool.follow(self.state, applied.state.changes)
        self.declarations.follow(self.state)
        self.reporting.follow(self.state)
        self._follow()
        self.attend()
        self.claims.follow()

    def _follow(self) -> None:
        self.driver.follow(self.state, self.view.tip.height)
        for hear in self.hear:
            hear(self.state, self.view.tip.height)

    def attend(self) -> bool:
        """One pass of its attendance, and what it then has to say."""
        self.attendance.follow(self.state)
        is_done = self.runner.run(self.attendance.attend())
        self.claims.speak()
        return is_done

    @property
    def is_training(self) -> bool:
        """Whether the trainer was asked for the newest round."""
        return any(isinstance(each, Train) and each.round == self.state.ledger.round for each in self.asked)

    def train(self, segments: int = 4) -> bytes:
        """Made-up segments and a payload of steps of its own, as the trainer would report them; returns the payload."""
        work, weights = self.driver.work, self.outcomes.model.weights  # type: ignore[union-attr]
        name, now, began = f"{self.identity.node.hex()} {work.round}", self.view.tip.time_ms, began_with(self.asked)
        self.began_with[work.round] = began
        for index in range(segments):
            root = state_hash(*state_parts(f"{name} {index}"))
            self.driver.add_segment(SegmentDone(work.round, index, root, 9_000, 1 << 20, now, 1, began))
        change = np.random.default_rng(list(named(name))).normal(0, 0.001, weights.size).astype(np.float32)
        payload = encode_payload(weights, weights + change, self.learning.fragment_sizes)
        parts = state_parts(f"{name} {segments - 1}")
        self.driver.add_payload(RoundDone(work.round, segments, self.payloads.put(payload), len(payload), *parts))
        self.claims.speak()
        return payload


class Cluster:
    """Nodes 0 … size − 1, of which the first `validators` validate."""

    def __init__(self, folder: Path, size: int, validators: int, **params: int) -> None:
        identities = [identity(index) for index in range(size)]
        self.network = network_of(identities[:validators], **params)
        self.links = LittleNetwork()
        self.runner = asyncio.Runner()
        self.members = [
            Member(folder / str(index), self.network, each, self.links.node(str(index)), self.runner)
            for index, each in enumerate(identities)
        ]
        self.validators = self.members[:validators]
        # What members give to each other when asked. Payloads come by `train`, so that some can lack them.
        self.served = {"aggregates"}
        self.fetched: list[tuple[bytes, int]] = []  # roots that were asked for, and the bytes that came
        for member in self.members:
            member.fetch = self._fetch
            member.outcomes.fetch_by(self._fetch)
        self.links.connect(*(member.runtime for member in self.members))
        self._turn = 0

    def close(self) -> None:
        self.runner.close()

    def _fetch(self, wanted: Wanted, done: Callable[[bytes | None], None]) -> None:
        """From whoever has it, at once."""
        stores = [getattr(each.outcomes, name) for each in self.members for name in sorted(self.served)]
        found = next((store.get(wanted.root) for store in stores if store.has(wanted.root)), None)
        assert found is None or wanted.allows(len(found))
        self.fetched.append((wanted.root, 0 if found is None else len(found)))
        done(found)

    @property
    def state(self) -> State:
        return self.members[0].state

    @property
    def round(self) -> Round:
        current = self.state.round(self.state.ledger.round)
        assert current is not None
        return current

    @property
    def height(self) -> int:
        return self.members[0].view.tip.height

    def block(self) -> Applied:
        """The next validator's block, judged by everybody from its bytes and final."""
        proposer = self.validators[self._turn % len(self.validators)]
        self._turn += 1
        block = proposer.build(proposer.runtime.wall_ms())
        found = []
        for member in self.members:
            if member is not proposer:
                member.view.judge(Block.decode(block.encode()))
            member.view.keep(self._certificate(NOTARIZE, block))
            [applied] = member.view.finalize(block.header.hash(), self._certificate(FINALIZE, block))
            member.finish(applied)
            found.append(applied)
        self.links.run(50)
        return found[0]

    def blocks_until(self, kind: type[Any], most: int = 20) -> Any:
        """Blocks until one has a receipt of this kind, which is returned."""
        for _ in range(most):
            for receipt in self.block().receipts:
                if isinstance(receipt, kind):
                    return receipt
        raise AssertionError(f"no {kind.__name__} in {most} blocks")

    def _certificate(self, kind: int, block: Block) -> Certificate:
        header, block_hash = block.header, block.header.hash()
        message = vote_message(self.network.chain_id, kind, header.epoch, header.view, block_hash)
        members = self.state.validators(header.epoch).members
        secrets = {each.identity.validator_public_key: each.identity.validator_secret for each in self.validators}
        votes = {
            place: Vote(kind, header.epoch, header.view, block_hash, place, bls.sign(secrets[each.public_key], message))
            for place, each in enumerate(members)
        }
        return certify(votes, len(members))

    def register(self, *members: Member) -> None:
        """These nodes, in one block, and the first round is in training."""
        for member in members or self.members:
            member.register()
        self.links.run(100)
        self.block()
        self.block()
        assert self.round.phase == TRAINING

    def train(self, *members: Member, without: tuple[Member, ...] = ()) -> dict[bytes, bytes]:
        """These train; their payloads come to all who are not `without`. By payload root."""
        payloads = {}
        for member in members or self.members:
            payload = member.train()
            assert member.driver.work.done is not None
            payloads[member.driver.work.done.payload_root] = payload
        for receiver in self.members:
            if receiver not in without:
                for payload in payloads.values():
                    receiver.payloads.put(payload)
        self.links.run(50)
        return payloads
