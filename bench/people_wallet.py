"""How soon the wallet is ready: its prompt in a real pseudo-terminal, its keystore, one of its commands.

`python -m bench.people_wallet repl|keystore|command`: beside the time on the clock stands the processor time, which a
machine shared with other work does not lengthen. The first start is thrown away: it reads the disk and keeps bytecode.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from bench.figure import report
from bench.people_page import a_node
from tests.wallet.screen import Screen
from wallet.folder import WalletFolder
from wallet.keystore import unseal
from wallet.keystore_file import load
from wallet.repl.prompt import MESSAGE

ROOT = Path(__file__).parents[1]
PASSWORD = "hunter2 hunter2"
START_GOAL_S = 0.5  # until the prompt of the wallet takes a key
LOOK_SECONDS = 0.001
NO_NODE = "127.0.0.1:9"  # where nobody answers
PEAK = """
import sys
from pathlib import Path
from wallet.keystore import unseal
from wallet.keystore_file import load
def peak():  # getrusage would count what the program was before it became this one
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
kept = load(Path(sys.argv[1]))
before = peak()
unseal(kept, sys.argv[2])
print(peak() - before, peak())
"""


@contextmanager
def a_wallet() -> Iterator[Path]:
    """A folder with a wallet in it, sealed as hard as a user's is."""
    with tempfile.TemporaryDirectory() as folder:
        WalletFolder(Path(folder)).create(None, PASSWORD)
        yield Path(folder)


def look_until(screen: Screen, is_there: Callable[[], bool]) -> float:
    """When something was seen first."""
    deadline = time.perf_counter() + 60
    while not is_there():
        if time.perf_counter() > deadline or not screen.child.isalive():
            sys.exit(f"the prompt did not come:\n{screen.text()}")
        time.sleep(LOOK_SECONDS)
    return time.perf_counter()


def one_start(home: Path, api: str) -> dict[str, float]:
    """Seconds from the start of `neuroshard wallet` until its prompt stands there, and until it has taken a key."""
    begun = time.perf_counter()
    with Screen.of_wallet(home, "--api", api) as screen:
        # What the prompt writes first is the line with its colours: bytes are looked at, drawing would cost time.
        shown = look_until(screen, lambda: MESSAGE.strip().encode() in screen.raw)
        screen.press("b")
        taken = look_until(screen, lambda: f"{MESSAGE}b" in screen.text())
        used = psutil.Process(screen.child.pid)
        spent = used.cpu_times()
        memory = used.memory_info().rss
    return {"shown": shown - begun, "taken": taken - begun, "cpu": spent.user + spent.system, "memory": memory}


def repl(repeats: int) -> None:
    with a_wallet() as home, a_node() as url:
        for name, api, words in (
            ("repl_start", url.removeprefix("http://"), "a node answers"),
            ("repl_start_alone", NO_NODE, "no node answers"),
        ):
            one_start(home, api)
            seen = [one_start(home, api) for _ in range(repeats)]
            told(name, [each["taken"] for each in seen], START_GOAL_S, f"until a key is taken, {words}")
            told(f"{name}_shown", [each["shown"] for each in seen], START_GOAL_S, "until the prompt stands there")
            told(f"{name}_cpu", [each["cpu"] for each in seen], START_GOAL_S, "processor time of the same starts")
            report(f"{name}_memory", statistics.median(each["memory"] for each in seen) / 2**20, "MiB")


def told(name: str, seconds: Sequence[float], goal: float | None, words: str) -> None:
    """The middle, which the goal is for, and the best, which is nearest to a machine with nothing else to do."""
    note = f"{words}; middle of {len(seconds)}"
    report(f"{name}_s", statistics.median(seconds), "s", goal, note)
    report(f"{name}_best_s", min(seconds), "s", goal, f"{words}; best of {len(seconds)}")


def keystore(repeats: int) -> None:
    with a_wallet() as home:
        path = WalletFolder(home).keystore
        kept, seen, cpu = load(path), [], []
        for _ in range(repeats):
            begun, used = time.perf_counter(), time.process_time()
            unseal(kept, PASSWORD)
            seen.append(time.perf_counter() - begun)
            cpu.append(time.process_time() - used)
        told("keystore_unlock", seen, None, "scrypt, n = 2^17, r = 8, p = 1")
        told("keystore_unlock_cpu", cpu, None, "processor time of the same")
        command = [sys.executable, "-c", PEAK, str(path), PASSWORD]
        more, whole = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
        report("keystore_unlock_memory", int(more) / 1024, "MiB", note=f"on top; {int(whole) / 1024:.0f} MiB in all")


def command(repeats: int) -> None:
    with a_wallet() as home, a_node() as url:
        words = [sys.executable, "-m", "node", "wallet", "balance", "--json", "--data-dir", str(home)]
        words += ["--api", url.removeprefix("http://")]
        run(words)
        seen = [run(words) for _ in range(repeats)]
        told("wallet_balance", [wall for wall, _ in seen], None, "`neuroshard wallet balance --json`, whole")
        told("wallet_balance_cpu", [cpu for _, cpu in seen], None, "processor time of the same")


def run(words: Sequence[str]) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    begun = time.perf_counter()
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)  # it has been waited for
    if process.returncode:
        sys.exit(f"{' '.join(words[2:])} ended with {process.returncode}")
    return wall, used.ru_utime + used.ru_stime


PARTS = {"repl": repl, "keystore": keystore, "command": command}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bench.people_wallet", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args(arguments)
    PARTS[options.part](options.repeats)


if __name__ == "__main__":
    main(sys.argv[1:])
