"""The ledger's model from other nodes, for a node that has no nearer way to it. Start reading at `ModelFetch.fetch`.

Each blob comes page by page from several nodes at once, every page verified (`node.blobs`); its length follows from
the model. What has come outlives a restart, and a caller that stops waiting. When another outcome is asked for, what
belongs to the earlier one is forgotten: nodes serve a state for one more round after it was overtaken, not longer.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from chain.block import Outcome
from node.blob_exchange import Done
from node.errors import StoreError, disk_advice
from node.logs import log_of
from node.model_blobs import ModelBlob, NotThatModel, blobs_of, state_from
from node.model_store import ModelStore
from training.errors import CheckpointError
from training.outer import OuterState

LOG = log_of("model")


class Fetcher(Protocol):
    """Brings blobs into `folder`, each under the name of its root: `node.blobs.Blobs`."""

    folder: Path

    def want(
        self, root: bytes, bytes_maximum: int, holders: tuple[bytes, ...], done: Done, size: int | None = None
    ) -> None: ...

    def forget(self, root: bytes) -> None: ...


class ModelFetch:
    """`round_of` tells of which round's end an outcome is the newest model; None: it is not that any more."""

    def __init__(self, models: ModelStore, blobs: Fetcher, round_of: Callable[[Outcome], int | None]) -> None:
        self.models = models
        self.blobs = blobs
        self.round_of = round_of
        self._wanted: Outcome | None = None
        self._waiting: dict[asyncio.Future[bytes | Path | None], bytes] = {}  # for which root
        # A thread goes on although nobody waits for it any more: what it makes is true, and is waited for by the next.
        self._building: tuple[Outcome, asyncio.Future[OuterState | None]] | None = None

    async def fetch(self, outcome: Outcome) -> OuterState | None:
        """The state with these roots, saved in the model store; None if it could not be had this time.

        Raises StoreError if this machine cannot write it.
        """
        if (found := await self._built(outcome)) is not None:
            return found
        round_number = self.round_of(outcome)
        if round_number is None:
            return None
        wanted = blobs_of(outcome, self.models.learning)
        self._forget_other(outcome, wanted)
        came = await asyncio.gather(*(self._bring(blob) for blob in wanted))
        if None in came or self._wanted != outcome:
            return None
        files = {blob.name: path for blob, path in zip(wanted, came, strict=True) if path is not None}
        if (found := await self._built(outcome)) is not None:
            return found
        work = asyncio.ensure_future(asyncio.to_thread(self._build, files, outcome, round_number))
        self._building = outcome, work
        return await self._built(outcome)

    async def _built(self, outcome: Outcome) -> OuterState | None:
        """Wait for what is being built, and take it if it is this."""
        if self._building is None:
            return None
        of, work = self._building
        await asyncio.wait([work])
        if self._building is not None and self._building[1] is work:
            self._building = None
        return work.result() if of == outcome else None

    def _forget_other(self, outcome: Outcome, wanted: tuple[ModelBlob, ...]) -> None:
        """What is not of this outcome is not fetched any more, and what has come of it goes."""
        names = {blob.wanted.root.hex() for blob in wanted}
        if self._wanted is not None and self._wanted != outcome:
            for blob in blobs_of(self._wanted, self.models.learning):
                if blob.wanted.root.hex() not in names:
                    self.blobs.forget(blob.wanted.root)
            for answer, root in self._waiting.items():
                if root.hex() not in names and not answer.done():
                    answer.set_result(None)
        self._wanted = outcome
        try:
            self.blobs.folder.mkdir(parents=True, exist_ok=True)
            for path in self.blobs.folder.iterdir():
                if path.name.partition(".")[0] not in names:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot use {self.blobs.folder}: {disk_advice(error)}") from error

    async def _bring(self, blob: ModelBlob) -> Path | None:
        wanted = blob.wanted
        path = self.blobs.folder / wanted.root.hex()
        if await asyncio.to_thread(path.exists):
            return path
        answer: asyncio.Future[bytes | Path | None] = asyncio.get_running_loop().create_future()

        def told(found: bytes | Path | None) -> None:
            if not answer.done():
                answer.set_result(found)

        self._waiting[answer] = wanted.root
        try:
            self.blobs.want(wanted.root, wanted.bytes_maximum, (), told, wanted.size)
            found = await answer
        finally:
            del self._waiting[answer]
        return found if isinstance(found, Path) else None

    def _build(self, files: dict[str, Path], outcome: Outcome, round_number: int) -> OuterState | None:
        try:
            state = state_from(files, outcome, self.models.learning)
            self.models.save(state, round_number, outcome.outer_root)
            return state
        except NotThatModel as error:
            # Every page had its hash, so only this disk can have changed them: the next time they are fetched anew.
            LOG.warning("a fetched model is not used", reason=str(error))
            return None
        except CheckpointError as error:
            raise StoreError(str(error)) from error
        finally:
            with suppress(OSError):
                for path in files.values():
                    path.unlink(missing_ok=True)
