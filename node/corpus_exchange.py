"""Where a network's corpus can be had: asked of peers, and told to them. Start reading at `CorpusExchange.ask`.

A peer names the blob that lists the shards. Of that list only what the corpus root covers can be checked at once; that
its blobs are the right bytes shows when they have come. So what different peers name is kept apart, by who named it.
"""

from collections.abc import Mapping
from typing import Protocol

from chain.crypto.hashing import ZERO
from network.kinds import CORPUS, CORPUS_REQUEST
from network.peer import LIGHT, Peer
from node.blob_serving import BLOBS
from node.corpus_messages import INDEX_BYTES_MAXIMUM, CorpusName, CorpusRequest
from node.parts import Handler
from node.runtime import INVALID, UNASKED, Runtime


class Named(Protocol):
    """What this node has: `node.corpus_source.CorpusSource`."""

    def name(self) -> CorpusName: ...


class CorpusExchange:
    """A part (`node.parts`). `source.name` is called in the lane BLOBS."""

    def __init__(self, runtime: Runtime, corpus_root: bytes, source: Named) -> None:
        self.runtime = runtime
        self.corpus_root = corpus_root
        self.source = source
        self.is_wanted = False  # then whoever joins is asked
        self.names: dict[CorpusName, set[bytes]] = {}  # and the peers that gave them
        self._asked: set[bytes] = set()
        self._liars: set[bytes] = set()

    def handlers(self) -> Mapping[int, Handler]:
        return {CORPUS_REQUEST: self._request, CORPUS: self._told}

    def joined(self, peer: Peer) -> None:
        if self.is_wanted:
            self._ask(peer)

    def left(self, key: bytes) -> None:
        self._asked.discard(key)
        self._forget(key)

    def ask(self) -> None:
        """Ask all peers that have not been caught with a false name."""
        for peer in self.runtime.peers().values():
            self._ask(peer)

    def _ask(self, peer: Peer) -> None:
        if peer.roles != LIGHT and peer.key not in self._liars:
            self._asked.add(peer.key)
            self.runtime.send(peer.key, CORPUS_REQUEST, CorpusRequest(self.corpus_root).encode())

    def best(self) -> CorpusName | None:
        """What the most peers have named."""
        return max(self.names, key=lambda name: (len(self.names[name]), name.index_root), default=None)

    def refuse(self, name: CorpusName, reason: str) -> None:
        """It is false: whoever gave it has lied."""
        for key in sorted(self.names.pop(name, set())):
            self._liars.add(key)
            self.runtime.blame(key, INVALID, f"corpus {self.corpus_root.hex()[:16]}: {reason}")

    def drop(self, name: CorpusName) -> None:
        """It could not be had now: others may name something else."""
        self.names.pop(name, None)

    def _forget(self, key: bytes) -> None:
        for name in [name for name, keys in self.names.items() if key in keys]:
            self.names[name].discard(key)
            if not self.names[name]:
                del self.names[name]

    def _request(self, key: bytes, payload: bytes) -> None:
        wanted = CorpusRequest.decode(payload).corpus_root
        if wanted != self.corpus_root:
            self._answer(key, CorpusName(wanted, ZERO, 0))
            return
        self.runtime.offload(BLOBS, self.source.name, lambda name: self._answer(key, name))

    def _answer(self, key: bytes, name: CorpusName) -> None:
        self.runtime.send(key, CORPUS, name.encode())

    def _told(self, key: bytes, payload: bytes) -> None:
        name = CorpusName.decode(payload)
        if key not in self._asked:
            self.runtime.blame(key, UNASKED, "told of a corpus that nobody asked for")
            return
        if name.corpus_root != self.corpus_root or name.index_bytes > INDEX_BYTES_MAXIMUM:
            self.runtime.blame(key, INVALID, "named another corpus, or one that is too large")
            return
        self._forget(key)  # one name for each peer
        if name.index_bytes and key not in self._liars:
            self.names.setdefault(name, set()).add(key)
