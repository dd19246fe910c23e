"""Blobs that are looked for: here, else among peers; each once, however many wait for it."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from network.pages import Wanted
from node.errors import StoreError
from node.payload_store import PayloadStore

# Asks the network for a blob, and who is told the blob or its file, or that nobody has it. Both objects of `node.blobs`
# and `node.blob_exchange` can do it.
Fetch = Callable[[Wanted, Callable[[bytes | Path | None], None]], None]


class _Coming:
    """A blob that is looked for."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.found: asyncio.Future[bytes | Path | None] = loop.create_future()  # what the network gave
        self.here: asyncio.Future[bool] = loop.create_future()  # for all who wait
        self.work: asyncio.Future[None] | None = None  # held here, or it could vanish before its end

    def tell(self, found: bytes | Path | None) -> None:
        """What the network gave; the first word counts."""
        if not self.found.done():
            self.found.set_result(found)


class Bringing:
    """Into one store. Without `fetch` there is nobody to ask."""

    def __init__(self, store: PayloadStore, fetch: Fetch | None = None) -> None:
        self.store = store
        self.fetch = fetch
        self._coming: dict[bytes, _Coming] = {}  # by root

    async def bring_all(self, wanted: Iterable[Wanted]) -> bool:
        """Fetch those of these that are not here, all at once. Whether all are here now."""
        once = {each.root: each for each in wanted}
        return all(await asyncio.gather(*(self.bring(each) for each in once.values())))

    async def bring(self, wanted: Wanted) -> bool:
        """Whether a blob is here, fetched if need be.

        Who waits may be called away, as at every step of a round: what is on its way comes all the same, once.
        """
        coming = self._coming.get(wanted.root)
        if coming is None:
            coming = self._coming[wanted.root] = _Coming()
            coming.work = asyncio.ensure_future(self._bring(wanted, coming))
        return await asyncio.shield(coming.here)

    async def _bring(self, wanted: Wanted, coming: _Coming) -> None:
        root = wanted.root
        try:
            is_here = await asyncio.to_thread(self.store.has, root)
            if not is_here and self.fetch is not None:
                self.fetch(wanted, coming.tell)
                found = await coming.found
                is_here = found is not None and await asyncio.to_thread(self._keep, root, found)
            coming.here.set_result(is_here)
        except Exception as error:  # a fault of our own is for whoever waits
            coming.here.set_exception(error)
        finally:
            del self._coming[root]
            coming.here.cancel()  # does nothing to one that has its result

    def _keep(self, root: bytes, found: bytes | Path) -> bool:
        """Put what has been fetched into the store. A full disk is told when something of our own is written."""
        try:
            if isinstance(found, bytes):
                self.store.put(found)
            elif found != self.store.path(root):
                found.replace(self.store.path(root))
        except (StoreError, OSError):
            return False
        return self.store.has(root)
