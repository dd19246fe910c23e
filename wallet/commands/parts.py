"""What commands show alike: facts in two columns, tables, amounts, times. rich is imported only when something is."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Show = Callable[["Console"], None]
Row = Sequence[str]


def words(*lines: str) -> Show:
    """Sentences."""

    def show(console: "Console") -> None:
        for line in lines:
            console.print(line, markup=False, highlight=False, emoji=False, overflow="fold")

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
            grid.add_row(Text(name, style="dim"), Text(value))
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
                grid.add_row(*(Text(cell) for cell in row))
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
