"""The manifest: which texts the network trains on, cut into shards and pinned by hash, and which of them are held out.

A document belongs to the held-out split iff the first byte of H(neuroshard/split/1, document bytes) is below 13 (about
5 %): nobody chooses, and adding documents moves none. Shards are runs of documents of one split, in the given order.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.tags import tagged
from training.tokens import Tokenizer

Split = Literal["train", "validation"]
SPLITS: tuple[Split, ...] = ("train", "validation")
HELD_OUT_BELOW = 13
SHARD_BYTES = 1 << 20  # A shard is closed once it holds this much text, so one document never spans two.
MANIFEST_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Shard:
    """Documents of one split. `text_sha256` is over their bytes in a row, `token_sha256` over u16 LE tokens."""

    name: str
    split: Split
    documents: tuple[str, ...]
    text_bytes: int
    text_sha256: bytes
    tokens: int
    token_sha256: bytes

    def encode(self) -> bytes:
        """The 81 bytes that the manifest's root covers: split, text length and hash, token count and hash."""
        return b"".join(
            (
                SPLITS.index(self.split).to_bytes(1, "big"),
                self.text_bytes.to_bytes(8, "big"),
                self.text_sha256,
                self.tokens.to_bytes(8, "big"),
                self.token_sha256,
            )
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """The corpus in hashes. `vocabulary` counts the tokenizer's tokens."""

    tokenizer_sha256: bytes
    vocabulary: int
    shards: tuple[Shard, ...]

    @property
    def root(self) -> bytes:
        """What genesis pins: H(neuroshard/corpus/1, tokenizer hash, each shard's record)."""
        return tagged("corpus", self.tokenizer_sha256, *(shard.encode() for shard in self.shards))

    def token_count(self, split: Split) -> int:
        """Tokens of one split."""
        return sum(shard.tokens for shard in self.shards if shard.split == split)


def is_held_out(document: bytes) -> bool:
    """Whether a document is kept from training, to measure on."""
    return tagged("split", document)[0] < HELD_OUT_BELOW


@dataclass(slots=True)
class _OpenShard:
    """A shard that still takes documents."""

    names: list[str] = field(default_factory=list)
    documents: list[bytes] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.documents))


def build_manifest(documents: Iterable[tuple[str, bytes]], tokenizer: Tokenizer) -> Manifest:
    """The manifest of named documents, in the given order. Raises CorpusError for a document that is not UTF-8."""
    shards: list[Shard] = []
    open_shards: dict[Split, _OpenShard] = {split: _OpenShard() for split in SPLITS}
    for name, document in documents:
        split: Split = "validation" if is_held_out(document) else "train"
        open_shards[split].names.append(name)
        open_shards[split].documents.append(document)
        if open_shards[split].size_bytes >= SHARD_BYTES:
            shards.append(_close(open_shards[split], split, len(shards), tokenizer))
            open_shards[split] = _OpenShard()
    for split, rest in open_shards.items():
        if rest.documents:
            shards.append(_close(rest, split, len(shards), tokenizer))
    return Manifest(tokenizer.sha256, tokenizer.vocabulary, tuple(shards))


def _close(shard: _OpenShard, split: Split, index: int, tokenizer: Tokenizer) -> Shard:
    """Tokenise and hash a full shard."""
    texts = [decode_document(name, document) for name, document in zip(shard.names, shard.documents, strict=True)]
    tokens = tokenizer.encode_documents(texts)
    return Shard(
        name=f"{split}-{index:04d}",
        split=split,
        documents=tuple(shard.names),
        text_bytes=shard.size_bytes,
        text_sha256=sha256(b"".join(shard.documents)).digest(),
        tokens=len(tokens),
        token_sha256=token_sha256(tokens),
    )


def decode_document(name: str, document: bytes) -> str:
    """The text of a document. Raises CorpusError if its bytes are not UTF-8."""
    try:
        return document.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{name} is not UTF-8 text (byte {error.start}); convert it or leave it out") from error


def token_sha256(tokens: NDArray[np.uint16]) -> bytes:
    """SHA-256 of tokens as unsigned 16-bit little-endian numbers."""
    return sha256(np.ascontiguousarray(tokens, dtype="<u2").data).digest()


def write_manifest(manifest: Manifest) -> str:
    """The manifest as JSON text, the same text for the same manifest."""
    shards = [
        {
            "name": shard.name,
            "split": shard.split,
            "text_bytes": shard.text_bytes,
            "text_sha256": shard.text_sha256.hex(),
            "tokens": shard.tokens,
            "token_sha256": shard.token_sha256.hex(),
            "documents": list(shard.documents),
        }
        for shard in manifest.shards
    ]
    record = {
        "format": MANIFEST_FORMAT,
        "root": manifest.root.hex(),
        "tokenizer_sha256": manifest.tokenizer_sha256.hex(),
        "vocabulary": manifest.vocabulary,
        "shards": shards,
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def read_manifest(text: str) -> Manifest:
    """Parse a manifest and check that its root covers it. Raises CorpusError otherwise."""
    try:
        record = json.loads(text)
        if record["format"] != MANIFEST_FORMAT:
            raise CorpusError(f"corpus manifest of format {record['format']}; this program reads {MANIFEST_FORMAT}")
        shards = tuple(_read_shard(entry) for entry in record["shards"])
        manifest = Manifest(_read_hash(record["tokenizer_sha256"]), int(record["vocabulary"]), shards)
        root = _read_hash(record["root"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise CorpusError(f"malformed corpus manifest: {error!r}") from error
    if root != manifest.root:
        raise CorpusError(f"the corpus manifest says root {root.hex()}, its shards give {manifest.root.hex()}")
    return manifest


def _read_shard(entry: dict[str, Any]) -> Shard:
    if entry["split"] not in SPLITS:
        raise ValueError(f"unknown split {entry['split']!r}")
    text_bytes, tokens = int(entry["text_bytes"]), int(entry["tokens"])
    if not (0 <= text_bytes < 1 << 64 and 0 <= tokens < 1 << 64):
        raise ValueError(f"sizes out of range: {text_bytes} bytes, {tokens} tokens")
    return Shard(
        name=str(entry["name"]),
        split=entry["split"],
        documents=tuple(str(name) for name in entry["documents"]),
        text_bytes=text_bytes,
        text_sha256=_read_hash(entry["text_sha256"]),
        tokens=tokens,
        token_sha256=_read_hash(entry["token_sha256"]),
    )


def _read_hash(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError(f"a hash of {len(digest)} bytes")
    return digest
