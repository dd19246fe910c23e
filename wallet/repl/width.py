"""How wide the terminal is now."""

import os
import sys

NARROWEST, UNKNOWN = 20, 80


def columns() -> int:
    try:
        return max(NARROWEST, os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        return UNKNOWN
