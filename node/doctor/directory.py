"""The data directory: room and speed of its disk, who may read it, its layout, its times, and who runs on it."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from chain.errors import NeuroError
from node.clock import clock_text
from node.data_directory import foreign_names, read_json
from node.doctor.finding import Finding, Place, ok, problem, warning
from node.errors import DataDirectoryError, StoreError
from node.schema import SCHEMA, number_of

MIB, GIB = 1 << 20, 1 << 30
FREE_PROBLEM, FREE_WARNING = 200 * MIB, 5 * GIB
WRITTEN_BYTES, SYNCS = 8 * MIB, 8
SYNC_WARNING_S = 0.1
AHEAD_S = 5
SECRET_FILES = ("keystore.json", "keystore.password", "sign-state", "api-token")


def disk_room(place: Place) -> Finding:
    return judged_room(shutil.disk_usage(place.nearest).free)


def judged_room(free: int) -> Finding:
    words = f"{free / GIB:.1f} GiB of the disk are free; a node of the usual network takes 1.6 to 3 GB a day."
    if free < FREE_PROBLEM:
        return problem(words, "free some space, or choose another disk with --data-dir")
    if free < FREE_WARNING:
        return warning(words, "free some space soon, or choose another disk with --data-dir")
    return ok(words)


def disk_speed(place: Place) -> Finding:
    """Write and sync in the directory, in a file without a name: nothing is left behind."""
    try:
        write_s, sync_s = measured_disk(place.nearest)
    except OSError as error:
        return problem(
            f"{place.nearest} cannot be written: {error.strerror}.",
            "free some space and give this user the right to write there, or choose another with --data-dir",
        )
    return judged_speed(write_s, sync_s)


def measured_disk(folder: Path) -> tuple[float, float]:
    """Seconds to write and sync `WRITTEN_BYTES`, and of a middling sync of a little more. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder) as file:
        begun = time.perf_counter()
        file.write(os.urandom(WRITTEN_BYTES))
        file.flush()
        os.fsync(file.fileno())
        write_s, times = time.perf_counter() - begun, []
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return write_s, sorted(times)[SYNCS // 2]


def judged_speed(write_s: float, sync_s: float) -> Finding:
    speed = WRITTEN_BYTES / MIB / max(write_s, 1e-9)
    words = f"The disk writes {speed:.0f} MiB/s and syncs in {sync_s * 1000:.1f} ms."
    if sync_s > SYNC_WARNING_S:
        return warning(words, "each block is synced twice: a faster disk makes them faster")
    return ok(words)


def permissions(place: Place) -> Finding:
    """Nobody else may read what owns money."""
    if (blocked := next((path for path in place.directory.parents if path.exists()), None)) and not blocked.is_dir():
        return problem(f"{blocked} is not a folder.", "choose another with --data-dir")
    if not place.directory.exists():
        return ok(f"{place.directory} does not exist yet: it will be made, readable by you only.")
    if not place.directory.is_dir():
        return problem(f"{place.directory} is not a folder.", "choose another with --data-dir")
    owner = place.directory.stat().st_uid
    if not os.access(place.directory, os.R_OK | os.W_OK | os.X_OK):
        return problem(f"{place.directory} cannot be read and written by you.", "run as its owner")
    if owner != os.geteuid():
        return warning(f"{place.directory} belongs to user {owner}, you are {os.geteuid()}.", "run as its owner")
    open_to_others = [
        path
        for path in (place.directory, *(place.directory / name for name in SECRET_FILES))
        if path.exists() and stat.S_IMODE(path.stat().st_mode) & 0o077
    ]
    if open_to_others:
        names = " ".join(map(str, open_to_others))
        return warning(f"Others on this machine may reach {names}.", f"chmod go-rwx {names}")
    return ok(f"{place.directory} and its secrets are yours alone.")


def layout(place: Place) -> Finding:
    """Empty, or a data directory of this program's schema."""
    root = place.directory
    with suppress(OSError):
        entries = {entry.name for entry in root.iterdir()} if root.is_dir() else set()
        schema = root / "schema"
        if not schema.exists():
            if foreign := foreign_names(entries):
                return problem(
                    f"{root} is not empty and no data directory of NeuroShard (it holds {foreign[0]}).",
                    "choose another with --data-dir",
                )
            return ok("There is no node yet: the first start makes one.")
        try:
            found = number_of(root, schema.read_text(errors="replace"))
        except DataDirectoryError as error:
            sentence, _, advice = str(error).partition(": ")
            return problem(f"{sentence}.", advice)
        if (fault := fault_of_network(root)) is not None:
            return fault
        if found != SCHEMA:
            return ok(f"{root} has schema {found}; the next start brings it up to {SCHEMA}.")
        return ok(f"{root} has schema {found}.")
    return problem(f"{root} cannot be read.", "run as its owner, or choose another with --data-dir")


def fault_of_network(root: Path) -> Finding | None:
    """Why this program cannot run the directory's network: of an earlier version's rules, or damaged."""
    try:
        from node.errors import NodeError
        from node.network_file import kept_network
    except ImportError:
        return None  # What is missing is another check's finding.
    try:
        if (root / "network").exists():
            kept_network(root / "network")
    except NodeError as error:
        sentence, _, advice = str(error).rpartition(": ")
        return problem(f"{sentence[:1].upper()}{sentence[1:]}.", advice)
    return None


def running_node(place: Place) -> Finding:
    if is_running(place.directory):
        note = read_json(place.directory / "api.json") or {}
        return ok(f"A node is running here (process {note.get('pid', 'unknown')}, {note.get('address', 'no API')}).")
    return ok("No node is running here.")


def is_running(directory: Path) -> bool:
    """Whether somebody holds the lock. It is tried for an instant, shared, and never made."""
    try:
        descriptor = os.open(directory / "lock", os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def times(place: Place) -> Finding:
    """The clock against what the directory has seen: the newest file and the ledger's last block."""
    if not place.directory.is_dir():
        return ok("There are no files yet whose times the clock could contradict.")
    newest = newest_file(place.directory)
    block_s, why = last_block_time(place)
    return judged_times(time.time(), newest, block_s, why)


def judged_times(now_s: float, newest: tuple[float, str], block_s: float | None, why: str) -> Finding:
    advice = "set the clock; if it is right now, blocks go on as soon as it has passed that time"
    if block_s is not None and now_s + AHEAD_S < block_s:
        return warning(f"The clock is {block_s - now_s:.0f} s behind the last block ({clock_text(block_s)}).", advice)
    if now_s + AHEAD_S < newest[0]:
        return warning(f"The clock is {newest[0] - now_s:.0f} s behind the time of {newest[1]}.", advice)
    last = why if block_s is None else f"the last block is of {clock_text(block_s)}"
    return ok(f"No file is newer than the clock; {last}.")


def newest_file(directory: Path) -> tuple[float, str]:
    """Time and name of the newest of our files at the top and in the ledger."""
    found = [(0.0, "no file")]
    for path in [directory, *directory.glob("*"), *directory.glob("ledger/*")]:
        with suppress(OSError):
            found.append((path.stat().st_mtime, str(path)))
    return max(found)


def ledger(place: Place) -> Finding:
    """Whether what a node has written can be opened; one that runs has opened it."""
    if is_running(place.directory) or not place.directory.is_dir():
        return ok("The ledger was not opened: a node works on it, or there is none yet.")
    try:
        block_s, why = _last_block(place)
    except StoreError as error:
        sentence, _, advice = str(error).rpartition("; " if "; " in str(error) else ": ")
        return problem(f"{sentence[:1].upper()}{sentence[1:]}.", advice)
    except (ImportError, NeuroError, OSError) as error:
        return ok(f"The ledger was not opened: {error}.")  # What is missing there is another check's finding.
    return ok(f"The ledger can be opened; {why}." if block_s is None else "The ledger can be opened.")


def last_block_time(place: Place) -> tuple[float | None, str]:
    """The time of the ledger's last block in seconds, or why it is unknown."""
    try:
        return _last_block(place)
    except ImportError as error:
        return None, f"the ledger cannot be opened without {error.name}"
    except (NeuroError, OSError) as error:
        return None, f"the last block was not read ({error})"


def _last_block(place: Place) -> tuple[float | None, str]:
    """Raises ImportError, OSError, an error of the family; StoreError if the ledger is no good."""
    from node.commands.opening import network_of, opened
    from node.key_value import open_key_value
    from node.store import BEFORE_RECEIPTS, SCHEMA_KEY, Store

    with opened(place.directory) as directory:
        if not any((directory / "ledger").glob("*")):
            return None, "there is no block yet"
        database = open_key_value(directory / "ledger")
        try:
            if database.get(SCHEMA_KEY) == BEFORE_RECEIPTS:  # A check changes nothing.
                return None, "the next start brings the ledger up to date"
            store = Store(database, network_of(directory))
            return (store.tip().time_ms / 1000, "") if store.height else (None, "there is no block yet")
        finally:
            database.close()
