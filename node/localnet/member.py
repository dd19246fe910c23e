"""One node of a local network: `neuroshard`, but it ends when the process that started it is gone.

However that one ends, its end of our stdin is closed by the operating system: that works on every system, and also
where nobody is left to send a signal.
"""

import os
import signal
import sys
import threading
import time

from node.__main__ import main

GRACE_SECONDS = 20


def follow_parent() -> None:
    """Wait for the end of stdin, then end this process: as Ctrl-C does, and if that does not help, at once."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=follow_parent, name="parent", daemon=True).start()
    sys.argv[0] = "neuroshard"
    main()
