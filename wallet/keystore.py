"""A secret under a password, as JSON (EIP-2335 version 4, https://eips.ethereum.org/EIPS/eip-2335).

`seal` writes scrypt, AES-128-CTR and a SHA-256 checksum. `parse` checks a file of unknown origin before a byte of
memory is spent on it; `unseal` opens it, also if PBKDF2 was used. One field is ours: `address`, by which a restored
wallet is recognised. A single key (`wallet.export`) has the public key and the path of the EIP.
"""

import hmac
import json
import secrets
import unicodedata
import uuid
from dataclasses import dataclass, field
from hashlib import pbkdf2_hmac, sha256
from typing import Any, TypeVar

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from wallet.errors import BadPassword, KeystoreCorrupt, KeystoreTooCostly, WrongPassword

SCRYPT_N = 2**17
SCRYPT_R = 8
SCRYPT_P = 1

MAX_FILE_BYTES = 65_536
MAX_SECRET_BYTES = 1024
MAX_SALT_BYTES = 256
MAX_TEXT = 1000
MAX_PASSWORD = 1000
MAX_SCRYPT_MEMORY_BYTES = 2**28
MAX_SCRYPT_R = 64
MAX_SCRYPT_P = 16
MAX_PBKDF2_ROUNDS = 2**24
STRETCHED_BYTES = 32
IV_BYTES = 16

Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True)
class Scrypted:
    """RFC 7914; needs 128 · n · r bytes of memory."""

    salt: bytes
    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P


@dataclass(frozen=True, slots=True)
class Pbkdf2:
    """RFC 2898 with HMAC-SHA-256."""

    salt: bytes
    rounds: int


@dataclass(frozen=True, slots=True)
class Keystore:
    """What a keystore file says. `address` is empty in files that others made; a wallet has no public key, no path."""

    stretching: Scrypted | Pbkdf2
    iv: bytes
    sealed: bytes
    checksum: bytes
    address: str = ""
    description: str = ""
    identity: str = field(default_factory=lambda: str(uuid.uuid4()))
    public_key: str = ""  # in hexadecimal
    path: str = ""  # from the twelve words to a single key


def seal(secret: bytes, password: str, address: str, description: str = "", scrypt_n: int = SCRYPT_N) -> Keystore:
    """Encrypt a secret. A smaller scrypt_n, a power of two, is for tests: it makes guessing passwords cheap."""
    _check_text(description, "description")
    encoded = _encoded_password(password)
    if not encoded:
        raise BadPassword("the password is empty: the keystore would be open to everyone")
    stretching = Scrypted(secrets.token_bytes(32), scrypt_n)
    iv = secrets.token_bytes(IV_BYTES)
    key = _stretched(encoded, stretching)
    sealed = _aes_ctr(key, iv, secret)
    return Keystore(stretching, iv, sealed, _checksum(key, sealed), address, description)


def unseal(keystore: Keystore, password: str) -> bytes:
    """The secret. Raises WrongPassword, BadPassword or KeystoreTooCostly."""
    key = _stretched(_encoded_password(password), keystore.stretching)
    if not hmac.compare_digest(_checksum(key, keystore.sealed), keystore.checksum):
        raise WrongPassword("the password does not open this keystore")
    return _aes_ctr(key, keystore.iv, keystore.sealed)


def _encoded_password(password: str) -> bytes:
    if len(password) > MAX_PASSWORD:
        raise BadPassword(f"a password has at most {MAX_PASSWORD} characters, not {len(password)}")
    plain = unicodedata.normalize("NFKD", password)
    # C0, delete and C1: a terminal may add them unseen.
    kept = "".join(character for character in plain if not (ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F))
    try:
        return kept.encode("utf-8")
    except UnicodeEncodeError:
        raise BadPassword("the password holds characters that are not text") from None


def _stretched(password: bytes, stretching: Scrypted | Pbkdf2) -> bytes:
    if isinstance(stretching, Pbkdf2):
        return pbkdf2_hmac("sha256", password, stretching.salt, stretching.rounds, STRETCHED_BYTES)
    scrypt = Scrypt(stretching.salt, STRETCHED_BYTES, stretching.n, stretching.r, stretching.p)
    try:
        return scrypt.derive(password)
    except MemoryError:
        mebibytes = 128 * stretching.n * stretching.r // 2**20
        raise KeystoreTooCostly(f"opening the keystore takes {mebibytes} MiB of memory: free some and retry") from None


def _aes_ctr(key: bytes, iv: bytes, text: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key[:16]), modes.CTR(iv)).encryptor()
    return cipher.update(text) + cipher.finalize()


def _checksum(key: bytes, sealed: bytes) -> bytes:
    return sha256(key[16:32] + sealed).digest()


def to_json(keystore: Keystore) -> bytes:
    """The file: JSON in UTF-8, at most 64 KiB."""
    stretching = keystore.stretching
    if isinstance(stretching, Scrypted):
        function = "scrypt"
        costs: dict[str, int | str] = {"n": stretching.n, "p": stretching.p, "r": stretching.r}
    else:
        function, costs = "pbkdf2", {"c": stretching.rounds, "prf": "hmac-sha256"}
    params = {"dklen": STRETCHED_BYTES, **costs, "salt": stretching.salt.hex()}
    content = {
        "crypto": {
            "kdf": {"function": function, "params": params, "message": ""},
            "checksum": {"function": "sha256", "params": {}, "message": keystore.checksum.hex()},
            "cipher": {
                "function": "aes-128-ctr",
                "params": {"iv": keystore.iv.hex()},
                "message": keystore.sealed.hex(),
            },
        },
        "description": keystore.description,
        **({"pubkey": keystore.public_key} if keystore.public_key else {}),
        **({"address": keystore.address} if keystore.address or not keystore.public_key else {}),
        "path": keystore.path,
        "uuid": keystore.identity,
        "version": 4,
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def parse(file: bytes) -> Keystore:
    """The keystore in a file. Raises KeystoreCorrupt or KeystoreTooCostly."""
    if len(file) > MAX_FILE_BYTES:
        raise KeystoreCorrupt(f"a keystore file has at most {MAX_FILE_BYTES} bytes")
    try:
        content = json.loads(file.decode("utf-8"))
    except (ValueError, RecursionError):
        raise KeystoreCorrupt("the keystore file is not JSON") from None
    version = _at(content, int, "version")
    if version != 4:
        raise KeystoreCorrupt(f"only keystores of version 4 are known, not {version}")
    _expect(content, "sha256", "crypto", "checksum", "function")
    _expect(content, "aes-128-ctr", "crypto", "cipher", "function")
    return Keystore(
        stretching=_parse_stretching(content),
        iv=_hex(content, (IV_BYTES, IV_BYTES), "crypto", "cipher", "params", "iv"),
        sealed=_hex(content, (1, MAX_SECRET_BYTES), "crypto", "cipher", "message"),
        checksum=_hex(content, (32, 32), "crypto", "checksum", "message"),
        address=_text(content, "address"),
        description=_text(content, "description"),
        identity=_text(content, "uuid"),
        public_key=_text(content, "pubkey"),
        path=_text(content, "path"),
    )


def _parse_stretching(content: Any) -> Scrypted | Pbkdf2:
    params = ("crypto", "kdf", "params")
    if _at(content, int, *params, "dklen") != STRETCHED_BYTES:
        raise KeystoreCorrupt(f"the stretched key of a keystore has {STRETCHED_BYTES} bytes")
    salt = _hex(content, (1, MAX_SALT_BYTES), *params, "salt")
    if _at(content, str, "crypto", "kdf", "function") == "pbkdf2":
        _expect(content, "hmac-sha256", *params, "prf")
        rounds = _at(content, int, *params, "c")
        if not 1 <= rounds <= MAX_PBKDF2_ROUNDS:
            raise KeystoreTooCostly(f"1 to {MAX_PBKDF2_ROUNDS} rounds of PBKDF2 are allowed")
        return Pbkdf2(salt, rounds)
    _expect(content, "scrypt", "crypto", "kdf", "function")
    n, r, p = (_at(content, int, *params, name) for name in ("n", "r", "p"))
    if n < 2 or r < 1 or p < 1 or n & (n - 1) or n.bit_length() > 16 * r:
        raise KeystoreCorrupt("scrypt takes a power of two below 2**(16 * r) as n, and positive r and p")
    # Besides the 128 · n · r bytes, scrypt takes 128 · r · p.
    if 128 * n * r > MAX_SCRYPT_MEMORY_BYTES or r > MAX_SCRYPT_R or p > MAX_SCRYPT_P:
        mebibytes = MAX_SCRYPT_MEMORY_BYTES >> 20
        raise KeystoreTooCostly(f"scrypt may take {mebibytes} MiB, r = {MAX_SCRYPT_R} and p = {MAX_SCRYPT_P} at most")
    return Scrypted(salt, n, r, p)


def _at(content: Any, kind: type[Kind], *path: str) -> Kind:
    """The value at a path of names, exactly of that kind: `true` is no number."""
    value = content
    for name in path:
        if not isinstance(value, dict) or name not in value:
            raise KeystoreCorrupt(f"the keystore file lacks {'.'.join(path)}")
        value = value[name]
    if type(value) is not kind:
        raise KeystoreCorrupt(f"the keystore file has {type(value).__name__} where {'.'.join(path)} is {kind.__name__}")
    return value


def _expect(content: Any, wanted: str, *path: str) -> None:
    if _at(content, str, *path) != wanted:
        raise KeystoreCorrupt(f"the keystore file has another {'.'.join(path)} than {wanted}")


def _text(content: Any, name: str) -> str:
    if name not in content:
        return ""
    text = _at(content, str, name)
    _check_text(text, name)
    return text


def _check_text(text: str, name: str) -> None:
    # These are shown to the user: a file must not steer the terminal.
    if len(text) > MAX_TEXT or not text.isprintable():
        raise KeystoreCorrupt(f"{name} is at most {MAX_TEXT} printable characters on one line")


def _hex(content: Any, sizes: tuple[int, int], *path: str) -> bytes:
    text = _at(content, str, *path)
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raise KeystoreCorrupt(f"{'.'.join(path)} is not hexadecimal") from None
    if not sizes[0] <= len(raw) <= sizes[1]:
        raise KeystoreCorrupt(f"{'.'.join(path)} has {sizes[0]} to {sizes[1]} bytes, not {len(raw)}")
    return raw
