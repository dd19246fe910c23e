"""The machine: memory, clock, cores."""

import ctypes
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime

from node.clock import EARLIEST_S, LATEST_S, clock_text
from node.doctor.finding import Finding, Place, ok, problem, warning

RELEASED_S = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
SAMPLE_SECONDS = 0.05
STEP_SECONDS = 0.02  # the wall clock may differ so much from the monotonic one within a sample
USUAL_NEED = 700 * 2**20  # of node and trainer with the usual network, measured
TIME_ERROR = 5  # what adjtimex answers for a clock that nothing keeps right
SET_CLOCK = "set the clock, on Linux with `timedatectl set-ntp true`"


def memory(place: Place) -> Finding:
    try:
        from node.memory import memory_of_machine, mib
    except ImportError as error:
        return warning(f"Memory is unknown: {error.name} is missing.", "install the program again")
    found = memory_of_machine()
    words = f"{mib(found.available)} of {mib(found.total)} are free"
    if found.limit is not None:
        words += f", and a control group allows {mib(found.limit)}, of which {mib(found.limit_used)} are used"
    need = need_of(place)
    if place.memory is not None and place.memory < need:
        return problem(
            f"--memory allows {mib(place.memory)}, node and trainer are expected to take {mib(need)}.",
            "raise --memory or start with --no-training",
        )
    words += f"; node and trainer are expected to take {mib(need)}."
    if found.usable < need:
        return warning(words, "close other programs, or start with --no-training")
    return ok(words)


def need_of(place: Place) -> int:
    """Bytes for the network of the directory, or for the usual one."""
    from chain.errors import NeuroError

    try:
        from node.commands.opening import network_of
        from node.data_directory import DataDirectory
        from node.memory import expected_need
        from node.template import Learning

        return expected_need(Learning.of(network_of(DataDirectory(place.directory))))
    except (ImportError, NeuroError):
        return USUAL_NEED


def cores(_: Place) -> Finding:
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        load = os.getloadavg()[0]
    except OSError:
        return ok(f"{count} cores; their load is unknown here.")
    return judged_load(count, load)


def judged_load(count: int, load: float) -> Finding:
    words = f"{count} cores, load {load:.1f}."
    if load > count:
        return warning(words, "training will share them: close other programs, or give fewer --threads")
    return ok(words)


def clock(_: Place) -> Finding:
    """The wall clock: possible, later than this program, and moving like the monotonic one."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(SAMPLE_SECONDS)
    drift = (time.time() - wall) - (time.monotonic() - steady)
    return judged_clock(wall, drift)


def judged_clock(now_s: float, drift: float) -> Finding:
    says = f"The clock says {clock_text(now_s)}"
    if not EARLIEST_S <= now_s < LATEST_S:
        return problem(f"{says}, which cannot be.", SET_CLOCK)
    if now_s < RELEASED_S:
        return warning(f"{says}, before this program was released ({clock_text(RELEASED_S)}).", SET_CLOCK)
    if abs(drift) > STEP_SECONDS:
        return warning(f"{says} and was moved by {drift:+.2f} s just now.", "let one program only set the clock")
    return ok(f"{says}.")


def clock_kept(_: Place) -> Finding:
    """Whether something keeps the clock right, as far as the system tells cheaply."""
    is_kept = kernel_says()
    if is_kept is None:
        is_kept = timedatectl_says()
    return judged_keeping(is_kept)


def judged_keeping(is_kept: bool | None) -> Finding:
    if is_kept is None:
        return ok("Whether the clock is kept right (NTP) is unknown here.")
    if not is_kept:
        return warning("The system says that nothing keeps the clock right (NTP).", SET_CLOCK)
    return ok("The clock is kept right (NTP).")


def kernel_says() -> bool | None:
    """The answer of adjtimex, asked without changing anything; None where it does not exist."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if answer < 0 else answer != TIME_ERROR


def timedatectl_says() -> bool | None:
    if shutil.which("timedatectl") is None:
        return None
    try:
        command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=2, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(answer)
