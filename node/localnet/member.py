"""One node of a local network: `neuroshard`, but it ends when the process that started it is gone.

However that one ends, its end of our stdin is closed by the operating system: that works on every system, and also
where nobody is left to send a signal. A node that somebody has paused would not notice: on Linux the kernel wakes it.
"""

import ctypes
import os
import signal
import sys
import threading
import time
from contextlib import suppress

from node.__main__ import main

GRACE_SECONDS = 20
PR_SET_PDEATHSIG = 1  # prctl(2)


def follow_parent() -> None:
    """Wait for the end of stdin, then end this process: as Ctrl-C does, and if that does not help, at once."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def wake_without_parent() -> None:
    """Ask the kernel to let a paused process go on when its parent ends."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGCONT)


if __name__ == "__main__":
    wake_without_parent()
    threading.Thread(target=follow_parent, name="parent", daemon=True).start()
    sys.argv[0] = "neuroshard"
    main()
