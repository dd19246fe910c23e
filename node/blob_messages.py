"""What peers say to each other about blobs, where HTTPS cannot reach: `node.blob_exchange` tells when."""

from dataclasses import dataclass
from typing import Annotated

from chain.codec import U32, U64, Hash, Var, Wire
from network.pages import PAGE_BYTES, PAGES_MAXIMUM


@dataclass(frozen=True, slots=True)
class PagesRequest(Wire):
    """Asks for the page hashes of a blob."""

    root: Hash


@dataclass(frozen=True, slots=True)
class Pages(Wire):
    """The answer; size 0 and no hashes: the blob is not here."""

    root: Hash
    size: U64  # bytes of the blob
    hashes: Annotated[tuple[Hash, ...], PAGES_MAXIMUM]


@dataclass(frozen=True, slots=True)
class PageRequest(Wire):
    """Asks for one page."""

    root: Hash
    index: U32


@dataclass(frozen=True, slots=True)
class Page(Wire):
    """The answer; empty: this page is not here, or not to be had now."""

    root: Hash
    index: U32
    content: Annotated[bytes, Var(PAGE_BYTES)]
