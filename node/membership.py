"""The node among others while it runs: its protocols on the event loop, its switch, and the blobs that it serves.

Start reading at `Membership.start`. A node without `--peer` and `--listen` has protocols and nobody to talk to.
"""

import asyncio

from chain.crypto import ecdsa
from chain.errors import NeuroError
from network.address import format_address
from network.blob_server import BlobServer
from network.errors import NetworkError
from network.peer import ARCHIVE, TRAINER, VALIDATOR, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from network.tls import client_context
from node.blob_source import FileSource
from node.blobs import Blobs
from node.checkpoint import Trust
from node.errors import NodeError
from node.home import Home
from node.journal import program_version
from node.loop_runtime import LoopRuntime
from node.outcomes import Outcomes
from node.own import Hooks, Own
from node.protocols import Protocols
from node.settings import Settings
from node.standing import make_voucher, read_voucher


def meets_others(settings: Settings) -> bool:
    """Whether this node may have peers at all."""
    return bool(settings.peers) or settings.listen is not None


def _text(address: tuple[str, int] | None) -> str:
    return "" if address is None else format_address(*address)


class Membership:
    """Made on the event loop. `failed` ends with the error that ends the node."""

    def __init__(self, home: Home, settings: Settings, own: Own, outcomes: Outcomes, hooks: Hooks) -> None:
        self.home, self.settings, self.outcomes = home, settings, outcomes
        self.runtime = LoopRuntime()
        source = FileSource(outcomes.payloads.find)
        trust = Trust(home.network.params, settings.checkpoint)
        self.protocols = Protocols(self.runtime, own, hooks, trust, source)
        self.switch: Switch | None = None
        self._blobs: Blobs | None = None
        self._server: BlobServer | None = None
        if meets_others(settings):
            self.switch = self.runtime.switch = Switch(self._config(), self._key(), self.protocols)
            self._server = BlobServer(source)
            self.switch.add_routes(self._server.routes())

    @property
    def failed(self) -> asyncio.Future[None]:
        return self.runtime.failed

    async def start(self) -> None:
        """Take part in consensus, and meet others. Raises NodeError if it cannot listen."""
        self.protocols.start()
        if self.switch is None:
            return
        assert self.protocols.blobs is not None
        blobs = Blobs(self.runtime, self.protocols.blobs, self.outcomes.payloads.folder, client_context())
        self._blobs = blobs
        self.outcomes.fetch = lambda root, size, done: blobs.want(root, size, (), done, size)
        try:
            await self.switch.start()
        except NetworkError as error:
            raise NodeError(str(error)) from error

    async def stop(self) -> None:
        """Leave. Afterwards nothing touches the files any more."""
        self.protocols.stop()
        if self.switch is not None:
            await self.switch.stop()
        if self._blobs is not None:
            await self._blobs.stop()
        if self._server is not None:
            self._server.close()
        await self.runtime.stop()

    # ---- For people

    @property
    def peers(self) -> int:
        """How many are connected."""
        return len(self.runtime.peers())

    @property
    def listens_at(self) -> str:
        """HOST:PORT for others to connect to; empty if there is none."""
        return "" if self.switch is None else self.switch.listen_address or ""

    @property
    def peer_height(self) -> int:
        """The highest block that a peer says is final; 0: nobody has said anything."""
        best = self.protocols.standing.best()
        return 0 if best is None else best[1].height

    # ---- What the switch is told

    def _config(self) -> SwitchConfig:
        settings, identity, chain_id = self.settings, self.home.identity, self.home.network.chain_id
        roles = (TRAINER if settings.training else 0) | (VALIDATOR if settings.validator_intent else 0)
        return SwitchConfig(
            chain_id=chain_id,
            folder=self.home.directory / "peers",
            on_error=self.runtime.fail,
            listen=_text(settings.listen) or None,
            advertise=_text(settings.advertise),
            seeds=tuple(_text(peer) for peer in settings.peers),
            agent=f"neuroshard/{program_version()}",
            roles=roles | (0 if settings.keep_epochs else ARCHIVE),
            voucher=make_voucher(chain_id, identity.node_public_key, identity.validator_secret),
            is_validator=self._is_validator,
            allow_local=settings.allow_local,
        )

    def _key(self) -> NodeKey:
        identity = self.home.identity
        return NodeKey(identity.node_public_key, lambda digest: ecdsa.sign(identity.node_secret, digest), ecdsa.verify)

    def _is_validator(self, key: bytes, voucher: bytes) -> bool:
        try:
            validator = read_voucher(self.home.network.chain_id, key, voucher)
        except NeuroError:
            return False
        epoch = self.protocols.replica.epoch
        return epoch is not None and epoch.committee.place_of(validator) is not None
