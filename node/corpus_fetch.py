"""The network's corpus from other nodes, for one that lacks it. Start reading at `CorpusFetch.bring`.

What peers give is the tokens of each shard, which is what training reads; every shard must have the hash that the
network's corpus root covers. What has come outlives a restart. Sizes follow from the root as well, so nobody can make
us fetch more than the corpus. The drawn provider is asked first (`chain.data_receipts`), then anybody.
"""

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from chain.errors import DecodeError
from chain.genesis import Network
from network.pages import PAGE_BYTES, PAGES_MAXIMUM
from node.blobs import Blobs
from node.corpus_choice import fetched_path, is_here, tokenizer_of, tokenizer_to_be
from node.corpus_exchange import CorpusExchange
from node.corpus_messages import INDEX_BYTES_MAXIMUM, TOKENIZER_BYTES_MAXIMUM, CorpusName, ShardEntry, ShardIndex
from node.corpus_receipts import Provider, ServedShards
from node.data_directory import write_atomically
from node.errors import disk_advice
from training.corpus import is_cached, write_cache
from training.errors import CorpusError, TokenizerError
from training.manifest import SPLITS, Manifest, Shard, write_manifest
from training.tokens import Tokenizer

INCOMING = "incoming"  # inside tokens/
AT_ONCE = 4  # shards
ASK_SECONDS, LOOK_SECONDS, TELL_SECONDS = 10.0, 0.5, 10.0
PROVIDER_SECONDS = 20.0  # for the ledger to draw our provider; then anybody is asked


class NotHad(Exception):
    """Nobody gave a blob in time."""


class FalseIndex(Exception):
    """A list of shards that does not lead to the corpus."""


class CorpusFetch:
    """`provider` gives the node that was drawn to serve us, `tell` is told in a sentence what has happened."""

    def __init__(
        self,
        network: Network,
        root: Path,
        source: tuple[CorpusExchange, Blobs],
        provider: Callable[[], Provider | None],
        tell: Callable[[str], None],
    ) -> None:
        self.network = network
        self.root = root
        self.exchange, self.blobs = source
        self.provider = provider
        self.tell = tell
        self.served = ServedShards(root, network.corpus_root)
        self.folder = self.blobs.folder
        self._givers: dict[bytes, set[bytes]] = {}  # by root of a blob: who has given pages of it
        self.blobs.hear_page = lambda blob, key: self._givers.setdefault(blob, set()).add(key)

    async def bring(self) -> None:
        """Return when the corpus is on this disk, whole. Raises CorpusError if the disk does not take it."""
        if await asyncio.to_thread(is_here, self.network, self.root):
            return
        self.tell(f"The corpus {self.network.corpus_root.hex()[:16]} is not on this machine: asking other nodes for it")
        self.exchange.is_wanted = True
        asking = asyncio.create_task(self._ask())
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            while not await self._attempt():
                await asyncio.sleep(LOOK_SECONDS)
        except OSError as error:
            raise CorpusError(f"cannot keep the corpus in {self.folder}: {disk_advice(error)}") from error
        finally:
            self.exchange.is_wanted = False
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        self.tell("The corpus is here, every shard verified")

    async def _ask(self) -> None:
        while True:
            self.exchange.ask()
            await asyncio.sleep(ASK_SECONDS)

    async def _attempt(self) -> bool:
        """Whether the corpus has come as a peer's list says; the wrong list is not used again."""
        name = self.exchange.best()
        if name is None:
            return False
        try:
            index = await self._index(name)
            manifest = await self._with_vocabulary(index, _manifest(index, self.network))
            self._check_room(manifest)
            paths = await self._shards(index)
        except NotHad:
            self.exchange.drop(name)
            return False
        except FalseIndex as error:
            self.exchange.refuse(name, str(error))
            return False
        await asyncio.to_thread(self._assemble, manifest, paths)
        return True

    # ---- Blobs

    async def _blob(self, root: bytes, size: int, holders: tuple[bytes, ...] = ()) -> Path:
        answer: asyncio.Future[bytes | Path | None] = asyncio.get_running_loop().create_future()

        def told(found: bytes | Path | None) -> None:
            if not answer.done():
                answer.set_result(found)

        self.blobs.want(root, size, holders, told, size)
        try:
            found = await answer
        except asyncio.CancelledError:
            self.blobs.forget(root)
            raise
        if not isinstance(found, Path):
            raise NotHad
        return found

    async def _verified(self, root: bytes, size: int, digest: bytes, holders: tuple[bytes, ...] = ()) -> Path:
        """The file of a blob with this SHA-256. What lies here from before and has another is fetched anew."""
        path = self.folder / root.hex()
        if path.exists():
            if await asyncio.to_thread(_digest_of, path) == digest:
                return path
            path.unlink()
        path = await self._blob(root, size, holders)
        if await asyncio.to_thread(_digest_of, path) != digest:
            path.unlink()
            raise FalseIndex(f"blob {root.hex()[:16]} has another SHA-256 than the network's corpus")
        return path

    async def _index(self, name: CorpusName) -> ShardIndex:
        path = self.folder / name.index_root.hex()
        if not path.exists():
            holders = tuple(sorted(self.exchange.names.get(name, ())))
            path = await self._blob(name.index_root, name.index_bytes, holders)
        content = path.read_bytes()
        try:
            if len(content) > INDEX_BYTES_MAXIMUM:
                raise FalseIndex(f"a list of {len(content)} bytes")
            return ShardIndex.decode(content)
        except DecodeError as error:
            path.unlink()
            raise FalseIndex(f"it is no list of shards: {error}") from error

    async def _with_vocabulary(self, index: ShardIndex, manifest: Manifest) -> Manifest:
        """The manifest with what its tokenizer knows, which is brought first if it is not here."""
        target = tokenizer_to_be(self.network, self.root)
        if not await asyncio.to_thread(_has_digest, tokenizer_of(self.network, self.root), self.network.tokenizer_hash):
            if not 0 < index.tokenizer_bytes <= TOKENIZER_BYTES_MAXIMUM:
                raise FalseIndex(f"a tokenizer of {index.tokenizer_bytes} bytes")
            wanted = index.tokenizer_root, index.tokenizer_bytes, self.network.tokenizer_hash
            path = await self._verified(*wanted)
            target.parent.mkdir(mode=0o700, exist_ok=True)
            write_atomically(target, path.read_bytes())
        try:
            tokenizer = await asyncio.to_thread(Tokenizer.load, tokenizer_of(self.network, self.root))
        except TokenizerError as error:
            raise CorpusError(f"the network's tokenizer cannot be used: {error}") from error
        return replace(manifest, vocabulary=tokenizer.vocabulary)

    def _check_room(self, manifest: Manifest) -> None:
        """Before anything long is fetched: how long it is, the network's root says."""
        wanted = 2 * sum(2 * shard.tokens for shard in manifest.shards)  # for a while twice: in pieces, and as a whole
        free = shutil.disk_usage(self.folder).free
        if wanted > free:
            raise CorpusError(f"the network's corpus needs {wanted:,} bytes here, {free:,} are free: make room")
        if any(2 * shard.tokens > PAGES_MAXIMUM * PAGE_BYTES for shard in manifest.shards):
            raise CorpusError("the network's corpus has shards that are too long to be fetched: add its text files")

    # ---- Shards

    async def _shards(self, index: ShardIndex) -> list[Path | None]:
        """The file of each shard, in their order; None for an empty one."""
        provider = await self._drawn()
        paths: list[Path | None] = [None] * len(index.shards)
        todo, told = enumerate(index.shards), asyncio.get_running_loop().time()
        done = 0

        async def work() -> None:
            nonlocal done, told
            for number, entry in todo:
                if entry.tokens:
                    paths[number] = await self._shard(number, entry, provider)
                done += 1
                now = asyncio.get_running_loop().time()
                if now - told >= TELL_SECONDS:
                    told = now
                    self.tell(f"{done} of {len(index.shards)} shards of the corpus are here")

        workers = [asyncio.create_task(work()) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return paths

    async def _shard(self, number: int, entry: ShardEntry, provider: Provider | None) -> Path:
        holders = () if provider is None else (provider.key,)
        path = await self._verified(entry.blob_root, 2 * entry.tokens, entry.token_sha256, holders)
        if provider is not None and self._givers.pop(entry.blob_root, None) == {provider.key}:
            await asyncio.to_thread(self.served.note, number, provider.node)
        return path

    async def _drawn(self) -> Provider | None:
        """Our provider, if the ledger draws one soon."""
        until = asyncio.get_running_loop().time() + PROVIDER_SECONDS
        while (found := self.provider()) is None and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(LOOK_SECONDS)
        return found

    def _assemble(self, manifest: Manifest, paths: list[Path | None]) -> None:
        """The caches that training reads, then the manifest that makes them count. Raises OSError, CorpusError."""
        tokens = self.root / "tokens"
        for split in SPLITS:
            of_split = [path for shard, path in zip(manifest.shards, paths, strict=True) if shard.split == split]
            write_cache(manifest.root, split, tokens, (path.read_bytes() for path in of_split if path is not None))
        if not is_cached(manifest, tokens):
            raise CorpusError(f"the corpus in {tokens} changed while it was written: check the disk")
        write_atomically(fetched_path(self.network, self.root), write_manifest(manifest).encode())
        with suppress(OSError):
            shutil.rmtree(self.folder)


def _manifest(index: ShardIndex, network: Network) -> Manifest:
    """The network's manifest, but for the vocabulary. Raises FalseIndex."""
    if any(entry.split >= len(SPLITS) for entry in index.shards):
        raise FalseIndex("a shard of an unknown split")
    manifest = Manifest(network.tokenizer_hash, 0, tuple(_named(index.shards)))
    if manifest.root != network.corpus_root:
        raise FalseIndex(f"its shards give the root {manifest.root.hex()[:16]}")
    return manifest


def _named(entries: tuple[ShardEntry, ...]) -> Iterator[Shard]:
    for number, entry in enumerate(entries):
        split = SPLITS[entry.split]
        hashes = entry.text_bytes, entry.text_sha256, entry.tokens, entry.token_sha256
        yield Shard(f"{split}-{number:04d}", split, (), *hashes)


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        digest = sha256()
        while chunk := file.read(PAGE_BYTES):
            digest.update(chunk)
        return digest.digest()


def _has_digest(path: Path, digest: bytes) -> bool:
    try:
        return _digest_of(path) == digest
    except OSError:
        return False
