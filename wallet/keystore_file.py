"""Keystores on disk: readable by their owner only, whole or absent, never overwritten."""

import os
import secrets
from pathlib import Path

from wallet import durable, keystore
from wallet.durable import Reached, unwatched
from wallet.errors import KeystoreCorrupt, KeystoreError, KeystoreExists, KeystoreMissing


def save(path: Path, content: keystore.Keystore, reached: Reached = unwatched) -> None:
    """Write a new file. Raises KeystoreExists if the name is taken, KeystoreError if the disk refuses.

    `reached` is told each step: before, written, synced, named, durable.
    """
    try:
        write_new(path, keystore.to_json(content), reached)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(path):
            raise KeystoreExists(f"{path} exists already and is not overwritten: choose another name") from None
        raise KeystoreError(
            f"{path} cannot be written: {error.strerror}; check the free space of the disk and the permissions"
        ) from error


def write_new(path: Path, content: bytes, reached: Reached = unwatched) -> None:
    """Write a file that is not there yet. Raises OSError, FileExistsError if the name is taken."""
    draft = path.with_name(f".keystore-{secrets.token_hex(8)}.draft")
    reached("before")
    if not path.parent.is_dir():
        path.parent.mkdir(mode=0o700, parents=True)
    try:
        durable.write_new(draft, content, reached)
        _name_without_overwriting(draft, path)
        reached("named")
    finally:
        draft.unlink(missing_ok=True)
    durable.sync_folder(path.parent)
    reached("durable")


def load(path: Path) -> keystore.Keystore:
    """Read a file. Raises KeystoreMissing, KeystoreCorrupt, KeystoreTooCostly or KeystoreError."""
    try:
        if not path.exists():
            raise KeystoreMissing(f"there is no keystore {path}")
        if not path.is_file():
            raise KeystoreCorrupt(f"{path} is not a file")
        with path.open("rb") as file:
            return keystore.parse(file.read(keystore.MAX_FILE_BYTES + 1))
    except OSError as error:
        raise KeystoreError(f"{path} cannot be read ({error.strerror}): check its permissions and the disk") from error


def _name_without_overwriting(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no hard links. Then an empty file reserves the name, and is ours to replace.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        draft.replace(path)
