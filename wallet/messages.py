"""A text signed with a wallet's key: proof that who holds an address said something, and nothing that a ledger takes.

The digest has a tag of its own, `neuroshard/message/1`, with its length before it, as every digest of the protocol has:
no transaction, vote or consent is ever hashed with it. It binds no chain: a text is said once for all networks.
"""

from dataclasses import dataclass

from chain.address import address_of, from_text, to_text
from chain.crypto import ecdsa
from chain.crypto.hashing import tagged_hash
from chain.errors import BadSignature, DecodeError
from wallet.errors import MessageError

TEXT_BYTES_MAXIMUM = 16_384
BLOCK_CHARACTERS_MAXIMUM = TEXT_BYTES_MAXIMUM + 1_000

HEAD = "-----BEGIN NEURO SIGNED MESSAGE-----"
MIDDLE = "-----BEGIN NEURO SIGNATURE-----"
END = "-----END NEURO SIGNATURE-----"
ADDRESS, KEY, SIGNATURE = "address: ", "public key: ", "signature: "


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """A text, the 33-byte public key that signed it, and the 64 bytes of the signature. Checked when it is read."""

    text: str
    public_key: bytes
    signature: bytes

    @property
    def address(self) -> bytes:
        """The 21-byte address of the one who signed."""
        return address_of(self.public_key)

    def to_block(self) -> str:
        """Something to send: the text as it is, and the signature in readable lines."""
        lines = (
            HEAD,
            self.text,
            MIDDLE,
            ADDRESS + to_text(self.address),
            KEY + self.public_key.hex(),
            SIGNATURE + self.signature.hex(),
            END,
        )
        return "\n".join(lines) + "\n"


def digest_of(text: str, public_key: bytes) -> bytes:
    """What is signed. The key is bound, so that a signature fits no other one. Raises MessageError."""
    try:
        encoded = _joined(text).encode()
    except UnicodeEncodeError:
        raise MessageError("the message holds characters that are not text") from None
    if len(encoded) > TEXT_BYTES_MAXIMUM:
        raise MessageError(f"a message has at most {TEXT_BYTES_MAXIMUM} bytes: sign a hash of it instead")
    return tagged_hash("message", public_key, encoded)


def sign_message(text: str, secret: bytes) -> SignedMessage:
    """Sign a text with a wallet's 32-byte secret. Raises MessageError."""
    try:
        public_key = ecdsa.public_key(secret)
        return SignedMessage(_joined(text), public_key, ecdsa.sign(secret, digest_of(text, public_key)))
    except BadSignature as error:
        raise MessageError(str(error)) from None


def read_block(block: str) -> SignedMessage:
    """The message in a block, whose signature has been verified. Raises MessageError, saying what is wrong."""
    if len(block) > BLOCK_CHARACTERS_MAXIMUM:
        raise MessageError(f"a signed message has at most {BLOCK_CHARACTERS_MAXIMUM} characters")
    # The last lines are fixed, so the text may hold whatever it likes, these very lines too.
    lines = _joined(block).strip("\n").split("\n")
    if len(lines) < 7 or lines[0].strip() != HEAD or lines[-5].strip() != MIDDLE or lines[-1].strip() != END:
        raise MessageError(f"a signed message begins with {HEAD} and ends with {END}, and all between belongs to it")
    text = "\n".join(lines[1:-5])
    address = _after(ADDRESS, lines[-4])
    message = SignedMessage(text, _raw(KEY, lines[-3], 33), _raw(SIGNATURE, lines[-2], 64))
    try:
        named = from_text(address)
    except DecodeError as error:
        raise MessageError(str(error)) from None
    check(message, named)
    return message


def check(message: SignedMessage, wanted: bytes) -> None:
    """Raise MessageError unless the owner of this 21-byte address signed the text."""
    if message.address != wanted:
        raise MessageError(f"the public key is that of {to_text(message.address)}, not of {to_text(wanted)}")
    if not ecdsa.verify(message.public_key, digest_of(message.text, message.public_key), message.signature):
        raise MessageError("the signature does not fit: the text was changed, or somebody else signed")


def _joined(text: str) -> str:
    """With one kind of line end: mail and terminals change them on the way."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _after(label: str, line: str) -> str:
    if not line.startswith(label):
        raise MessageError(f"the line with the {label.removesuffix(': ')} is missing or in the wrong place")
    return line.removeprefix(label).strip()


def _raw(label: str, line: str, size: int) -> bytes:
    try:
        raw = bytes.fromhex(_after(label, line))
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise MessageError(f"the {label.removesuffix(': ')} has {size} bytes in hexadecimal")
    return raw
