"""Whether the terminal itself shows the keys that are pressed.

While a command runs it must not: the keys are kept for the next prompt, which shows them in their place.
"""

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LOCAL_FLAGS = 3  # their place in a terminal's attributes


@contextmanager
def echo(is_on: bool) -> Iterator[None]:
    """As wanted inside, as it was afterwards. A stream that is no terminal has none."""
    try:
        before = termios.tcgetattr(sys.stdin)
        wanted = list(before)
        wanted[LOCAL_FLAGS] = before[LOCAL_FLAGS] | termios.ECHO if is_on else before[LOCAL_FLAGS] & ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, wanted)
    except (termios.error, OSError, ValueError):
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error, OSError, ValueError):
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
