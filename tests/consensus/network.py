"""Validators in one process: a seeded network that loses, doubles and reorders, and machines that crash and return.

Disks keep what was recorded before the crash. A twin is a second machine with the same key and a disk of its own:
the cheapest liar there is. Everything that must always hold is asserted as it happens.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from chain.crypto.hashing import ZERO
from consensus import events as ev
from consensus.certificate import verify_certificate
from consensus.committee import Committee, Member
from consensus.evidence import verify_evidence
from consensus.messages import FINALIZE, NULLIFY, Certificate, CertificateRequest, Message, Proposal, Vote, vote_message
from consensus.state import Epoch, Own, Root, State, Timing
from consensus.step import start, step
from tests.consensus.builders import ANCHOR, CHAIN, SCHEME, a_key


@dataclass(frozen=True)
class Block:
    epoch: int
    view: int
    parent_hash: bytes
    height: int
    maker: bytes

    @property
    def block_hash(self) -> bytes:
        return sha256(repr((self.epoch, self.view, self.parent_hash, self.height, self.maker)).encode()).digest()


@dataclass
class Disk:
    """What survives a crash."""

    blocks: dict[bytes, Block] = field(default_factory=dict)
    own: dict[tuple[int, int], Own] = field(default_factory=dict)
    kept: list[Certificate] = field(default_factory=list)
    final: list[tuple[bytes, Certificate]] = field(default_factory=list)  # by height, from 1
    boundaries: dict[int, Certificate] = field(default_factory=dict)

    def record(self, kind: int, epoch: int, view: int, block_hash: bytes) -> None:
        own = self.own.get((epoch, view), Own())
        assert kind != 1 or own.notarized in (None, block_hash), "two NOTARIZE in a view"
        assert kind != FINALIZE or (own.finalized in (None, block_hash) and not own.nullified), "unsafe FINALIZE"
        assert kind != NULLIFY or own.finalized is None, "NULLIFY after FINALIZE"
        self.own[epoch, view] = own.with_vote(kind, block_hash)


class Machine:
    """One validator's shell: performs effects, answers with events."""

    def __init__(self, world: "World", key: bytes, name: str, honest: bool) -> None:
        self.world, self.key, self.name, self.honest = world, key, name, honest
        self.disk = Disk()
        self.life = 0
        self.up = False
        self.epoch: Epoch
        self.state: State

    @property
    def height(self) -> int:
        return len(self.disk.final)

    def boot(self) -> None:
        self.up = self.world.moved = True
        self.life += 1
        number = len(self.disk.boundaries)
        anchor_height = number * self.world.epoch_length
        self.enter_epoch(number, anchor_height)

    def enter_epoch(self, number: int, anchor_height: int) -> None:
        disk, committee = self.disk, self.world.committee(number)
        anchor = disk.final[anchor_height - 1][0] if anchor_height else ANCHOR
        last_height = anchor_height + self.world.epoch_length
        us = committee.place_of(self.key)
        self.epoch = Epoch(CHAIN, number, committee, us, anchor, anchor_height, last_height, self.world.timing)
        root = None
        if self.height > anchor_height:
            block_hash, certificate = disk.final[-1]
            # A certificate finalizes ancestors too; ours is of the last block of its batch.
            assert certificate.block_hash == block_hash
            root = Root(certificate.view, block_hash, self.height)
        own = {view: votes for (epoch, view), votes in disk.own.items() if epoch == number}
        self.state, effects = start(self.epoch, root, own, disk.kept, SCHEME)
        self.perform(effects)

    def crash(self) -> None:
        self.up, self.world.moved = False, True
        self.life += 1

    def happen(self, event: ev.Event) -> None:
        if not self.up:
            return
        before = self.state.copy() if self.world.paranoid else None
        old = self.state
        self.state, effects = step(old, event, self.epoch, SCHEME)
        assert before is None or before == old, "step changed its argument"
        self.perform(effects)

    def later(self, delay_ms: int, event: ev.Event) -> None:
        life, number = self.life, self.epoch.number
        self.world.at(
            delay_ms, lambda: self.happen(event) if (life, number) == (self.life, self.epoch.number) else None
        )

    def perform(self, effects: tuple[ev.Effect, ...]) -> None:
        life = self.life
        for effect in effects:
            if life == self.life:
                self.perform_one(effect)

    def perform_one(self, effect: ev.Effect) -> None:
        world, disk = self.world, self.disk
        match effect:
            case ev.CastVote(kind, epoch, view, block_hash):
                self.cast(kind, epoch, view, block_hash)
            case ev.Keep(certificate):
                disk.kept.append(certificate)
            case ev.Propose(view, parent_hash, _):
                self.build(view, parent_hash)
            case ev.Judge(view, block_hash):
                valid = block_hash in disk.blocks and disk.blocks[block_hash].maker not in world.bad_makers
                self.later(world.random.randint(0, 20), ev.Judged(view, block_hash, valid))
            case ev.FetchBlock() | ev.Broadcast() | ev.Send() | ev.SetTimer():
                self.reach_out(effect)
            case ev.Finalized(block_hash, height, certificate):
                self.finalize(block_hash, height, certificate)
            case ev.EndEpoch(number, _, height):
                self.end_epoch(number, height)
            case ev.Report(evidence):
                guilty = verify_evidence(evidence, self.epoch.committee, CHAIN, SCHEME)
                world.reported.add(self.epoch.committee.members[guilty].public_key)
            case ev.Blame(peer, _):
                assert peer.decode() in world.liars, f"{self.name} blames {peer.decode()}: {effect}"
                world.blamed.add((self.name, peer.decode()))
            case _:
                assert not self.honest, f"{self.name} at height {self.height}: {effect}"

    def reach_out(self, effect: ev.Effect) -> None:
        world = self.world
        match effect:
            case ev.FetchBlock(_, block_hash):
                self.fetch(block_hash)
            case ev.Broadcast(message):
                world.broadcast(self, message)
            case ev.Send(peer, message):
                world.send(self, world.by_name[peer.decode()], message)
            case ev.SetTimer(kind, view, delay_ms) if world.timers:
                self.later(delay_ms, ev.TimerFired(kind, view))

    def build(self, view: int, parent_hash: bytes) -> None:
        parent = self.disk.blocks.get(parent_hash)
        height = parent.height + 1 if parent else self.epoch.anchor_height + 1
        block = Block(self.epoch.number, view, parent_hash, height, f"{self.name}/{self.life}".encode())
        self.disk.blocks[block.block_hash] = block
        self.later(self.world.random.randint(0, 20), ev.Built(view, block.block_hash))

    def end_epoch(self, number: int, height: int) -> None:
        self.disk.boundaries[number] = self.disk.final[-1][1]
        self.disk.kept.clear()
        life = self.life
        self.world.at(0, lambda: self.enter_epoch(number + 1, height) if self.up and life == self.life else None)

    def cast(self, kind: int, epoch: int, view: int, block_hash: bytes) -> None:
        assert (block_hash == ZERO) == (kind == NULLIFY)
        self.disk.record(kind, epoch, view, block_hash)
        if self.world.happens(self.world.crashes):
            self.crash()  # The vote is on disk and never left.
            self.world.at(self.world.random.randint(10, 3_000), self.boot)
            return
        signature = SCHEME.sign(self.key, vote_message(CHAIN, kind, epoch, view, block_hash))
        assert self.epoch.us is not None
        self.later(2, ev.Signed(Vote(kind, epoch, view, block_hash, self.epoch.us, signature)))

    def fetch(self, block_hash: bytes) -> None:
        block = self.disk.blocks.get(block_hash)
        if block is not None:
            self.later(1, ev.Linked(block_hash, block.parent_hash, block.height))
            return
        life, number = self.life, self.epoch.number
        for other in self.world.machines:
            self.world.deliver(self, other, lambda other=other: other.give(block_hash, self))
        self.world.at(
            300,
            lambda: self.fetch(block_hash) if self.up and (life, number) == (self.life, self.epoch.number) else None,
        )

    def give(self, block_hash: bytes, asker: "Machine") -> None:
        block = self.disk.blocks.get(block_hash)
        if block is not None and self.up:
            self.world.deliver(
                self, asker, lambda: asker.disk.blocks.setdefault(block_hash, block) if asker.up else None
            )

    def finalize(self, block_hash: bytes, height: int, certificate: Certificate) -> None:
        assert height == self.height + 1, "blocks come in order"
        block = self.disk.blocks.get(block_hash)
        if block is not None:
            assert block.parent_hash == (self.disk.final[-1][0] if self.disk.final else ANCHOR)
        verify_certificate(certificate, self.epoch.committee, CHAIN, SCHEME)
        assert certificate.kind == FINALIZE and certificate.epoch == self.epoch.number
        self.disk.final.append((block_hash, certificate))
        self.world.moved = True
        if self.honest:
            first = self.world.chain.setdefault(height, block_hash)
            assert first == block_hash, f"two final blocks at height {height}"

    def receive(self, sender: "Machine", message: Message, block: Block | None) -> None:
        if not self.up:
            return
        if message.epoch != self.epoch.number:
            boundary = self.disk.boundaries.get(message.epoch)
            if isinstance(message, CertificateRequest) and boundary is not None:
                self.world.send(self, sender, boundary)
            return
        if isinstance(message, Proposal) and not self.header_agrees(message, block):
            return
        self.happen(ev.Received(sender.name.encode(), message))

    def header_agrees(self, proposal: Proposal, block: Block | None) -> bool:
        if block is None or block.block_hash != proposal.block_hash or block.epoch != proposal.epoch:
            return False
        self.disk.blocks[block.block_hash] = block
        again = proposal.block_hash == proposal.parent_hash
        if block.height != proposal.height or (not again and block.parent_hash != proposal.parent_hash):
            return False
        return block.view < proposal.view if again else block.view == proposal.view


class World:
    """A network in one process. Times in virtual milliseconds."""

    def __init__(self, seed: int, keys: int, twins: int = 0, epoch_length: int = 5) -> None:
        self.random = random.Random(seed)
        self.epoch_length = epoch_length
        self.timing = Timing(base_ms=300, cap_ms=5_000)
        self.keys = [a_key(number + 1) for number in range(keys)]
        self.committee: Callable[[int], Committee] = lambda _: Committee(tuple(Member(key, 10) for key in self.keys))
        self.machines = [Machine(self, key, f"machine {place}", place >= twins) for place, key in enumerate(self.keys)]
        self.machines += [Machine(self, self.keys[place], f"twin {place}", False) for place in range(twins)]
        self.by_name = {machine.name: machine for machine in self.machines}
        self.now_ms, self.order = 0, 0
        self.events: list[tuple[int, int, Callable[[], object]]] = []
        self.chain: dict[int, bytes] = {}
        self.reported: set[bytes] = set()
        self.liars: set[str] = set()  # whoever hears a vote has just heard a forged one from each of them
        self.blamed: set[tuple[str, str]] = set()  # who blamed whom
        self.bad_makers: set[bytes] = set()
        self.loss = self.doubling = self.crashes = 0.0
        self.slowest_ms = 40
        self.timers, self.paranoid = True, False
        self.moved = True  # a height may have changed, or who is up
        self.cut: Callable[[Machine, Machine], bool] = lambda sender, receiver: False

    @property
    def honest(self) -> list[Machine]:
        return [machine for machine in self.machines if machine.honest]

    def happens(self, chance: float) -> bool:
        return chance > 0 and self.random.random() < chance

    def at(self, delay_ms: int, action: Callable[[], object]) -> None:
        self.order += 1
        heapq.heappush(self.events, (self.now_ms + delay_ms, self.order, action))

    def deliver(self, sender: Machine, receiver: Machine, action: Callable[[], object]) -> None:
        if sender is receiver or self.cut(sender, receiver) or self.happens(self.loss):
            return
        for _ in range(2 if self.happens(self.doubling) else 1):
            self.at(self.random.randint(1, self.slowest_ms), action)

    def send(self, sender: Machine, receiver: Machine, message: Message) -> None:
        if isinstance(message, Vote) and sender.name not in self.liars:
            for liar in sorted(self.liars):
                forged = replace(message, signature=sha256(liar.encode()).digest() * 3)
                self.at(0, lambda forged=forged, liar=liar: receiver.receive(self.by_name[liar], forged, None))
        block = sender.disk.blocks.get(message.block_hash) if isinstance(message, Proposal) else None
        self.deliver(sender, receiver, lambda: receiver.receive(sender, message, block))

    def broadcast(self, sender: Machine, message: Message) -> None:
        for receiver in self.machines:
            self.send(sender, receiver, message)

    def boot(self, *machines: Machine) -> None:
        for machine in machines or self.machines:
            self.at(self.random.randint(0, 50), machine.boot)

    def run(self, duration_ms: int, until_height: int | None = None) -> bool:
        """Run for so long, or until all honest machines that are up finalized this height. Whether they did."""
        end_ms, self.moved = self.now_ms + duration_ms, True
        while self.events and self.events[0][0] <= end_ms:
            self.now_ms, _, action = heapq.heappop(self.events)
            action()
            if self.moved and until_height is not None and self.lowest() >= until_height:
                return True
            self.moved = False
        self.now_ms = end_ms
        return until_height is not None and self.lowest() >= until_height

    def lowest(self) -> int:
        return min((machine.height for machine in self.honest if machine.up), default=0)

    def highest(self) -> int:
        return max(machine.height for machine in self.honest)
