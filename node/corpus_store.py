"""The operator's own text in a data directory. Start reading at `OwnCorpus.add`.

corpus/<sha256>                   a text file, as it was given
corpus/<sha256>.tokenizer.json    the tokenizer that the manifest names
corpus/manifest.json              documents and hashes, written last: without it there is no corpus of one's own
corpus/names.json                 what the files were called, for people
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from node.data_directory import read_json, write_atomically
from node.errors import NodeError, disk_advice
from training.errors import CorpusError
from training.manifest import SPLITS, Manifest, build_manifest, is_held_out, read_manifest, write_manifest
from training.pieces import check_text, pieces, sizes
from training.sources import shipped_file
from training.tokens import Tokenizer, train_tokenizer

MANIFEST, NAMES = "manifest.json", "names.json"
SUFFIXES = (".txt", ".md")
# One window to measure on; training needs a sequence.
LEAST_TOKENS = 128
# Told what is being done and how many of how many files are through.
Progress = Callable[[str, int, int], None]
Check = Callable[[Manifest], None]


@dataclass(frozen=True, slots=True)
class TextFile:
    """A checked text file: where it lies, what it is called, SHA-256, bytes."""

    path: Path
    name: str
    digest: bytes
    length: int


@dataclass(frozen=True, slots=True)
class Added:
    """What `add` has done. `twins` are files given more than once, or there already."""

    manifest: Manifest
    files: tuple[TextFile, ...]
    twins: tuple[str, ...]


class OwnCorpus:
    """The corpus/ of a data directory. Raises CorpusError, TokenizerError and NodeError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def manifest(self) -> Manifest | None:
        """None if the operator has added no text."""
        try:
            return read_manifest((self.folder / MANIFEST).read_text())
        except FileNotFoundError:
            return None
        except (OSError, UnicodeError, CorpusError) as error:
            raise CorpusError(
                f"{self.folder / MANIFEST} is damaged ({error}): add the text files again with neuroshard data add"
            ) from error

    def tokenizer_path(self, digest: bytes) -> Path:
        return self.folder / f"{digest.hex()}.tokenizer.json"

    def names(self) -> dict[str, str]:
        found = read_json(self.folder / NAMES) or {}
        return {digest: name for digest, name in found.items() if isinstance(name, str)}

    def add(self, given: list[Path], tokenizer: str, vocabulary: int, check: Check, progress: Progress) -> Added:
        """Add text files, and those in folders, to what is there. If `check` refuses the manifest, all is as before.

        `tokenizer` is "train" (on this text, `vocabulary` tokens) or "shipped". The same texts give the same manifest,
        whatever their names and order.
        """
        files, twins = self._checked(given, progress)
        progress("learning a tokenizer", 0, 1)
        tokenizer_bytes = self._tokenizer(files, tokenizer, vocabulary)
        progress("learning a tokenizer", 1, 1)
        manifest = build_manifest(_documents(files, progress), Tokenizer(tokenizer_bytes))
        for split in SPLITS:
            if manifest.token_count(split) <= LEAST_TOKENS:
                raise CorpusError(
                    f"{manifest.token_count(split)} tokens fall to the {split} part, more than {LEAST_TOKENS} are "
                    "needed: about every twentieth piece of 16 KiB is held out, so add more text"
                )
        check(manifest)
        self._keep(files, manifest, tokenizer_bytes)
        return Added(manifest, tuple(files), tuple(twins))

    def _checked(self, given: list[Path], progress: Progress) -> tuple[list[TextFile], list[str]]:
        """Every text file by its hash, the stored ones among them, and the names of those that came twice."""
        manifest, names = self.manifest(), self.names()
        known = {} if manifest is None else sizes([name for shard in manifest.shards for name in shard.documents])
        files = {
            digest: TextFile(self.folder / digest, names.get(digest, digest), bytes.fromhex(digest), length)
            for digest, length in known.items()
        }
        twins, found = [], list(_text_files(given))
        for index, path in enumerate(found):
            progress("reading", index, len(found))
            digest, length = check_text(path)
            twin = files.get(digest.hex())
            if twin is not None:
                twins.append(str(path))
            # A given file also mends a stored one that was lost or damaged.
            if twin is None or not _is_sound(twin):
                files[digest.hex()] = TextFile(path, path.name, digest, length)
        for file in files.values():
            if not _is_sound(file):
                raise CorpusError(f"{file.path} ({file.name}) is lost or damaged: give the file again with the others")
        return [files[digest] for digest in sorted(files)], twins

    def _tokenizer(self, files: list[TextFile], choice: str, vocabulary: int) -> bytes:
        if choice == "shipped":
            return shipped_file("tokenizer.json").read_bytes()
        documents = (text for file in files for _, text in pieces(file.path, file.digest))
        return train_tokenizer((text.decode() for text in documents if not is_held_out(text)), vocabulary)

    def _keep(self, files: list[TextFile], manifest: Manifest, tokenizer_bytes: bytes) -> None:
        names = {file.digest.hex(): file.name for file in files}
        try:
            self.folder.mkdir(mode=0o700, exist_ok=True)
            for file in files:
                _copy(file, self.folder / file.digest.hex())
            write_atomically(self.tokenizer_path(manifest.tokenizer_sha256), tokenizer_bytes)
            write_atomically(self.folder / NAMES, json.dumps(names, indent=1).encode() + b"\n")
            write_atomically(self.folder / MANIFEST, write_manifest(manifest).encode())
        except OSError as error:
            raise NodeError(f"cannot write in {self.folder}: {disk_advice(error)}") from error


def _text_files(given: list[Path]) -> Iterator[Path]:
    for path in given:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        if not inside:
            raise CorpusError(
                f"the folder {path} holds no files ending in {' or '.join(SUFFIXES)}: name the files themselves"
            )
        yield from inside


def _documents(files: list[TextFile], progress: Progress) -> Iterator[tuple[str, bytes]]:
    for index, file in enumerate(files):
        progress("cutting into tokens", index, len(files))
        yield from pieces(file.path, file.digest)
    progress("cutting into tokens", len(files), len(files))


def _is_sound(file: TextFile) -> bool:
    try:
        return check_text(file.path) == (file.digest, file.length)
    except CorpusError:
        return False


def _copy(file: TextFile, to: Path) -> None:
    """Put a text into the store, durably: the manifest written later relies on it."""
    if file.path == to or _is_sound(replace(file, path=to)):
        return
    draft = to.with_name(to.name + ".partial")
    try:
        shutil.copyfile(file.path, draft)
        if check_text(draft) != (file.digest, file.length):
            raise CorpusError(f"{file.path} has changed while it was read: add it again")
        with draft.open("rb") as copy:
            os.fsync(copy.fileno())
        draft.replace(to)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
