"""The file `node-key` of a data directory: which of the wallet's node keys it uses.

A wallet that is on several machines is several nodes, so each directory draws a number of its own. The file holds the
number and the first 8 hexadecimal digits of its SHA-256, so that a damaged one is not taken for another key.
"""

from hashlib import sha256
from pathlib import Path

from node.errors import DataDirectoryError, disk_advice

INDEX_DIGITS_MAXIMUM = 10
INDEXES = 2**31  # BIP-32 has as many keys of a kind


def index_text(index: int) -> str:
    """What the file holds."""
    return f"{index} {sha256(str(index).encode()).hexdigest()[:8]}"


def kept_index(path: Path) -> int | None:
    """The number in the file; None if there is no file. Raises DataDirectoryError."""
    try:
        text = path.read_text(errors="replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataDirectoryError(f"cannot read {path}: {disk_advice(error)}") from error
    digits = text.split(" ")[0]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= INDEX_DIGITS_MAXIMUM
    if not is_number or text != index_text(int(digits)) or int(digits) >= INDEXES:
        raise DataDirectoryError(
            f"{path} is damaged: restore it from a backup, or remove it: this machine is then another of your nodes"
        )
    return int(digits)
