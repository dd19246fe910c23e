"""The auditor process seen from the node: started when there is something to replay, ended when there has been nothing.

Whatever becomes of it, the node goes on: a question that it does not survive is a question without an answer.
"""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path

from node.auditor_messages import KINDS, Replay, Replayed, Unable
from node.errors import TrainerError
from node.trainer import ENVIRONMENT
from node.trainer_messages import LINE_MAXIMUM, from_line, to_line
from node.trainer_output import log_output

IDLE_SECONDS = 60.0


class Auditor:
    """Owns the child process. One question at a time; others wait for their turn."""

    def __init__(self, data_directory: Path, idle_seconds: float = IDLE_SECONDS) -> None:
        self.data_directory = data_directory
        self.idle_seconds = idle_seconds
        self.starts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._lives: set[asyncio.Task[None]] = set()  # each listens to a child until its end
        self._turn = asyncio.Lock()
        self._idle: asyncio.TimerHandle | None = None

    async def examine(self, question: Replay) -> Replayed | Unable:
        """The answer. Who waits may be called away: then the child ends, since it cannot be interrupted otherwise."""
        async with self._turn:
            if self._idle is not None:
                self._idle.cancel()
            try:
                return await self._asked(question)
            except OSError as error:
                self.kill()
                return Unable(question.number, f"the auditor process cannot be used: {error}")
            except asyncio.CancelledError:
                self.kill()
                raise
            finally:
                self._idle = asyncio.get_running_loop().call_later(self.idle_seconds, self.kill)

    async def stop(self) -> None:
        """End the child; nothing is lost with it."""
        if self._idle is not None:
            self._idle.cancel()
        self.kill()
        await asyncio.gather(*self._lives, return_exceptions=True)

    def kill(self) -> None:
        """End the child at once."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def _asked(self, question: Replay) -> Replayed | Unable:
        process = await self._living()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(to_line(question))
        with suppress(ConnectionError):
            await process.stdin.drain()
        try:
            line = await process.stdout.readline()
            answer = from_line(line, KINDS) if line else None
        except (TrainerError, ValueError) as error:
            self.kill()
            return Unable(question.number, str(error))
        if answer is None:
            code = await process.wait()
            self.kill()
            return Unable(
                question.number, f"the auditor process ended with {'status' if code >= 0 else 'signal'} {abs(code)}"
            )
        if not isinstance(answer, Replayed | Unable) or answer.number != question.number:
            self.kill()
            return Unable(question.number, "the auditor process answered something else")
        return answer

    async def _living(self) -> asyncio.subprocess.Process:
        """The child, started if it is not there."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        self.starts += 1
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "node.auditor_main",
            str(self.data_directory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_MAXIMUM,
            env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": "1"},
        )
        life = asyncio.create_task(_listen(process))
        self._lives.add(life)
        life.add_done_callback(self._lives.discard)
        return process


async def _listen(process: asyncio.subprocess.Process) -> None:
    """What it writes to its stderr goes to the log, until it has ended."""
    assert process.stderr is not None
    await log_output(process.stderr)
    await process.wait()
