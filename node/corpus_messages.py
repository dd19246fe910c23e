"""What nodes tell each other about a corpus: `node.corpus_exchange` tells when, `node.corpus_source` what."""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U8, U32, U64, Hash, Wire
from chain.services import SHARDS_MAXIMUM


@dataclass(frozen=True, slots=True)
class CorpusRequest(Wire):
    """Asks where the corpus of this root can be had."""

    corpus_root: Hash


@dataclass(frozen=True, slots=True)
class CorpusName(Wire):
    """The answer: the blob that lists its shards. Root and size zero: the corpus is not here."""

    corpus_root: Hash
    index_root: Hash
    index_bytes: U32


@dataclass(frozen=True, slots=True)
class ShardEntry(Wire):
    """What the corpus root covers of a shard, and under which root its tokens, u16 little-endian, are a blob."""

    split: U8
    text_bytes: U64
    text_sha256: Hash
    tokens: U64
    token_sha256: Hash
    blob_root: Hash


@dataclass(frozen=True, slots=True)
class ShardIndex(Wire):
    """The blob: all shards in the manifest's order, and the tokenizer."""

    tokenizer_root: Hash
    tokenizer_bytes: U32
    shards: Annotated[tuple[ShardEntry, ...], SHARDS_MAXIMUM]


TOKENIZER_BYTES_MAXIMUM = 16 << 20
INDEX_BYTES_MAXIMUM = 32 + 4 + 4 + SHARDS_MAXIMUM * 113
