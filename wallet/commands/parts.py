"""What commands show alike: facts in two columns, tables, amounts, times. rich is imported only when something is."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from wallet.plain import plain

if TYPE_CHECKING:
    from rich.console import Console

Show = Callable[["Console"], None]
Row = Sequence[str]
SHOWN_MAXIMUM = 20_000  # characters of a line


def harmless(text: str) -> str:
    """Whoever wrote it, and whatever way it came: nothing that is shown here steers the terminal."""
    return plain(text, SHOWN_MAXIMUM)


def words(*lines: str) -> Show:
    """Sentences."""

    def show(console: "Console") -> None:
        for line in lines:
            console.print(harmless(line), markup=False, highlight=False, emoji=False, overflow="fold")

    return show


def verbatim(*lines: str) -> Show:
    """Printable lines that somebody will copy: the terminal may break them, this program does not."""

    def show(console: "Console") -> None:
        for line in lines:
            console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    return show


def facts(pairs: Iterable[tuple[str, str]], *after: str) -> Show:
    """Names and values in two columns, then sentences."""
    rows = list(pairs)

    def show(console: "Console") -> None:
        from rich.table import Table
        from rich.text import Text

        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in rows:
            grid.add_row(Text(harmless(name), style="dim"), Text(harmless(value)))
        console.print(grid)
        words(*after)(console)

    return show


def table(head: Row, rows: Iterable[Row], *after: str, empty: str = "There is none.", right: Row = ()) -> Show:
    """Rows under a head; `right` names the columns of numbers."""
    found = [list(row) for row in rows]

    def show(console: "Console") -> None:
        from rich.table import Table
        from rich.text import Text

        if found:
            grid = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
            for name in head:
                grid.add_column(name, justify="right" if name in right else "left", overflow="fold")
            for row in found:
                grid.add_row(*(Text(harmless(cell)) for cell in row))
            console.print(grid)
        words(*(after if found else (empty, *after)))(console)

    return show


def one_after_another(*shows: Show) -> Show:
    def show(console: "Console") -> None:
        for each in shows:
            each(console)

    return show


def moment(time_ms: int) -> str:
    """UTC, to the second."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_ms // 1000))
    except (OverflowError, ValueError, OSError):
        return "?"


def percent(basis_points: int) -> str:
    return f"{basis_points // 100}.{basis_points % 100:02d} %"
