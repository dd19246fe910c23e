"""`neuroshard` without a command: open the home, run the node, show it, end cleanly."""

import asyncio
import gc
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from rich.console import Console

from node.api.limits import Limits
from node.api.operator import Control, open_token
from node.api.server import Api
from node.clock import check_clock
from node.commands.asking import asker, show_words
from node.errors import NodeError
from node.home import Home, open_home
from node.jobs import Jobs
from node.journal import Journal
from node.logs import Logs, log_of
from node.memory import check_memory, expected_need, memory_of_machine
from node.node import Node
from node.progress import Screen
from node.segment_room import check_segment_disk
from node.settings import Settings
from node.settings_file import misspelt_variables
from node.snapshot_start import start_from_snapshot
from node.status import as_json, status_of
from node.template import Learning
from node.wallet_files import Secrets

COLLECTED_AFTER = 20_000  # objects more than before: a block of a thousand transactions makes as many


def start(settings: Settings, given: Secrets, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Run a node until Ctrl-C, SIGTERM or the wanted round. Raises an error of the family if it cannot go on.

    `told` is the settings as the operator is told them.
    """
    # With --json, stdout belongs to the one object at the end. A file or a pipe has no width: hashes stay whole there.
    stream = sys.stderr if settings.as_json else sys.stdout
    console = Console(stderr=settings.as_json, highlight=False, soft_wrap=not stream.isatty())
    check_clock()
    _check_torch(settings)
    home = open_home(settings, given, asker(), lambda words: show_words(words, console))
    try:
        with Logs(home.directory / "logs", settings.logs, console) as logs:
            _greet(home, console)
            _warn(home, settings)
            _spare_collector()
            status = _on_loop(_run(home, settings, console, _Desk(logs, told)))
    finally:
        home.directory.unlock()
    if settings.as_json:
        print(json.dumps(status))


def _spare_collector() -> None:
    """The collector of cycles need not look at modules again and again, nor at every few transactions."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER, *gc.get_threshold()[1:])


def _check_torch(settings: Settings) -> None:
    """Before anything is made. Raises NodeError."""
    if settings.training and find_spec("torch") is None:
        raise NodeError(
            "training needs torch, which is not installed here: install the program again, or start with --no-training"
        )


def _on_loop(work: Coroutine[None, None, dict[str, object]]) -> dict[str, object]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)


def _greet(home: Home, console: Console) -> None:
    for note in home.notes:
        console.print(note)
    console.print(f"Your address: {home.address_text}")


def _warn(home: Home, settings: Settings) -> None:
    """Tell what may go wrong later. Raises NodeError if the node will not fit into what the user allows."""
    log = log_of("settings")
    for sentence in misspelt_variables(os.environ):
        log.warning(sentence)
    if settings.training:
        learning = Learning.of(home.network)
        check_segment_disk(learning, settings.segment_disk)
        need = expected_need(learning)
        if warning := check_memory(need, settings.memory, memory_of_machine()):
            log.warning(warning)


@dataclass(slots=True)
class _Ending:
    """Who asked the node to stop. The first request ends it cleanly, the second without waiting for the trainer."""

    node: Node
    console: Console
    event: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = "the wanted round is closed"

    def ask(self, reason: str) -> None:
        """End it cleanly."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()

    def request(self, number: int) -> None:
        """A signal has come."""
        if not self.event.is_set():
            self.ask(signal.Signals(number).name)
        elif self.node.trainer is not None:
            self.console.print("Asked again: the trainer is ended at once. What it had finished is on disk.")
            self.node.trainer.kill()


async def _from_snapshot(home: Home, settings: Settings, console: Console) -> bool:
    """Whether the node is to be opened: not, if the user ended it while its ledger was being restored."""
    if settings.sync != "snapshot":
        return True
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await start_from_snapshot(home, settings, stop, console.print)
    return not stop.is_set()


@dataclass(frozen=True, slots=True)
class _Desk:
    """What the operator is told and may change, beside the node."""

    logs: Logs
    told: Mapping[str, Mapping[str, Any]]

    def control(self, home: Home, stop: Callable[[], None]) -> Control:
        def set_level(name: str) -> None:
            self.logs.level = name

        return Control(open_token(home.directory), self.told, lambda: self.logs.level, set_level, stop)


async def _run(home: Home, settings: Settings, console: Console, desk: _Desk) -> dict[str, object]:
    if not await _from_snapshot(home, settings, console):
        console.print("Stopped. What has come of the snapshot is kept; the same command goes on from there.")
        return {"stopped": "while the ledger was being restored"}
    node, journal = Node(home, settings, console.print), Journal()
    journal.now = lambda: node.facts.round
    node.hear_block.append(journal.hear_block)
    node.hear_trainer.append(journal.hear_trainer)
    journal.start(settings, node.network.chain_id, home.address_text)
    ending = _Ending(node, console)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ending.request, number)
    control = desk.control(home, lambda: ending.ask("the operator"))
    api = Api(node, home.directory, control, Limits.of(settings))
    jobs = Jobs(node)
    screen = asyncio.create_task(Screen(node, console).run())
    # A screen that fails ends the node with its reason, like everything else that runs here.
    screen.add_done_callback(lambda task: None if task.cancelled() else ending.event.set())
    try:
        address = await api.start(settings.api)
        console.print(f"Explorer: http://{address}/")
        await jobs.start()
        await node.run(ending.event)
        if screen.done():
            screen.result()
    finally:
        screen.cancel()
        await asyncio.gather(screen, return_exceptions=True)
        await api.stop()
        await jobs.stop()
        await node.close()
    status = as_json(status_of(node))
    journal.stop(ending.reason, int(str(status["height"])), int(str(status["round"])))
    console.print(
        f"Stopped at height {status['height']}, round {status['round']}. Everything is in {home.directory.root};"
    )
    console.print("the same command goes on from there.")
    return status
