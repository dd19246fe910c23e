"""One node, wired together. Start reading at `Node.run`.

The ledger, consensus and the API share one event loop; training runs in a process of its own, is asked and heard.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from chain.genesis import Network
from chain.receipts import RoundClosed, RoundVoid
from chain.state import NodeRecord, State, node_key
from chain.transition import Applied
from consensus.messages import Certificate
from node.archive_keeper import ArchiveKeeper
from node.attendance import Attendance
from node.audit_part import AuditPart
from node.checkpoint import checkpoint_text, newest_checkpoint
from node.consistency import open_sign_state
from node.corpus_receipts import ReceiptDriver, drawn_provider
from node.counted import Counted
from node.declarations import Candidacy, Declarations, Registration
from node.errors import StoreError
from node.facts import Facts
from node.home import Home
from node.identity import find_stamp
from node.key_value import open_key_value
from node.ledger_view import LedgerView
from node.membership import Membership, meets_others
from node.mempool import Mempool
from node.model_store import ModelStore
from node.outcomes import Claimed, Outcomes
from node.own import Hooks, Own
from node.past_rounds import closed_round
from node.payload_store import PayloadStore
from node.producer import Producer
from node.readings import Readings
from node.remake_asking import RemakeAsking, Shelf
from node.round_driver import RoundDriver
from node.round_history import Measured, RoundHistory
from node.round_now import closed_words, pace_ms
from node.round_traffic import RoundTraffic
from node.round_weights import RoundWeights
from node.segment_keep import audited_rounds
from node.segment_store import SegmentStore
from node.settings import Settings
from node.storage_driver import StorageDriver
from node.store import Store
from node.template import Learning
from node.trainer import Trainer, TrainerOptions
from node.trainer_messages import (
    BegunFresh,
    Failed,
    Ready,
    Remade,
    RoundDone,
    SegmentDone,
    Stepped,
    Tokenising,
    TrainerEvent,
    Validate,
    Validated,
)
from training.errors import CorpusError


@dataclass(slots=True)
class Live:
    """What is happening now, for people: never read by a rule."""

    started: float = field(default_factory=time.monotonic)
    device: str = "none"
    device_reason: str = ""
    bigram_loss: float | None = None
    tokens_per_second: float = 0.0
    round: int = 0  # whose steps these are
    step: int = 0
    training_loss: float | None = None
    tokenising: tuple[int, int] | None = None
    trainer_failure: str = ""
    last_block_ms: int = 0


class Node:
    """Opens everything in `home`, runs until stopped, closes everything."""

    def __init__(self, home: Home, settings: Settings, watch: Callable[[str], None]) -> None:
        self.home = home
        self.settings = settings
        self.watch = watch  # told in a sentence what has happened
        self.network: Network = home.network
        self.learning = Learning.of(home.network)
        directory = home.directory
        self.store = Store(open_key_value(directory / "ledger"), home.network)
        self.view = LedgerView(self.store, home.network)
        self.payloads = PayloadStore(directory / "payloads")
        self.outcomes = Outcomes(ModelStore(directory / "model", self.learning), self.payloads)
        self.outcomes.past = partial(closed_round, self.store)
        self.segments = SegmentStore(directory / "segments")
        self.history = RoundHistory(directory / "rounds.jsonl")
        self.weights = RoundWeights(self.outcomes)
        self.traffic = RoundTraffic(lambda: None if self.membership is None else self.membership.traffic)
        self.driver = RoundDriver(home.network, home.identity, self.outcomes)
        self.attendance = Attendance(self.outcomes, self.driver.attests, self.news, self._adopted)
        self.audits = AuditPart(home, self.learning, self.segments, self.news, watch)
        self.storage = StorageDriver(home.network, home.identity, self.outcomes.models, self.news)
        self.driver.also += [self.audits.driver.inputs, self.storage.inputs]
        self.mempool = Mempool(home.network)
        self.declarations = Declarations(home.identity, home.network, self.mempool)
        self.producer = Producer(home.network, self.driver, self.mempool)
        key = home.identity.validator_public_key
        try:
            self.sign_state = open_sign_state(directory / "sign-state", self.view, key)
        except BaseException:
            self.store.close()  # Else it stays locked until somebody collects what is left of this node.
            raise
        self.membership: Membership | None = None  # while running
        self.live = Live()
        self.readings = Readings()
        # Told of every finalized block and of everything that the trainer says, after the node has acted on it.
        self.hear_block: list[Callable[[Applied], None]] = [
            *(self.readings.hear_block, self.weights.hear_block, self.traffic.hear_block),
            self.audits.hear_block,
        ]
        self.hear_trainer: list[Callable[[TrainerEvent], None]] = [self.readings.hear_trainer]
        self.address_text = home.address_text
        self.facts = self._facts(self.store.state())
        self.outcomes.models.audited = audited_rounds(self.store.state(), home.identity.node)
        self.checkpoint = newest_checkpoint(self.store) or ""
        self.remaking: RemakeAsking | None = None  # where a trainer could
        self.trainer = self._make_trainer() if settings.training else None
        self._reached = asyncio.Event()

    def _facts(self, state: State) -> Facts:
        return Facts.read(state, self.view.tip, self.home.identity, self.network.params)

    def _make_trainer(self) -> Trainer:
        settings = self.settings
        options = TrainerOptions(
            self.home.directory.root,
            self.home.identity.node,
            settings.device,
            settings.threads,
            settings.segment_disk,
        )
        trainer = Trainer(options, self._on_trainer)
        self.driver.ask = trainer.ask
        shelf = Shelf(self.segments, self.outcomes.models, self.home.directory / "work")
        self.remaking = RemakeAsking(self.home.identity.node, shelf, trainer.ask, self.watch)
        return trainer

    async def run(self, stop: asyncio.Event) -> None:
        """Restore the model, register, train, make blocks, until `stop` is set or the wanted round is reached."""
        await self._restore()
        await self._prepare_registration()
        self._prepare_candidacy()
        self._validate_model()
        own = Own(self.home.identity, self.view, self.producer, self.sign_state, meets_others(self.settings))
        membership = self.membership = Membership(
            self.home, self.settings, own, self.outcomes, Hooks(self._on_final, accuse=self._accuse)
        )
        tasks: list[asyncio.Future[Any]] = [membership.failed, self.audits.start(membership)]
        try:
            await membership.start()
            if membership.listens_at:
                self.watch(f"Others can connect to {membership.listens_at}")
            self._react(self.store.state())
            tasks.append(asyncio.create_task(self.attendance.run()))
            if self.settings.archive:
                tasks.append(asyncio.create_task(self._keep_archive()))
            if self.trainer is not None:
                tasks.append(asyncio.create_task(self._train(self.trainer, membership)))
            tasks += [asyncio.create_task(stop.wait()), asyncio.create_task(self._reached.wait())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            if self.trainer is not None:
                await self.trainer.stop()
            if self.remaking is not None:
                await self.remaking.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.storage.stop()
            await self.audits.stop()
            if farewell := self.audits.farewell(pace_ms(tuple(self.readings.block_times_ms), self.network.params)):
                self.watch(farewell)
            await membership.stop()

    async def _train(self, trainer: Trainer, membership: Membership) -> None:
        """The trainer opens the corpus: what is missing of it is brought before."""
        state, node = self.store.state, self.home.identity.node
        while True:
            try:
                served = await membership.bring_corpus(lambda: drawn_provider(state(), node), self.watch)
                break
            except CorpusError as error:
                self._on_trainer(Failed(f"{error}; the node goes on without training, and tries again in a minute"))
                await asyncio.sleep(60)
        self.driver.also.append(ReceiptDriver(self.network, self.home.identity, served).inputs)
        await trainer.run()

    async def _keep_archive(self) -> None:
        keeper = ArchiveKeeper(self.store, self.outcomes)
        self.hear_block.append(keeper.hear_block)
        await keeper.run()

    async def _restore(self) -> None:
        """The ledger's model from this disk; what is lost there others may have."""
        try:
            await self.outcomes.aside(self.outcomes.restore, self.store.state())
        except StoreError as error:
            if not meets_others(self.settings):
                raise
            self.watch(f"{error}; asking others for what is missing")

    def _accuse(self, first: Certificate, second: Certificate) -> None:
        """Two certificates that contradict each other: whoever signed both is provably dishonest."""
        names = [f"kind {each.kind}, block {each.block_hash.hex()[:16]}" for each in (first, second)]
        self.watch(f"Epoch {first.epoch}, view {first.view}: certificates contradict each other ({'; '.join(names)})")

    def news(self) -> None:
        """This node has more to say, or something that belongs into a block has come."""
        if self.membership is not None:
            self.membership.protocols.speak()

    async def close(self) -> None:
        """Let go of the files. The node cannot be used afterwards."""
        self.sign_state.close()
        self.store.close()
        self.home.directory.unlock()

    async def _prepare_registration(self) -> None:
        identity, network = self.home.identity, self.network
        if self.trainer is None or self.store.state().find(NodeRecord, node_key(identity.node)) is not None:
            return
        keys = identity.node_public_key, identity.wallet_public_key
        stamp = await asyncio.to_thread(find_stamp, *keys, network.chain_id, network.params.stamp_bits)
        self.declarations.registration = Registration(identity, stamp, self.settings.validator_intent)

    def _prepare_candidacy(self) -> None:
        if not self.settings.validator_intent:
            return
        self.declarations.candidacy = Candidacy(self.home.identity, self.network)
        record = self.store.state().find(NodeRecord, node_key(self.home.identity.node))
        if record is not None and not record.validator_intent:
            self.watch("This node was registered without --validator, which stays so: its rewards are not bonded.")

    def _validate_model(self) -> None:
        """Measure the present model, unless that has been done."""
        if self.trainer is not None and not self.history.has(self.outcomes.model_round):
            self.trainer.ask(Validate(self.outcomes.model_round, str(self.outcomes.model_path)))

    def _on_final(self, applied: Applied) -> None:
        """A block is final and on disk."""
        header = applied.block.header
        self.live.last_block_ms = header.time_ms
        if header.height % self.network.params.epoch_blocks == 0:
            self.checkpoint = checkpoint_text(header.height, header.hash())
        for receipt in applied.receipts:
            if isinstance(receipt, RoundClosed):
                words = closed_words(self.store.state(), receipt.round)
                self.watch(
                    f"Round {receipt.round} closed at height {header.height}{words}: model "
                    f"{receipt.outcome.model_root.hex()[:16]}"
                )
            elif isinstance(receipt, RoundVoid):
                self.watch(f"Round {receipt.round} is void: the model stays as it was")
        state = self.store.state()
        self._react(state)
        for hear in self.hear_block:
            hear(applied)

    def _react(self, state: State) -> None:
        self.facts = self._facts(state)
        self.outcomes.models.audited = audited_rounds(state, self.home.identity.node)
        self.driver.follow(state, self.view.tip.height)
        self.audits.follow(state, self.view.tip.height)
        self.storage.follow(state)
        self.declarations.follow(state)
        self.attendance.follow(state)
        if self.remaking is not None:
            self.remaking.follow(state, self.driver.plant_secret_of)
        wanted = self.settings.until_round
        if wanted is not None and state.ledger.closed_rounds >= wanted:
            self._reached.set()

    def _adopted(self) -> None:
        """The ledger's model is here again."""
        self._validate_model()
        self._react(self.store.state())

    def _foresee(self, done: RoundDone) -> None:
        """Our payload is ready: judge it, and compute the outer step over it alone, as a lone trainer needs."""
        if done.round == self.driver.work.round:  # Else its round has ended meanwhile.
            path = sum(segment.distance for segment in self.driver.work.segments[: done.segments])
            claimed = Claimed(done.payload_root, done.payload_bytes, path)
            steps = done.segments * self.network.params.segment_steps
            own = Counted(self.driver.node, done.payload_root, steps)
            self.attendance.foresee(claimed, done.round, own)

    def _on_trainer(self, event: TrainerEvent) -> None:
        live = self.live
        match event:
            case Ready(device, reason, _, bigram):
                live.device, live.device_reason, live.bigram_loss = device, reason, bigram
                live.trainer_failure, live.tokenising = "", None
                self.watch(f"{reason} Bigram loss to beat: {bigram:.3f}")
            case Tokenising(done, total):
                live.tokenising = (done, total) if done < total else None
            case Stepped(number, step, loss, speed):
                live.round, live.step, live.training_loss, live.tokens_per_second = number, step, loss, speed
            case SegmentDone():
                self.driver.add_segment(event)
                self.news()
            case RoundDone():
                self.driver.add_payload(event)
                self._foresee(event)
            case BegunFresh(number, reason):
                self.watch(f"Round {number} begins without the averages of earlier rounds, and learns less: {reason}")
            case Remade(number, reason):
                came = f"could not be made again: {reason}" if reason else "are here again"
                self.watch(f"The states of round {number} {came}")
            case Validated(round_number, loss):
                self._on_validated(round_number, loss)
            case Failed(message):
                live.trainer_failure = message
                self.watch(f"Training has stopped: {message}")
        for hear in self.hear_trainer:
            hear(event)

    def _on_validated(self, round_number: int, loss: float) -> None:
        tokens, earlier = self.store.state().ledger.tokens, self.history.last
        self.history.add(Measured(round_number, loss, self.live.training_loss, tokens, time.time_ns() // 1_000_000))
        bigram = self.live.bigram_loss or 0.0
        verdict = "below" if loss < bigram else "above"
        before = "" if earlier is None else f" ({earlier:.3f} before)"
        self.watch(
            f"After round {round_number}: validation loss {loss:.3f}{before}, {verdict} the bigram's {bigram:.3f}"
        )
