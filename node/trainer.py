"""The trainer process seen from the node: started, listened to, started again when it dies."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from node.errors import TrainerError
from node.threads import usual_threads
from node.trainer_messages import (
    LINE_MAXIMUM,
    Command,
    Failed,
    Ready,
    SegmentDone,
    Train,
    TrainerEvent,
    Validate,
    from_line,
    to_line,
)
from node.trainer_output import log_output

RESTART_SECONDS = (1, 5, 15, 60)
STOP_SECONDS = 10
OUTPUT_SECONDS = 1
ENVIRONMENT = {
    # Waiting OpenMP threads must sleep: spinning ones slow everything down when another program wants the core.
    "OMP_WAIT_POLICY": "PASSIVE",
    # After each product OpenBLAS's thread would spin for some 80 ms; numpy has only a norm to compute here.
    "OPENBLAS_NUM_THREADS": "1",
    # Tensors of each step come from memory that is kept: fresh pages would be faulted in again at every step (glibc).
    "MALLOC_MMAP_THRESHOLD_": "33554432",
    "MALLOC_TRIM_THRESHOLD_": "67108864",
}


def how_it_ended(code: int) -> str:
    """In words: a process that is killed says nothing itself."""
    if code == -signal.SIGKILL:
        return (
            "the trainer process was killed (signal 9), most likely because memory ran out: "
            "close other programs, or start again with --threads 1"
        )
    return f"the trainer process ended with {'status' if code >= 0 else 'signal'} {abs(code)}"


@dataclass(frozen=True, slots=True)
class TrainerOptions:
    data_directory: Path
    node: bytes
    device: str
    threads: int | None  # None: as many as the load allows
    segment_disk: int | None = None  # bytes for the states of segments; None: `node.segment_room` chooses


class Trainer:
    """Owns the child process. `hear` gets every event, in order, on the event loop."""

    def __init__(self, options: TrainerOptions, hear: Callable[[TrainerEvent], None]) -> None:
        self.options = options
        self.hear = hear
        self.failures = 0
        self._process: asyncio.subprocess.Process | None = None
        self._wanted: dict[type, Command] = {}
        self._stopping = False
        self._is_ready = False

    async def run(self) -> None:
        """Keep a trainer running until `stop`; what it was last asked is asked again after a restart."""
        while not self._stopping:
            failed = await self._live()
            if self._stopping:
                return
            delay = RESTART_SECONDS[min(self.failures, len(RESTART_SECONDS) - 1)]
            self.failures += 1
            self.hear(Failed(f"{failed}; the node goes on without training and starts it again in {delay} s"))
            await asyncio.sleep(delay)

    def ask(self, command: Command) -> None:
        """Send a command; the newest of its kind is remembered for a restart."""
        self._wanted[type(command)] = command
        self._send(command)

    async def stop(self) -> None:
        """End the child at the next step; kill it if it does not listen, or has not begun to."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        if not self._is_ready:
            # It is still importing, and has nothing that it could save.
            self.kill()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()

    def kill(self) -> None:
        """End the child at once; what it has finished is on disk."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _live(self) -> str:
        """One life of the child; returns how it ended."""
        options = self.options
        wishes = [str(wish or "auto") for wish in (options.threads, options.segment_disk)]
        arguments = [str(options.data_directory), options.node.hex(), options.device, *wishes]
        threads = {"OMP_NUM_THREADS": str(options.threads or usual_threads())}
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "node.trainer_main",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_MAXIMUM,
            env={**os.environ, **ENVIRONMENT, **threads},
        )
        self._is_ready = False
        assert process.stderr is not None
        output = asyncio.create_task(log_output(process.stderr))
        for kind in (Validate, Train):
            if kind in self._wanted:
                self._send(self._wanted[kind])
        last_words = await self._listen(process)
        code = await process.wait()
        # What it left behind may hold its stderr open: that is not waited for.
        await asyncio.wait([output], timeout=OUTPUT_SECONDS)
        output.cancel()
        return last_words or how_it_ended(code)

    async def _listen(self, process: asyncio.subprocess.Process) -> str:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                message = from_line(line)
                if isinstance(message, Failed):
                    return message.message
                self._is_ready = self._is_ready or isinstance(message, Ready)
                if isinstance(message, SegmentDone):
                    self.failures = 0  # It works: a trainer that only starts well has not shown that.
                self.hear(message)
        except (TrainerError, ValueError) as error:
            process.kill()
            return str(error)
        return ""

    def _send(self, command: Command) -> None:
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            with suppress(OSError, RuntimeError):
                process.stdin.write(to_line(command))
