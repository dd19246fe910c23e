"""The corpus that this node trains on, as blobs: the tokens of each shard, the tokenizer, and the list of them all.

Tokens are read from where they lie, in the caches of `training.corpus`. What a hash of the manifest does not cover is
given to nobody: a damaged cache serves nothing. Start reading at `CorpusSource.name`.
"""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from chain.crypto.hashing import ZERO, leaf_hash, root_of_hashes
from chain.genesis import Network
from network.pages import PAGE_BYTES
from node.blob_source import FindingSource
from node.corpus_choice import known_manifest, tokenizer_of
from node.corpus_messages import CorpusName, ShardEntry, ShardIndex
from training.corpus import cache_path
from training.errors import CorpusError
from training.manifest import SPLITS, Manifest

Seen = tuple[tuple[int, int, int], ...]  # inode, time of the last change, size of each file


@dataclass(frozen=True, slots=True)
class _Slice:
    """A blob: bytes of a file from `offset` on, or bytes in memory."""

    where: Path | bytes
    offset: int
    length: int
    hashes: bytes

    @property
    def root(self) -> bytes:
        return root_of_hashes([self.hashes[at : at + 32] for at in range(0, len(self.hashes), 32)])


@dataclass(frozen=True, slots=True)
class _Offer:
    name: CorpusName
    slices: dict[bytes, _Slice]


class CorpusSource(FindingSource[_Slice]):
    """A `network.blob_server.BlobSource`, for any number of threads. `root`: the data directory."""

    def __init__(self, network: Network, root: Path) -> None:
        self.network = network
        self.root = root
        self._seen: Seen = ()
        self._offer: _Offer | None = None
        self._lock = Lock()  # so that a corpus is not hashed twice at once

    def name(self) -> CorpusName:
        """What a peer is told; the first call hashes the whole corpus."""
        offer = self._look()
        return CorpusName(self.network.corpus_root, ZERO, 0) if offer is None else offer.name

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        found = self._find(root)
        if found is None:
            return None
        first, most = found.offset + offset, max(0, min(length, found.length - offset))
        if isinstance(found.where, bytes):
            return found.where[first : first + most]
        try:
            with found.where.open("rb") as file:
                return os.pread(file.fileno(), most, first)
        except OSError:
            return None

    def _find(self, root: bytes) -> _Slice | None:
        # Most roots that peers ask for are of other things: for them nothing is hashed.
        offer = self._offer if self._offer is None or root not in self._offer.slices else self._look()
        return None if offer is None else offer.slices.get(root)

    def _look(self) -> _Offer | None:
        """What is here now; hashed again when a file has changed."""
        with self._lock:
            seen = self._stat()
            if seen != self._seen:
                self._seen = seen
                self._offer = self._read() if seen else None
            return self._offer

    def _stat(self) -> Seen:
        """Nothing while a cache is missing."""
        paths = [cache_path(self.network.corpus_root, split, self.root / "tokens") for split in SPLITS]
        try:
            found = [path.stat() for path in (*paths, tokenizer_of(self.network, self.root))]
        except OSError:
            return ()
        return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)

    def _read(self) -> _Offer | None:
        try:
            manifest = known_manifest(self.network, self.root)
            if manifest is None:
                return None
            return self._offer_of(manifest, tokenizer_of(self.network, self.root).read_bytes())
        except (OSError, CorpusError):
            return None

    def _offer_of(self, manifest: Manifest, tokenizer: bytes) -> _Offer | None:
        if sha256(tokenizer).digest() != manifest.tokenizer_sha256:
            return None
        slices = [_in_memory(tokenizer)]
        entries, offsets = [], dict.fromkeys(SPLITS, 0)
        for shard in manifest.shards:
            path = cache_path(manifest.root, shard.split, self.root / "tokens")
            found = _in_file(path, offsets[shard.split], 2 * shard.tokens, shard.token_sha256)
            if found is None:
                return None
            offsets[shard.split] += found.length
            slices.append(found)
            fixed = SPLITS.index(shard.split), shard.text_bytes, shard.text_sha256, shard.tokens, shard.token_sha256
            entries.append(ShardEntry(*fixed, found.root))
        index = _in_memory(ShardIndex(slices[0].root, len(tokenizer), tuple(entries)).encode())
        name = CorpusName(manifest.root, index.root, index.length)
        return _Offer(name, {each.root: each for each in (*slices, index)})


def _in_memory(content: bytes) -> _Slice:
    hashes = [leaf_hash(content[at : at + PAGE_BYTES]) for at in range(0, len(content), PAGE_BYTES)]
    return _Slice(content, 0, len(content), b"".join(hashes))


def _in_file(path: Path, offset: int, length: int, digest: bytes) -> _Slice | None:
    """None if other bytes lie there. Raises OSError."""
    hashes, whole = [], sha256()
    with path.open("rb") as file:
        for at in range(0, length, PAGE_BYTES):
            page = os.pread(file.fileno(), min(PAGE_BYTES, length - at), offset + at)
            whole.update(page)
            hashes.append(leaf_hash(page))
    return _Slice(path, offset, length, b"".join(hashes)) if whole.digest() == digest else None
