"""The trainer process: owns torch, the model and the round in training. Start reading at `TrainerProcess.run`.

Commands arrive on stdin, events leave on stdout. It dies with the node: the end of stdin ends it.
"""

import os
import queue
import signal
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from chain.crypto.hashing import ZERO
from chain.genesis import parse_network
from chain.plants import segment_mix
from node import backends
from node.averages import AveragesStore
from node.corpus_choice import open_corpus
from node.errors import NodeError
from node.measuring import Measuring
from node.model_store import load_base
from node.payload_store import PayloadStore
from node.remake import Remaking
from node.segment_room import RoomFor
from node.segment_store import Boundary, SegmentStore, Vectors
from node.template import Learning
from node.threads import Threads
from node.trainer_messages import (
    Abandon,
    BegunFresh,
    Command,
    Failed,
    Ready,
    Remade,
    Remake,
    RoundDone,
    SegmentDone,
    Stepped,
    Tokenising,
    Train,
    TrainerEvent,
    Validate,
    WrapUp,
    from_line,
    to_line,
)
from node.work_log import WorkLog, state_hash
from training.bigram import bigram_loss
from training.checkpoint import Averages
from training.device import choose_device
from training.draw import draw_batch
from training.errors import CheckpointError, ConfigError, TrainingError
from training.evaluate import WINDOW_TOKENS, WINDOWS, validation_windows
from training.inner import InnerLoop, InnerState
from training.model import NeuroLLM
from training.payload import encode_payload
from training.round import RoundReport, SegmentReport, StepReport, Watch, train_round

UNIT = 1 << 24
REPORT_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class TrainerSettings:
    data_directory: Path
    node: bytes
    device: str
    threads: int | None
    segment_disk: int | None = None


class TrainerProcess:
    """One model, one command at a time; `Abandon` and `WrapUp` reach it while it trains."""

    def __init__(self, settings: TrainerSettings, say: Any) -> None:
        self.settings = settings
        self.say = say
        self.commands: queue.Queue[Command | None] = queue.Queue()
        self.ended_round = 0  # rounds up to here are not to be trained any more
        self.wrapped_round = 0
        self.closing = False
        self.network = parse_network((settings.data_directory / "network").read_bytes())
        self.learning = Learning.of(self.network)
        self.payloads = PayloadStore(settings.data_directory / "payloads")
        self.averages = AveragesStore(settings.data_directory / "work", self.learning.parameters)
        self.states = SegmentStore(settings.data_directory / "segments")
        # One worker: the hashing and saving of a segment overlaps the training of the next.
        self.background = ThreadPoolExecutor(1, "segments")

    def run(self) -> None:
        """Open the corpus, say that we are ready, then obey until stdin ends."""
        self.threads = Threads(self.settings.threads)  # before the corpus: a longer look at the load says more
        device, reason = choose_device(self.settings.device)
        root = self.settings.data_directory
        self.corpus = open_corpus(self.network, root, lambda done, total: self.say(Tokenising(done, total)))
        self.model = NeuroLLM(self.learning.model, device)
        self.loop = InnerLoop(self.model, self.learning.inner)
        windows = validation_windows(self.corpus.validation, WINDOWS, min(WINDOW_TOKENS, self.learning.model.context))
        bigram = bigram_loss(self.corpus.train, windows, self.learning.model.vocabulary)
        chosen = self._set_threads(self.threads.choose())
        self.say(Ready(str(device), f"{reason} {self.threads.why(chosen)}", chosen, bigram))
        measuring = Measuring(
            self.model, self.corpus.validation, lambda path: load_base(path, self.learning).state.weights
        )
        while (command := self._next(measuring)) is not None:
            match command:
                case Train():
                    measuring.disturbed()
                    self.train(command)
                case Remake():
                    measuring.disturbed()
                    self.remake(command)
                case Validate():
                    measuring.ask(command)
                case _:
                    pass

    def _next(self, measuring: Measuring) -> Command | None:
        """The next command; models are measured while there is none, or if they have waited for long."""
        while measuring and (self.commands.empty() or (measuring.is_pressing and not self.closing)):
            if (validated := measuring.go_on()) is not None:
                self.say(validated)
        return self.commands.get()

    def listen(self, lines: Any) -> None:
        """Read commands until the end of stdin; the two that interrupt take effect at once."""
        for line in lines:
            command = from_line(line)
            if isinstance(command, Train):
                # A new round means that every earlier one is over.
                self.ended_round = max(self.ended_round, command.round - 1)
            if isinstance(command, Abandon):
                self.ended_round = max(self.ended_round, command.round)
            elif isinstance(command, WrapUp):
                self.wrapped_round = max(self.wrapped_round, command.round)
            else:
                self.commands.put(command)
        self.closing = True
        self.commands.put(None)

    def train(self, command: Train) -> None:
        """Train the round as far as it may go, then publish its payload."""
        if self.is_over(command):
            return
        try:
            base = load_base(Path(command.base), self.learning).state.weights
        except CheckpointError:
            # Its model goes when the round after the next begins, which we have then been told of.
            if self.is_over(command):
                return
            raise
        log = WorkLog(self.settings.data_directory / "work", command.round, self.learning.parameters, self.states)
        resumed = log.resume()
        room = RoomFor(command.round, lambda: self.closing or self.is_over(command))
        if not room.comes(self.states, self.learning, self.settings.segment_disk):
            return
        if resumed is None:
            self._set_threads(self.threads.choose())
            began_with = self._begin(base, command)
        else:
            # Another number of threads would round differently, and not continue what has been proven.
            self._set_threads(resumed.segments[-1].threads)
            steps = len(resumed.segments) * self.learning.inner.segment_steps
            state = resumed.state
            self.loop.restore(InnerState(state.theta, state.m, state.v, steps, resumed.v_steps))
            began_with = resumed.segments[0].averages_root
            for segment in resumed.segments:
                self.say(segment)
        watch = RoundWatch(self, command.round, log, began_with)
        report = train_round(self.loop, command.round - 1, self._draw(command), watch.watch())
        watch.finish()
        watch.tell()
        if not (self.closing or self.is_over(command) or report.segments_done == 0):
            self._publish(command, base, report)

    def _publish(self, command: Train, base: NDArray[np.float32], report: RoundReport) -> None:
        """Keep what the round's end is made of, and say so."""
        payload = encode_payload(base, report.theta, self.learning.fragment_sizes)
        root = self.payloads.put(payload)
        after = self.loop.state()
        parts = Vectors(after.theta, after.m, after.v).parts()
        steps = after.v_steps + after.steps_done
        # Before anybody hears of the round's end: once it is revealed the ledger expects us to have them.
        self.averages.keep(Averages(after.v, steps, command.round, parts.v_root), command.averages_root)
        roots = parts.theta_root, parts.m_root, parts.v_root
        self.say(RoundDone(command.round, report.segments_done, root, len(payload), *roots))

    def _begin(self, base: NDArray[np.float32], command: Train) -> bytes:
        """Start from the weights, with the second moments that the ledger names if they are here; their root."""
        try:
            kept = self.averages.find(command.averages_root, command.averages_steps)
        except CheckpointError as error:
            self.say(BegunFresh(command.round, str(error)))
            kept = None
        if kept is None:
            self.loop.start(base)
        else:
            self.loop.start(base, kept.v, kept.steps)
        begun = self.loop.state()
        state = Vectors(begun.theta, begun.m, begun.v)
        parts = state.parts()
        self.states.put(Boundary(command.round, 0, parts, begun.v_steps), state)
        return parts.v_root

    def remake(self, command: Remake) -> None:
        """Train a past round again, for the states that an audit wants of it."""
        remaking = Remaking(command, self.loop, self.states, self._set_threads, lambda: self.closing)
        try:
            base = load_base(Path(command.base), self.learning).state.weights
            kept = self.averages.find(command.averages_root, command.averages_steps)
            remaking.run(base, kept, self._draw(command), self.threads.choose())
        except (CheckpointError, NodeError) as error:
            self.say(Remade(command.round, str(error)))
        else:
            if not self.closing:
                self.say(Remade(command.round, ""))

    def is_over(self, command: Train) -> bool:
        """Whether nobody wants this work any more: while we started or were busy, the network has gone on."""
        return self.ended_round >= command.round

    def _set_threads(self, count: int) -> int:
        torch.set_num_threads(count)
        self.threads_now = count
        return count

    def _draw(self, command: Train | Remake) -> Any:
        """The batches of a round: a planted segment reads others than the public draw says."""
        inner, tokens, node = self.learning.inner, self.corpus.train, self.settings.node
        secret = None if command.plant_secret == ZERO else command.plant_secret

        def draw(step: int) -> NDArray[np.int64]:
            mix = segment_mix(secret, command.mix, step // inner.segment_steps, self.network.params)
            return draw_batch(tokens, mix, node, step, inner.sequences, inner.length)

        return draw


class RoundWatch:
    """Turns the reports of one round into events, off the training thread where they cost time."""

    def __init__(self, process: TrainerProcess, round_number: int, log: WorkLog, began_with: bytes) -> None:
        self.process = process
        self.round = round_number
        self.log = log
        self.began_with = began_with
        self.pending: Future[None] | None = None
        self.reported = self.begun = time.monotonic()
        self.steps = 0
        self.untold: Stepped | None = None  # the newest step, of which the node has not heard

    def watch(self) -> Watch:
        return Watch(self.on_step, self.on_segment, self.should_stop)

    def should_stop(self) -> bool:
        process = self.process
        at_boundary = process.loop.steps_done % process.learning.inner.segment_steps == 0
        return (
            process.closing
            or process.ended_round >= self.round
            or (process.wrapped_round >= self.round and at_boundary)
        )

    def on_step(self, report: StepReport) -> None:
        self.steps += 1
        now = time.monotonic()
        speed = self.steps * self.process.learning.inner.batch_tokens / max(now - self.begun, 1e-9)
        self.untold = Stepped(self.round, report.step + 1, report.loss, speed)
        if now - self.reported >= REPORT_SECONDS:
            self.reported = now
            self.tell()

    def tell(self) -> None:
        """Say how far we are. The last step of all is always said: who has trained a round looks like it."""
        if self.untold is not None:
            self.process.say(self.untold)
            self.untold = None

    def on_segment(self, report: SegmentReport) -> None:
        if not isfinite(report.loss):
            raise ConfigError(
                f"the loss of round {self.round}, segment {report.segment} is {report.loss}: training has diverged; "
                "lower inner.peak_rate_nanos in a network of your own, or wait for the round to end"
            )
        self.finish()
        self.pending = self.process.background.submit(self._record, report)

    def _record(self, report: SegmentReport) -> None:
        after = report.after
        state = Vectors(after.theta, after.m, after.v)
        parts = state.parts()
        done = SegmentDone(
            self.round,
            report.segment,
            state_hash(parts),
            round(report.loss * 1000),
            round(report.distance * UNIT),
            time.time_ns() // 1_000_000,
            self.process.threads_now,
            self.began_with,
        )
        self.log.record(done, Boundary(self.round, report.segment + 1, parts, after.v_steps), state)
        self.process.say(done)

    def finish(self) -> None:
        if self.pending is not None:
            self.pending.result()


def main() -> None:
    """`python -m node.trainer_main DATA_DIR NODE_ID DEVICE THREADS SEGMENT_DISK`, started by the node."""
    # The terminal sends Ctrl-C to both processes: the node decides when to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    directory, node, device, *wishes = sys.argv[1:6]
    threads, segment_disk = (None if wish == "auto" else int(wish) for wish in wishes)
    out, lock = sys.stdout.buffer, threading.Lock()

    def say(event: TrainerEvent) -> None:
        with lock:
            try:
                out.write(to_line(event))
                out.flush()
            except BrokenPipeError:
                os._exit(1)

    try:
        backends.choose(os.environ)
        process = TrainerProcess(
            TrainerSettings(Path(directory), bytes.fromhex(node), device, threads, segment_disk), say
        )
        threading.Thread(target=process.listen, args=(sys.stdin.buffer,), daemon=True).start()
        process.run()
    except (TrainingError, NodeError, OSError) as error:
        say(Failed(str(error)))
        os._exit(1)  # An orderly end would stumble over the thread that reads stdin, and print a fatal error of Python.
    except (MemoryError, RuntimeError) as error:
        # torch says so in a RuntimeError.
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        say(Failed("memory ran out: close other programs, or start again with --threads 1"))
        os._exit(1)


if __name__ == "__main__":
    main()
