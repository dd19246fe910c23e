"""TLS 1.3 with a self-signed certificate of the node's own, which proves nothing by itself: the handshake inside does."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a listening node shows. `digest` is what a Hello binds."""

    context: ssl.SSLContext  # for the server
    digest: bytes  # SHA-256 of the certificate as DER


def open_certificate(folder: Path, now: datetime) -> Certificate:
    """The node's certificate in `folder`; made at the first start, and anew if it has expired or is damaged.

    Raises CertificateTrouble if the folder cannot be read or written.
    """
    raise NotImplementedError


def client_context() -> ssl.SSLContext:
    """For a node that dials: TLS 1.3 only, any certificate."""
    raise NotImplementedError
