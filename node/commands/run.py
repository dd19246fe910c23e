"""`neuroshard` without a command: open the home, run the node, show it, end cleanly."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine

import click
from rich.console import Console

from node.api import Api
from node.home import AskPassword, Home, Secrets, open_home
from node.node import Node
from node.progress import Screen
from node.settings import Settings
from node.status import as_json, status_of


def start(settings: Settings, token: str | None, password: str | None, json_wanted: bool) -> None:
    """Run a node until Ctrl-C, SIGTERM or the wanted round. Raises an error of the family if it cannot go on."""
    # With --json, stdout belongs to the one object at the end.
    console = Console(stderr=json_wanted, highlight=False)
    # A stranger's malformed request is not worth a traceback on the screen.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    # Taken out in any case: the trainer inherits the environment.
    from_environment = os.environ.pop("NEUROSHARD_PASSWORD", None)
    password = password or from_environment
    home = open_home(settings, Secrets(token, password), _asker())
    _greet(home, console)
    status = _on_loop(_run(home, settings, console))
    if json_wanted:
        print(json.dumps(status))


def _on_loop(work: Coroutine[None, None, dict[str, object]]) -> dict[str, object]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _asker() -> AskPassword:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(new: bool) -> str:
        text = "Choose a password for your wallet" if new else "Password of your wallet"
        answer: str = click.prompt(text, hide_input=True, confirmation_prompt=new, err=True)
        return answer

    return ask


def _greet(home: Home, console: Console) -> None:
    if home.words is not None:
        console.print(
            "\n[bold]Write these twelve words down and keep them from others.[/bold] They are shown this once, they own"
        )
        console.print("all that you earn, and without them a lost password or disk cannot be made good.\n")
        console.print(f"    [bold]{home.words}[/bold]\n")
    for note in home.notes:
        console.print(note)
    console.print(f"Your address: {home.address_text}")


async def _run(home: Home, settings: Settings, console: Console) -> dict[str, object]:
    node = Node(home, settings, console.print)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    api = Api(node, home.directory)
    screen = asyncio.create_task(Screen(node, console).run())
    # A screen that fails ends the node with its reason, like everything else that runs here.
    screen.add_done_callback(lambda task: None if task.cancelled() else stop.set())
    try:
        address = await api.start(settings.api)
        console.print(f"Explorer: http://{address}/")
        await node.run(stop)
        if screen.done():
            screen.result()
    finally:
        screen.cancel()
        await asyncio.gather(screen, return_exceptions=True)
        await api.stop()
        await node.close()
    status = as_json(status_of(node))
    console.print(
        f"Stopped at height {status['height']}, round {status['round']}. Everything is in {home.directory.root};"
    )
    console.print("the same command goes on from there.")
    return status
