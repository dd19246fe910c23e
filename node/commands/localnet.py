"""`neuroshard localnet`: many nodes on this machine, shown in one table, ended with one Ctrl-C."""

import asyncio
import json
import os
import signal
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from node.errors import NodeError
from node.localnet.crew import Crew
from node.localnet.hosts import Loopback, Namespaces
from node.localnet.plan import Plan, Wishes, lock, prepared
from node.localnet.table import row, table_of
from node.network_file import kept_network

LOOK_SECONDS = 1.0
TOLD_SECONDS = 10.0  # between two lines where there is no live table


@dataclass(frozen=True, slots=True)
class Options:
    """How to run a local network."""

    hosts: str
    training: bool
    bond: bool
    until_height: int | None
    as_json: bool


def start(root: Path, wishes: Wishes, options: Options) -> None:
    """Run until Ctrl-C, SIGTERM, the end of the terminal, or the wanted height. Raises NodeError."""
    console = Console(stderr=options.as_json, highlight=False, soft_wrap=True)
    descriptor = lock(root)
    try:
        plan = prepared(root, wishes)
        hosts = Namespaces(root) if options.hosts == "netns" else Loopback()
        with hosts.places(plan.nodes) as places:
            crew = Crew(plan, places, _node_options(options, plan), _bonding(options, plan))
            show = _Show(crew, console, options)
            try:
                asyncio.run(show.run())
            finally:
                crew.kill()
    finally:
        os.close(descriptor)
    if options.as_json:
        ends = {member.number: member.end for member in crew.members}
        nodes = [{**each, "end": ends[each["node"]]} for each in show.last_rows]
        print(json.dumps({"data_dir": str(root), "chain_id": show.chain_id, "nodes": nodes}))


def _node_options(options: Options, plan: Plan) -> list[str]:
    threads = max(1, (os.cpu_count() or 1) // plan.nodes)
    return ["--training", "--threads", str(threads)] if options.training else ["--no-training"]


def _bonding(options: Options, plan: Plan) -> dict[int, list[str]]:
    return {number: ["--validator"] for number in range(plan.founders, plan.nodes)} if options.bond else {}


class _Show:
    """Starts the nodes, shows them until the end, and stops them."""

    def __init__(self, crew: Crew, console: Console, options: Options) -> None:
        self.crew = crew
        self.console = console
        self.options = options
        self.stop = asyncio.Event()
        self.told: set[int] = set()
        self.chain_id = kept_network(crew.plan.network).chain_id.hex()
        self.last_rows: list[dict[str, Any]] = []  # as it was before all were asked to end

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked)
        self.crew.start()
        self._greet()
        live = Live(console=self.console, auto_refresh=False, transient=True)
        shown: AbstractContextManager[object] = live if self.console.is_terminal else nullcontext()
        try:
            async with aiohttp.ClientSession() as session:
                with shown:
                    await self._watch(session, live)
        finally:
            self.last_rows = [row(member) for member in self.crew.members]
            self.console.print(table_of(self.crew.members, self.chain_id[:12]), soft_wrap=False)
            self.console.print("Stopping all nodes …")
            await self.crew.stop()
        self._tell_ended()
        self.console.print(f"Everything is in {self.crew.plan.root}; the same command goes on from there.")

    def _asked(self) -> None:
        if self.stop.is_set():
            self.crew.kill()
        self.stop.set()

    def _greet(self) -> None:
        plan = self.crew.plan
        self.console.print(
            f"localnet of {plan.nodes} nodes, {plan.founders} of them bootstrap validators, profile {plan.profile}, "
            f"in {plan.root}"
        )
        for member in self.crew.members:
            self.console.print(
                f"node {member.number}: process {member.process.pid}, listens on {member.place.listen}, "
                f"explorer http://{member.place.api}/"
            )
        first = self.crew.members[0].place.listen
        self.console.print(f"One more node: neuroshard --data-dir FOLDER --network {plan.network} --peer {first}")

    async def _watch(self, session: aiohttp.ClientSession, live: Live) -> None:
        loop, members = asyncio.get_running_loop(), self.crew.members
        next_line = loop.time() + TOLD_SECONDS
        while not self.stop.is_set():
            await self.crew.look(session)
            self._tell_ended()
            if not any(member.runs for member in members):
                raise NodeError(f"all nodes have ended; node 0 {members[0].end}")
            if self.console.is_terminal:
                live.update(table_of(members, self.chain_id[:12]), refresh=True)
            elif loop.time() >= next_line:
                next_line = loop.time() + TOLD_SECONDS
                self.console.print(self._line())
            wanted = self.options.until_height
            if wanted is not None and all(int(row(member)["height"]) >= wanted for member in members if member.runs):
                return
            try:
                await asyncio.wait_for(self.stop.wait(), LOOK_SECONDS)
            except TimeoutError:
                continue

    def _tell_ended(self) -> None:
        for member in self.crew.members:
            if member.failed and member.number not in self.told:
                self.told.add(member.number)
                self.console.print(f"node {member.number} {escape(member.end)}")

    def _line(self) -> str:
        rows = [row(member) for member in self.crew.members]
        running = [each for each in rows if each["state"] == "runs"]
        heights = [int(each["height"]) for each in running]
        line = next((str(each["round_line"]) for each in running if each["round_line"]), "")
        return (
            f"{len(running)} of {len(rows)} nodes run, heights {min(heights)} to {max(heights)}, "
            f"peers {min(int(each['peers']) for each in running)} to {max(int(each['peers']) for each in running)}"
            + (f"; {line}" if line else "")
        )
