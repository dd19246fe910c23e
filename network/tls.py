"""TLS 1.3 with a self-signed certificate of the node's own. By itself it proves nothing: the handshake inside does."""

import hashlib
import logging
import os
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from network.errors import CertificateTrouble

FILE_NAME = "tls.pem"
FILE_BYTES_MAXIMUM = 64 << 10
VALID_DAYS = 3_650
LOG = logging.getLogger("neuroshard.network")


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a listening node shows. `digest` is what a Hello binds."""

    context: ssl.SSLContext  # for the server
    digest: bytes  # SHA-256 of the certificate as DER


class _Damaged(Exception):
    """Why the file is of no use."""


def open_certificate(folder: Path, now: datetime) -> Certificate:
    """The node's certificate in `folder`; made at the first start, and anew if it has expired or is damaged.

    `now` has a time zone. Raises CertificateTrouble if the folder cannot be read or written.
    """
    path = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return _read(path, now)
        except FileNotFoundError:
            pass
        except _Damaged as trouble:
            LOG.warning("the TLS certificate %s is of no use (%s): a new one is made", path, trouble)
        _write(path, _make(now))
        return _read(path, now)
    except OSError as error:
        reason = error.strerror or error
        raise CertificateTrouble(
            f"cannot keep the TLS certificate in {path}: {reason}; give the folder back to this user"
        ) from error
    except _Damaged as trouble:
        raise CertificateTrouble(f"the TLS certificate just written to {path} reads back damaged: {trouble}") from None


def client_context() -> ssl.SSLContext:
    """For a node that dials: TLS 1.3 only, any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # Who it is follows from the Hello, which binds the certificate.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _read(path: Path, now: datetime) -> Certificate:
    """Raises FileNotFoundError, OSError, _Damaged."""
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            os.fchmod(file.fileno(), 0o600)
        content = file.read(FILE_BYTES_MAXIMUM + 1)
    if len(content) > FILE_BYTES_MAXIMUM:
        raise _Damaged("it is too long")
    try:
        certificate = x509.load_pem_x509_certificate(content)
        key = serialization.load_pem_private_key(content, None)
        certificate.verify_directly_issued_by(certificate)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _Damaged("it does not hold a key and a certificate") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise _Damaged("key and certificate do not belong together")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise _Damaged(f"it is valid from {certificate.not_valid_before_utc} to {certificate.not_valid_after_utc}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # Every connection shows the certificate anew, for the Hello binds it.
    try:
        context.load_cert_chain(path)
    except ssl.SSLError as error:
        raise _Damaged("the TLS library refuses it") from error
    return Certificate(context, hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).digest())


def _make(now: datetime) -> bytes:
    """A fresh key and its certificate, as PEM. Names no person and no machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "neuroshard")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .sign(key, hashes.SHA256())
    )
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def _write(path: Path, content: bytes) -> None:
    """The whole file or none, readable by us alone from its first moment."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
