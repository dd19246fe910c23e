"""Who is in: lets peers in, tells the listener, keeps scores, bans, exchanges addresses. Start at `Roster.serve`."""

import logging
import time
from collections.abc import Callable
from functools import partial
from random import Random

from network.address import machine_of
from network.address_book import AddressBook
from network.connection import Connection
from network.dialling import Origin
from network.errors import BadAddress, Malformed
from network.exchange import COUNT_MAXIMUM, decode_addresses, encode_addresses
from network.kinds import ADDRESSES, ADDRESSES_REQUEST
from network.limits import MALFORMED, Fault
from network.links import Joined, Link, Links
from network.peer import Listener, Peer
from network.scores import BAN_AT, Ban, Scores
from network.slots import Full, Inbound, Place, find_place
from network.subnets import Address, ip_of, is_exempt, is_public, read_address, subnet_of
from network.switch_config import PeerReport, SwitchConfig

LOG = logging.getLogger("neuroshard.network")

UNASKED = 20  # points of blame for an answer without a question
GONE_MAXIMUM, ANCHORS = 256, 4


class Roster:
    """The peers of one node. `changed` is called when one has come or gone or been banned."""

    def __init__(
        self, config: SwitchConfig, own_key: bytes, listener: Listener, random: Random, changed: Callable[[], None]
    ) -> None:
        self.links = Links(own_key)
        self.book = AddressBook(random, config.allow_local)
        self.scores = Scores()
        self.peers: dict[bytes, Peer] = {}
        self.is_closing = False
        self._config = config
        self._listener = listener
        self._changed = changed
        self.seed_keys: dict[str, bytes] = {}  # who answered last where the user said
        self._gone: dict[bytes, Link] = {}  # who has left lately: blame may come late

    def now_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def banned_ms(self, key: bytes) -> int:
        return self.scores.banned_ms(key, self.now_ms())

    def banned_host_ms(self, host: str) -> int:
        return self.scores.banned_host_ms(host, self.now_ms())

    def fail(self, error: BaseException) -> None:
        """A fault of our own, which the node has to hear of."""
        LOG.error("unexpected error", exc_info=error)
        self._config.on_error(error)

    # ---- Coming and going

    def admit(self, host: str) -> str | None:
        """Before any handshake: why this IP address may not come in. None: it may."""
        if self.is_closing:
            return "the node stops"
        remaining_ms = self.banned_host_ms(machine_of(host))
        return f"banned for {remaining_ms // 1_000 + 1} s" if remaining_ms else None

    async def serve(self, connection: Connection, origin: Origin | None) -> str:
        """Keep a connection until it ends; why it did. `origin` is given if we have dialled."""
        link = self._link_of(connection, origin)
        verdict = self._verdict(link)
        if isinstance(verdict, Place):
            joined = self.links.join(link)
            if joined.ending is link:
                verdict = Full("you are connected already")
        if isinstance(verdict, Full):
            await connection.close(verdict.reason)
            return verdict.reason
        evicted = self.links.get(verdict.evicted)
        if evicted is not None:
            self.end(evicted, "your place is given to another peer")
        self._follow(joined)
        try:
            return await connection.run(partial(self._received, link), partial(self._faulted, link))
        finally:
            link.is_over = True
            self._follow(self.links.leave(link))

    def _link_of(self, connection: Connection, origin: Origin | None) -> Link:
        config, peer = self._config, connection.peer
        from_inbound = origin is None or origin.from_inbound
        link = Link(connection, peer, self.now_ms(), self._seen_address(peer), from_inbound=from_inbound)
        if origin is not None and origin.seed:
            self.seed_keys[origin.seed] = peer.key
        if not is_exempt(link.address.host, config.allow_local):
            link.subnet = subnet_of(link.address.host)
        return link

    @staticmethod
    def _seen_address(peer: Peer) -> Address:
        try:
            return read_address(peer.address)
        except BadAddress:  # An IPv6 address with a zone: it is never exchanged.
            return Address(peer.address, 0)

    def _verdict(self, link: Link) -> Place | Full:
        """Whether the peer may stay. What it has proven of its addresses is noted."""
        if self.is_closing:
            return Full("the node stops")
        if link.peer.outbound:
            self.book.met(link.address, link.key, int(time.time()))
        if remaining_ms := self.banned_ms(link.key):
            return Full(f"banned for {remaining_ms // 1_000 + 1} s")
        self._assess(link)  # This costs something: only now.
        if link.peer.outbound:
            return Place()
        others = [self._inbound(other) for other in self.links if not other.peer.outbound and other.key != link.key]
        place = find_place(self._inbound(link), others, self._config.slots)
        if isinstance(place, Place):
            self._note_listen(link)
        return place

    def _assess(self, link: Link) -> None:
        link.assessed_ms = self.now_ms()
        if link.peer.voucher:
            link.is_validator = self._config.is_validator(link.key, link.peer.voucher)

    def assess_next(self) -> None:
        """Ask again whether a peer is a validator: sets change, and who starts does not know the present one."""
        having = [link for link in self.links if link.peer.voucher]
        if having:
            self._assess(min(having, key=lambda link: link.assessed_ms))

    def _inbound(self, link: Link) -> Inbound:
        return Inbound(link.key, link.subnet, link.is_validator, self._score(link.key), link.since_ms)

    def _note_listen(self, link: Link) -> None:
        """Where a peer that dialled us says that it can be dialled; without a host, where we see it."""
        if not link.peer.listen:
            return
        try:
            address = read_address(link.peer.listen)
        except BadAddress:
            return
        ip = ip_of(address.host)
        if ip is not None and ip.is_unspecified:
            address = Address(link.address.host, address.port)
        self.book.add(address, link.address.host, from_inbound=True, claimed_by=link.key)

    def _follow(self, joined: Joined) -> None:
        """Tell the listener who has left and who has come, and end what is no longer wanted."""
        if joined.replaced is not None:
            left = joined.replaced
            left.is_over = True
            del self.peers[left.key]
            self._gone[left.key] = left
            if len(self._gone) > GONE_MAXIMUM:
                del self._gone[next(iter(self._gone))]
            self._tell(self._listener.left, left.key)
        if joined.current is not None:
            link = joined.current
            link.since_ms = self.now_ms()
            self.peers[link.key] = link.peer
            self._gone.pop(link.key, None)
            self._tell(self._listener.joined, link.peer)
            self.ask(link)
        if joined.ending is not None:
            joined.ending.is_over = True
            joined.ending.connection.end("you are connected already")
        self._changed()

    def end(self, link: Link, reason: str) -> None:
        """Part with a peer at once; its connection closes a little later."""
        link.is_over = True
        link.connection.end(reason)
        self._follow(self.links.leave(link))

    def _tell(self, call: Callable[..., None], *arguments: object) -> None:
        """The listener is ours: what it raises is a fault of our own, never the peer's."""
        if self.is_closing:
            return
        try:
            call(*arguments)
        except Exception as error:
            self.fail(error)

    # ---- Messages

    def _received(self, link: Link, kind: int, payload: bytes) -> None:
        if link.is_over:
            return
        if kind not in (ADDRESSES_REQUEST, ADDRESSES):
            self._tell(self._listener.received, link.key, kind, payload)
            return
        try:
            if kind == ADDRESSES_REQUEST:
                self._answer(link, payload)
            else:
                self._take_addresses(link, payload)
        except Malformed as error:
            self.blame(link.key, MALFORMED, str(error))

    def _faulted(self, link: Link, fault: Fault) -> None:
        self.blame(link.key, fault.points, fault.reason)

    def ask(self, link: Link) -> None:
        """Ask for addresses if that is due: only peers that we have dialled."""
        if link.peer.outbound and link.exchange.asks(self.now_ms()):
            link.connection.send(ADDRESSES_REQUEST, b"")

    def _answer(self, link: Link, payload: bytes) -> None:
        if link.exchange.answers(payload, self.now_ms()):
            link.connection.send(ADDRESSES, encode_addresses(self.book.sample(COUNT_MAXIMUM)))

    def _take_addresses(self, link: Link, payload: bytes) -> None:
        if not link.exchange.takes():
            self.blame(link.key, UNASKED, "addresses that nobody asked for")
            return
        for address in decode_addresses(payload):
            self.book.add(address, link.address.host, link.from_inbound)
        self._changed()

    # ---- Scores

    def blame(self, key: bytes, points: int, reason: str) -> None:
        """The peer did what it should not. At -100 it is banned, even if it has left meanwhile."""
        link = self.links.get(key) or self._gone.get(key)
        if link is not None and self.scores.blame(key, link.peer.address, points, reason, self.now_ms()):
            self._ban(link)

    def ban(self, key: bytes, reason: str) -> Ban:
        """Ban a peer because the user says so, whether or not it is here."""
        if self.banned_ms(key):
            return self._ban_of(key)
        link = self.links.get(key) or self._gone.get(key)
        self.scores.blame(key, "" if link is None else link.peer.address, -BAN_AT, reason, self.now_ms())
        if link is None:
            return self.scores.ban(key, "", False, self.now_ms())
        self._ban(link)
        return self._ban_of(key)

    def _ban_of(self, key: bytes) -> Ban:
        return next(ban for ban in self.bans() if ban.key == key)

    def lift(self, key: bytes) -> bool:
        """End a ban; false if there was none."""
        is_lifted = self.scores.lift(key, self.now_ms())
        self._changed()
        return is_lifted

    def disconnect(self, key: bytes, reason: str) -> bool:
        """Part with a peer because the user says so; it may come back. False if it is not here."""
        links = [each for each in self.links.every() if each.key == key]
        for link in reversed(links):  # spares first, so that none takes over
            self.end(link, reason)
        return bool(links)

    def _ban(self, link: Link) -> None:
        ip = ip_of(link.address.host)
        # The address that we dialled is the user's or the book's choice; a local one may stand for many machines.
        is_host_banned = not link.peer.outbound and ip is not None and is_public(ip)
        host = machine_of(link.address.host) if is_host_banned else ""
        ban = self.scores.ban(link.key, host, self._is_seed(link), self.now_ms())
        seconds, reason = ban.remaining_ms // 1_000, ban.reasons[-1]
        LOG.warning("peer %s at %s is banned for %d s: %s", link.key.hex(), link.peer.address, seconds, reason)
        for each in reversed(self.links.every()):  # spares first, so that none takes over
            if each.key == link.key:
                self.end(each, f"banned for {seconds} s: {reason}")
        self._changed()

    def _is_seed(self, link: Link) -> bool:
        return link.key in self.seed_keys.values()

    def _score(self, key: bytes) -> int:
        return self.scores.score(key, self.now_ms())

    def praise(self, key: bytes) -> None:
        if key in self.links:
            self.scores.praise(key, self.now_ms())

    def bans(self) -> list[Ban]:
        return self.scores.bans(self.now_ms())

    def report(self) -> list[PeerReport]:
        return [
            PeerReport(
                link.peer,
                link.is_validator,
                self._is_seed(link),
                self._score(link.key),
                self.scores.reasons(link.key),
                link.connection.report(),
            )
            for link in sorted(self.links, key=lambda link: link.since_ms)
        ]

    def anchors(self) -> list[Address]:
        """Who to dial first in the next life: those that we have dialled and kept longest."""
        good = [link for link in self.links if link.peer.outbound and self._score(link.key) >= 0]
        return [link.address for link in sorted(good, key=lambda link: link.since_ms)[:ANCHORS]]
