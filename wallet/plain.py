"""Text of others, for a terminal."""

from typing import Any


def plain(value: Any, most: int = 200) -> str:
    """Text of another program that cannot steer a terminal: what is not printable is replaced, the rest bounded."""
    text = str(value)
    shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:most])
    return shown if len(text) <= most else shown + "…"
