"""A node's peers: dials and accepts them, keeps good ones, bans bad ones, and carries messages. Start at `Switch`.

`network.dialling` decides whom to dial, `network.slots` whom to let in, `network.links` which of two connections with
one peer stays, `network.scores` who is banned, `network.address_book` what is remembered of addresses;
`network.roster` brings them together. The transport below is `network.transport`.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from random import Random, SystemRandom
from types import MappingProxyType

from aiohttp import web

from network import memory
from network.connection import Connection, Shared
from network.dialling import Dialling, Plan
from network.errors import BadAddress
from network.peer import Listener, NodeKey, Peer
from network.roster import Roster
from network.scores import Ban, Scores
from network.subnets import Address, read_address
from network.switch_config import PeerReport, SwitchConfig
from network.tls import open_certificate
from network.traffic import Traffic
from network.transport import Dialer, Endpoint, Gate, Introduction

LOG = logging.getLogger("neuroshard.network")

TICK_SECONDS, SAVE_MS = 5, 60_000


class Switch:
    """Connects this node with others. Everything is called on the event loop that ran `start`."""

    def __init__(self, config: SwitchConfig, key: NodeKey, listener: Listener, random: Random | None = None) -> None:
        self.config = config
        self.listen_address: str | None = None  # HOST:PORT, after `start`, if we listen
        self.traffic = Traffic()  # of all connections
        self._key = key
        self._random = random or SystemRandom()
        self.roster = Roster(config, key.public_key, listener, self._random, self._changed)
        self._routes: list[web.AbstractRouteDef] = []
        self._gate: Gate | None = None
        self._dialer: Dialer | None = None
        self._dialling: Dialling | None = None
        self._housekeeping: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._anchors: list[Address] = []
        self._saved: tuple[object, ...] = ()  # what was worth an early saving the last time
        self._saved_ms = 0
        self._save_failed = False

    # ---- For the node

    def add_routes(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        """More HTTP routes on the port where we listen; before `start`."""
        self._routes.extend(routes)

    async def start(self) -> None:
        """Listen and begin to dial. Raises CannotListen, BadAddress, CertificateTrouble, OSError."""
        config, roster = self.config, self.roster
        config.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._recall()
        endpoint = Endpoint(config.chain_id, self._key, self._introduce, Shared(traffic=self.traffic))
        if config.listen is not None:
            certificate = open_certificate(config.folder, datetime.now(UTC))
            self._gate = Gate(endpoint, certificate, self._welcome, roster.admit, config.gate)
            self._gate.add_routes(self._routes)
            self.listen_address = await self._gate.start(config.listen)
        self._dialer = Dialer(endpoint)
        seeds = tuple(dict.fromkeys(canonical(seed) for seed in config.seeds))
        plan = Plan(seeds, config.outbound, config.trusted, config.allow_local)
        self._dialling = Dialling(plan, roster, self._dialer.dial, self._random)
        self._dialling.start(self._anchors, roster.fail)
        self._housekeeping = asyncio.create_task(self._keep_house())

    async def stop(self) -> None:
        """Save what is known, say goodbye, close everything. The listener hears nothing more. Safe at any moment."""
        self.roster.is_closing = True
        self._stopping.set()
        if self._housekeeping is not None:
            await self._housekeeping
            await self._save()
        await asyncio.gather(*(link.connection.close("the node stops") for link in self.roster.links.every()))
        if self._dialling is not None:
            await self._dialling.stop()
        if self._gate is not None:
            await self._gate.stop()
        if self._dialer is not None:
            await self._dialer.close()

    @property
    def peers(self) -> Mapping[bytes, Peer]:
        """Who is connected now, by key."""
        return MappingProxyType(self.roster.peers)

    def send(self, key: bytes, kind: int, payload: bytes) -> None:
        """Queue a message; nothing happens if the peer is not connected or its queue is full. Never blocks."""
        link = self.roster.links.get(key)
        if link is not None:
            link.connection.send(kind, payload)

    def blame(self, key: bytes, points: int, reason: str) -> None:
        """The peer did what it should not. At -100 it is banned, even if it has left meanwhile."""
        self.roster.blame(key, points, reason)

    def praise(self, key: bytes) -> None:
        """The peer sent something useful."""
        self.roster.praise(key)

    def bans(self) -> list[Ban]:
        """All bans in force, the one that lasts longest first."""
        return self.roster.bans()

    def report(self) -> list[PeerReport]:
        """All peers that are connected, in the order in which they came."""
        return self.roster.report()

    # ---- For the user

    def connect(self, address: str) -> None:
        """Dial an address once, whatever the book says of it. Raises BadAddress, or Busy if too many are dialled."""
        if self._dialling is not None:
            self._dialling.try_once(read_address(address))

    def disconnect(self, key: bytes, reason: str) -> bool:
        """Part with a peer, which may come back; false if it is not connected."""
        return self.roster.disconnect(key, reason)

    def ban(self, key: bytes, reason: str) -> Ban:
        """Shut a peer out, connected or not: an hour at first, a minute if it is one that the user named."""
        return self.roster.ban(key, reason)

    def lift(self, key: bytes) -> bool:
        """End a ban; false if there is none."""
        return self.roster.lift(key)

    # ---- Below

    def _introduce(self) -> Introduction:
        config = self.config
        listen = config.advertise or self.listen_address or ""
        return Introduction(config.roles, listen, config.voucher, config.agent)

    async def _welcome(self, connection: Connection) -> None:
        reason = await self.roster.serve(connection, None)
        LOG.debug("peer %s at %s has left: %s", connection.peer.key.hex(), connection.peer.address, reason)

    def _changed(self) -> None:
        if self._dialling is not None:
            self._dialling.changed()

    async def _keep_house(self) -> None:
        """Ask for addresses and save, now and then."""
        roster = self.roster
        self._saved_ms = roster.now_ms()
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await self._stopping.wait()
                return
            try:
                for link in roster.links:
                    roster.ask(link)
                roster.assess_next()
                if self._urgent() != self._saved or roster.now_ms() - self._saved_ms >= SAVE_MS:
                    await self._save()
            except Exception as error:
                roster.fail(error)
                return

    def _urgent(self) -> tuple[object, ...]:
        """What is worth a write as soon as it changes: an end by force must not undo a ban, or lose a good peer."""
        return self.roster.anchors(), [ban.key for ban in self.roster.bans()]

    async def _save(self) -> None:
        roster, now_ms = self.roster, self.roster.now_ms()
        # Who is offline when it stops keeps those that it had.
        self._anchors = roster.anchors() or self._anchors
        self._saved, self._saved_ms = self._urgent(), now_ms
        plain = {
            "addresses": roster.book.to_plain(),
            "anchors": [str(address) for address in self._anchors],
            "scores": roster.scores.to_plain(now_ms),
        }
        try:
            await asyncio.to_thread(memory.save, self.config.folder, plain)
            self._save_failed = False
        except OSError as error:
            if not self._save_failed:  # Once, not every minute.
                LOG.warning("the memory of peers cannot be saved: %s", error.strerror or error)
            self._save_failed = True

    def _recall(self) -> None:
        """What an earlier life has saved. Nothing in a damaged file stops the node."""
        try:
            found = memory.load(self.config.folder)
            scores = Scores.from_plain(found.get("scores", ()), self.roster.now_ms())
            anchors = [read_address(text) for text in found.get("anchors", ())]
            self.roster.book.load(found.get("addresses", ()))
        except (memory.Unreadable, BadAddress, ValueError, TypeError, AttributeError) as error:
            LOG.warning("the memory of peers is damaged and begins anew: %s", error)
            return
        self.roster.scores, self._anchors = scores, anchors


def canonical(seed: str) -> str:
    """One form for each address; what is none is told of when it is dialled."""
    try:
        return str(read_address(seed))
    except BadAddress:
        return seed
