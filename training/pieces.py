"""An operator's own text files as documents: long files are cut, so that some text of every file can be held out.

A piece ends after the first blank line past 16 KiB of it, else after the first line's end past that, else at 64 KiB,
never within a character. Pieces in a row are the file, byte for byte. A document is named by the file's SHA-256 and its
place.
"""

import mmap
from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from training.errors import CorpusError
from training.sources import Source

PIECE_BYTES = 16_384
PIECE_MAXIMUM = 65_536
READ_BYTES = 1 << 20


def check_text(path: Path) -> tuple[bytes, int]:
    """SHA-256 and length of a text file. Raises CorpusError if it is empty, binary, not UTF-8 or cannot be read."""
    digest, decoder, length = sha256(), getincrementaldecoder("utf-8")(), 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(READ_BYTES):
                if b"\0" in chunk:
                    raise CorpusError(
                        f"{path} is no text: it holds a zero byte at {length + chunk.index(0)}; leave it out"
                    )
                decoder.decode(chunk)
                digest.update(chunk)
                length += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{path} is not UTF-8 text (near byte {length + error.start}); convert it or leave it out"
        ) from error
    except OSError as error:
        raise CorpusError(f"cannot read the text {path}: {error.strerror}") from error
    if not length:
        raise CorpusError(f"{path} is empty: leave it out")
    return digest.digest(), length


def pieces(path: Path, digest: bytes) -> Iterator[tuple[str, bytes]]:
    """The documents of a checked text file as (name, bytes), in their order. Takes the memory of one piece."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
            start = 0
            while start < len(text):
                end = _end(text, start)
                yield f"{digest.hex()}.{start}-{end}", text[start:end]
                start = end
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read the text {path}: {error}") from error


def _end(text: mmap.mmap, start: int) -> int:
    last = min(start + PIECE_MAXIMUM, len(text))
    if len(text) - start <= PIECE_BYTES:
        return len(text)
    for mark in (b"\n\n", b"\n"):
        if (found := text.find(mark, start + PIECE_BYTES, last)) >= 0:
            return found + len(mark)
    while last < len(text) and text[last] & 0xC0 == 0x80:
        last -= 1
    return last


def stored_pieces(folder: Path) -> Source:
    """Documents out of text files that lie in `folder` under their SHA-256."""

    def read(name: str) -> bytes:
        digest, start, end = split_name(name)
        try:
            with (folder / digest).open("rb") as file:
                file.seek(start)
                return file.read(end - start)
        except OSError as error:
            raise CorpusError(
                f"the text {digest[:16]} is not in {folder} ({error.strerror}): add its file again with data add"
            ) from error

    return read


def split_name(name: str) -> tuple[str, int, int]:
    """File hash in hex, first byte and end of a document. Raises CorpusError: manifests come from elsewhere."""
    digest, _, place = name.partition(".")
    start, _, end = place.partition("-")
    if len(digest) == 64 and set(digest) <= set("0123456789abcdef") and _is_number(start) and _is_number(end):
        first, last = int(start), int(end)
        if 0 < last - first <= PIECE_MAXIMUM:
            return digest, first, last
    raise CorpusError(f"{name[:100]!r} names no document of a text file")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


def sizes(names: Iterable[str]) -> dict[str, int]:
    """Bytes of each file whose documents are named, by file hash."""
    found: dict[str, int] = {}
    for name in names:
        digest, start, end = split_name(name)
        found[digest] = found.get(digest, 0) + end - start
    return found
