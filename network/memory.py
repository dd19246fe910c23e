"""What a node remembers of its peers across a restart: addresses, anchors, scores and bans, in one JSON file.

Losing it costs some time and no safety, so a file that cannot be read is a line in the log and an empty start.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from network.errors import NetworkError

NAME, VERSION, BYTES_MAXIMUM = "peers.json", 1, 16 << 20


class Unreadable(NetworkError):
    """The file holds something else; the words say what."""


def load(folder: Path) -> Mapping[str, Any]:
    """What was saved; empty if nothing was. Raises Unreadable."""
    try:
        with (folder / NAME).open("rb") as file:
            content = file.read(BYTES_MAXIMUM + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    if len(content) > BYTES_MAXIMUM:
        raise Unreadable("it is too long")
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no JSON") from error
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise Unreadable(f"it is not of version {VERSION}")
    return found


def save(folder: Path, plain: Mapping[str, Any]) -> None:
    """Replace the file as a whole and durably. Raises OSError."""
    path = folder / NAME
    draft = path.with_name(NAME + ".partial")
    try:
        with draft.open("wb") as file:
            file.write(json.dumps({"version": VERSION, **plain}).encode())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
