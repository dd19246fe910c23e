"""A folder that is either whole or not there: made under another name, renamed when everything in it is on disk."""

import os
import shutil
from pathlib import Path

from node.errors import NodeError, disk_advice
from wallet.durable import sync_folder

SUFFIX = ".partial"


def draft_of(target: Path) -> Path:
    """Where a folder lies until it is finished."""
    return target.with_name(target.name + SUFFIX)


def check_target(target: Path) -> None:
    """Raise NodeError unless a new folder can take this place: nothing is ever overwritten."""
    try:
        if target.exists() and not target.is_dir():
            raise NodeError(f"{target} is a file: name a folder that does not exist yet")
        if target.exists() and any(target.iterdir()):
            raise NodeError(f"{target} is not empty: name a folder that does not exist yet, or an empty one")
        _check_renaming(target)
    except OSError as error:
        raise NodeError(f"cannot use {target}: {disk_advice(error)}") from error


def _check_renaming(target: Path) -> None:
    """Raise NodeError if a folder that is renamed to this place would fail there, or pull it from under somebody."""
    if target.is_symlink():
        raise NodeError(f"{target} is a link: name the folder itself")
    if target.exists() and target.samefile(Path()):
        raise NodeError(f"{target} is the folder that you are in: name a new one in it")
    if target.is_mount():
        raise NodeError(f"{target} is where a disk begins: name a new folder in it")


def new_draft(target: Path, *ours: str) -> Path:
    """An empty draft folder. One that was cut short is emptied, if all its files have names like `ours`."""
    check_target(target)
    draft = draft_of(target)
    try:
        if draft.exists():
            foreign = sorted(path for path in draft.iterdir() if not any(path.match(name) for name in ours))
            if foreign:
                raise NodeError(f"{draft} holds {foreign[0].name}, which is not ours: move that folder away")
            shutil.rmtree(draft)
        draft.mkdir(parents=True)
    except OSError as error:
        raise NodeError(f"cannot use {draft}: {disk_advice(error)}") from error
    return draft


def finish(target: Path) -> None:
    """Sync the draft and give it its name. Raises NodeError."""
    draft = draft_of(target)
    try:
        for path in draft.iterdir():
            if path.is_file():
                _sync_file(path)
        sync_folder(draft)
        draft.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        raise NodeError(f"cannot finish {target}: {disk_advice(error)}; the draft is in {draft}") from error


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
