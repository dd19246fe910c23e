"""Files of a data directory, spoilt one at a time, and a node opened on what is left."""

import asyncio
import gc
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from chain.errors import NeuroError
from node.api.operator import open_token
from node.home import open_home
from node.node import Node
from node.settings import Settings
from node.wallet_files import Secrets
from training.errors import TrainingError


def empty(path: Path) -> None:
    path.write_bytes(b"")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    if content:  # Nothing can be flipped in an empty file.
        content[len(content) // 2] ^= 0x10
    path.write_bytes(content)


def removed(path: Path) -> None:
    path.unlink()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    path.chmod(0)


Way = Callable[[Path], None]
DAMAGES: tuple[Way, ...] = (empty, half, flipped, removed, folder, unreadable)


@dataclass(frozen=True)
class Opened:
    """What a node found when it was opened: where the chain ends and which model it has; or why it refused."""

    height: int
    tip: str
    model: str
    refusal: str = ""


def opened(home: Path) -> Opened:
    """Open a node as a start does, up to the first block, and close it again."""
    try:
        return asyncio.run(_opened(home))
    except (NeuroError, TrainingError, OSError) as error:  # What the command line turns into one sentence.
        said = str(error)
    # A node that refuses leaves its database to the end of the process; here the process goes on.
    gc.collect()
    return Opened(0, "", "", said)


async def _opened(home: Path) -> Opened:
    settings = Settings(home, None, "lab", False, False, "cpu", 1, None, None)
    found = open_home(settings, Secrets(), None)
    try:
        node = Node(found, settings, lambda sentence: None)
    except BaseException:
        found.directory.unlock()
        raise
    try:
        node.outcomes.restore(node.store.state())
        open_token(found.directory)
        tip = node.view.tip
        return Opened(tip.height, tip.hash.hex(), node.outcomes.model_root.hex())
    finally:
        await node.close()


class as_nobody:
    """Without the rights of root, whom no file refuses. Where the tests do not run as root, nothing changes."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def __enter__(self) -> None:
        if os.geteuid() == 0:
            for path in (self.home, *self.home.rglob("*")):
                os.chown(path, 65_534, 65_534)
            os.seteuid(65_534)

    def __exit__(self, *_: object) -> None:
        if os.getuid() == 0:
            os.seteuid(0)


def copy_of(home: Path, to: Path) -> Path:
    shutil.copytree(home, to)
    return to
