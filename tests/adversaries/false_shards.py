"""A server of false shards: its list has the hashes of the network's corpus, but names blobs that hold other bytes.

Every page that it sends fits its list, so the pages prove nothing; only the hash that the corpus root covers does.
"""

from dataclasses import replace

from chain.crypto.hashing import leaf_hash, root_of_hashes
from network.blob_server import BlobSource
from network.pages import HASH_BYTES, PAGE_BYTES
from node.corpus_messages import CorpusName, ShardEntry, ShardIndex
from node.corpus_source import CorpusSource
from training.manifest import SPLITS


class FalseShards:
    """What an honest node has, with other tokens in the shard at `place`: they end with one bit that is wrong."""

    def __init__(self, honest: CorpusSource, place: int = 0) -> None:
        name = honest.name()
        index = ShardIndex.decode(whole(honest, name.index_root))
        wrong = bytearray(whole(honest, index.shards[place].blob_root))
        wrong[-1] ^= 1
        shards = [
            replace(each, blob_root=root_of(bytes(wrong))) if at == place else each for at, each in numbered(index)
        ]
        listed = replace(index, shards=tuple(shards)).encode()
        self.honest: BlobSource = honest
        self.own = {root_of(blob): blob for blob in (bytes(wrong), listed)}
        self._name = CorpusName(name.corpus_root, root_of(listed), len(listed))

    def name(self) -> CorpusName:
        return self._name

    def size(self, root: bytes) -> int | None:
        return len(self.own[root]) if root in self.own else self.honest.size(root)

    def page_hashes(self, root: bytes) -> bytes | None:
        return hashes_of(self.own[root]) if root in self.own else self.honest.page_hashes(root)

    def read(self, root: bytes, offset: int, length: int) -> bytes | None:
        own = self.own.get(root)
        return self.honest.read(root, offset, length) if own is None else own[offset : offset + length]


class OtherCorpus(FalseShards):
    """Its list is of another corpus altogether: the wrong shard has a hash of its own there."""

    def __init__(self, honest: CorpusSource) -> None:
        super().__init__(honest)
        name = honest.name()
        index = ShardIndex.decode(whole(honest, name.index_root))
        listed = replace(index, shards=tuple(reversed(index.shards))).encode()
        self.own = {root_of(listed): listed}
        self._name = CorpusName(name.corpus_root, root_of(listed), len(listed))


def numbered(index: ShardIndex) -> list[tuple[int, ShardEntry]]:
    assert all(each.split < len(SPLITS) for each in index.shards)
    return list(enumerate(index.shards))


def whole(source: BlobSource, root: bytes) -> bytes:
    size = source.size(root)
    content = None if size is None else source.read(root, 0, size)
    assert content is not None
    return content


def hashes_of(blob: bytes) -> bytes:
    return b"".join(leaf_hash(blob[at : at + PAGE_BYTES]) for at in range(0, len(blob), PAGE_BYTES))


def root_of(blob: bytes) -> bytes:
    hashes = hashes_of(blob)
    return root_of_hashes([hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)])
