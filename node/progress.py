"""What the terminal shows while a node runs: a live screen where there is one, a line per event elsewhere."""

import asyncio

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from node.node import Node
from node.status import Status, status_of

REFRESH_SECONDS = 0.5


def neuro(nanos: str) -> str:
    """Nanos as NEURO, exact."""
    digits = nanos.zfill(10)
    return f"{digits[:-9]}.{digits[-9:].rstrip('0') or '0'} NEURO"


def loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


# What those who take part have done together in each phase.
SHARED = {"opened": "committed", "training": "committed", "revealing": "revealed"}


def shared_progress(status: Status) -> tuple[int, int]:
    """How many of how many have done what the phase is about."""
    if status.round_phase in ("opened", "training"):
        return status.round_committed, status.round_committed + status.round_awaited
    if status.round_phase == "revealing":
        return status.round_revealed, status.round_committed
    return status.round_held, max(1, status.round_revealed)


def title_of(status: Status) -> str:
    """Which network this is, and whether anybody but this machine checks it."""
    return f"NeuroShard {status.chain_id[:12]} · {status.phase}" + (" · self-verified" if status.self_verified else "")


class Screen:
    """Draws the node's status until cancelled."""

    def __init__(self, node: Node, console: Console) -> None:
        self.node = node
        self.console = console

    async def run(self) -> None:
        if not self.console.is_terminal:
            self.console.print(Text(title_of(status_of(self.node))))
            await asyncio.Event().wait()
        with Live(console=self.console, refresh_per_second=4, transient=True) as live:
            while True:
                live.update(self.picture())
                await asyncio.sleep(REFRESH_SECONDS)

    def picture(self) -> Panel:
        status = status_of(self.node)
        content = Group(Text(status.round_line), self._bars(status), self._facts(status))
        return self.framed(content, title_of(status))

    def framed(self, content: RenderableType, title: str) -> Panel:
        """With room behind it for ^C, which else would push all of it up by a line that nobody takes away again."""
        return Panel(
            content, title=title, subtitle="Ctrl-C stops cleanly", width=max(20, self.console.width - len("^C"))
        )

    def _bars(self, status: Status) -> Progress:
        bars = Progress(TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), expand=True)
        tokenising = self.node.live.tokenising
        if tokenising is not None:
            bars.add_task("Preparing the text", completed=tokenising[0], total=tokenising[1])
        bars.add_task(f"Round {status.round} segments", completed=status.segments_proven, total=status.segments)
        bars.add_task("  inner steps", completed=status.step, total=status.steps)
        if status.round_participants > 1:
            done, of = shared_progress(status)
            bars.add_task(f"  {SHARED.get(status.round_phase, 'payloads held')}", completed=done, total=of)
        return bars

    def _facts(self, status: Status) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        for _ in range(4):
            table.add_column()
        rows = [
            ("train loss", loss(status.training_loss), "height", str(status.height)),
            (
                "validation loss",
                f"{loss(status.validation_loss)} (bigram {loss(status.bigram_loss)})",
                "committed",
                f"{status.round_committed} of {status.round_committed + status.round_awaited}",
            ),
            ("speed", f"{status.tokens_per_second:,.0f} tokens/s", "minted", neuro(status.minted_nanos)),
            ("tokens trained", f"{status.tokens_trained:,}", "circulating", neuro(status.circulating_nanos)),
            ("model", f"{status.parameters:,} parameters", "your balance", neuro(status.balance_nanos)),
            ("device", status.device, "your vesting reward", neuro(status.vesting_nanos)),
        ]
        for row in rows:
            table.add_row(*(f"[dim]{cell}[/dim]" if i % 2 == 0 else cell for i, cell in enumerate(row)))
        return table
