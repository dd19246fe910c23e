"""A node of the chaos test: one of a local network whose clock may be wrong by CHAOS_CLOCK_MS milliseconds.

The clock is bent before anything of the node is loaded, so nothing in the node knows of it.
"""

import os
import runpy
import time

OFFSET_NS = int(os.environ.pop("CHAOS_CLOCK_MS", "0")) * 1_000_000


def bend_clock() -> None:
    honest = time.time_ns
    time.time_ns = lambda: honest() + OFFSET_NS  # type: ignore[assignment]
    time.time = lambda: (honest() + OFFSET_NS) / 10**9  # type: ignore[assignment]


if __name__ == "__main__":
    if OFFSET_NS:
        bend_clock()
    runpy.run_module("node.localnet.member", run_name="__main__", alter_sys=True)
