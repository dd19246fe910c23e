"""The protocol's hash of tagged parts, restated here because training imports no ledger code."""

from hashlib import sha256


def tagged(name: str, *parts: bytes) -> bytes:
    """SHA-256 of the tag `neuroshard/NAME/1`, with its length in one byte before it, and the parts. 32 bytes."""
    tag = f"neuroshard/{name}/1".encode("ascii")
    return sha256(b"".join((len(tag).to_bytes(1, "big"), tag, *parts))).digest()
