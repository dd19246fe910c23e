"""The node among others while it runs: its protocols on the event loop, its switch, and the blobs that it serves.

Start reading at `Membership.start`. A node without `--peer` and `--listen` has protocols and nobody to talk to.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from chain.block import Outcome
from chain.crypto import ecdsa
from chain.errors import NeuroError
from chain.transition import Applied
from network.address import format_address
from network.blob_server import BlobServer, BlobSource
from network.errors import NetworkError
from network.peer import ARCHIVE, TRAINER, VALIDATOR, NodeKey
from network.switch import Switch
from network.switch_config import SwitchConfig
from network.tls import client_context
from network.traffic import Traffic
from node.audit_blobs import AuditBlobs
from node.blob_source import FileSource, Sources
from node.blobs import Blobs
from node.checkpoint import Trust
from node.corpus_fetch import INCOMING as CORPUS_INCOMING
from node.corpus_fetch import CorpusFetch
from node.corpus_receipts import Provider, ServedShards
from node.corpus_source import CorpusSource
from node.errors import NodeError
from node.home import Home
from node.journal import program_version
from node.loop_runtime import LoopRuntime
from node.model_fetch import ModelFetch
from node.model_source import ModelSource
from node.outcomes import Outcomes
from node.own import Hooks, Own
from node.protocols import Protocols, Services
from node.segment_room import limit_of
from node.segment_store import SegmentStore
from node.settings import Settings
from node.snapshot_keeper import SnapshotKeeper
from node.standing import make_voucher, read_voucher

INCOMING = "incoming"  # what is being fetched of a model, inside the models' folder


def meets_others(settings: Settings) -> bool:
    """Whether this node may have peers at all."""
    return bool(settings.peers) or settings.listen is not None


def _text(address: tuple[str, int] | None) -> str:
    return "" if address is None else format_address(*address)


def _both(first: Callable[[Applied], None], second: Callable[[Applied], None]) -> Callable[[Applied], None]:
    def hear(applied: Applied) -> None:
        first(applied)
        second(applied)

    return hear


def switch_config(
    home: Home,
    settings: Settings,
    on_error: Callable[[BaseException], None],
    is_validator: Callable[[bytes, bytes], bool] = lambda key, voucher: False,
) -> SwitchConfig:
    """Whom to meet and what to say of ourselves."""
    identity, chain_id = home.identity, home.network.chain_id
    roles = (TRAINER if settings.training else 0) | (VALIDATOR if settings.validator_intent else 0)
    return SwitchConfig(
        chain_id=chain_id,
        folder=home.directory / "peers",
        on_error=on_error,
        listen=_text(settings.listen) or None,
        advertise=_text(settings.advertise),
        seeds=tuple(_text(peer) for peer in settings.peers),
        agent=f"neuroshard/{program_version()}",
        roles=roles | (ARCHIVE if settings.archive else 0),
        voucher=make_voucher(chain_id, identity.node_public_key, identity.validator_secret),
        is_validator=is_validator,
        allow_local=settings.allow_local,
    )


def node_key(home: Home) -> NodeKey:
    """The key that peers know this node by."""
    identity = home.identity
    return NodeKey(identity.node_public_key, lambda digest: ecdsa.sign(identity.node_secret, digest), ecdsa.verify)


class Membership:
    """Made on the event loop. `failed` ends with the error that ends the node."""

    def __init__(self, home: Home, settings: Settings, own: Own, outcomes: Outcomes, hooks: Hooks) -> None:
        self.home, self.settings, self.outcomes = home, settings, outcomes
        self.runtime = LoopRuntime()
        self.trust = Trust(home.network.params, settings.checkpoint)
        self.view = own.view
        files = (outcomes.payloads, outcomes.aggregates)
        segments = SegmentStore(home.directory / "segments")
        sources: list[BlobSource] = [
            *(FileSource(each.find) for each in (*files, segments)),
            ModelSource(outcomes.models),
        ]
        keeper = self._keeper() if settings.snapshot_epochs else None
        if keeper is not None:
            sources.append(FileSource(keeper.find))
            hooks = replace(hooks, on_final=_both(hooks.on_final, keeper.hear_block))
        limit = limit_of(outcomes.models.learning, settings.segment_disk)
        self.audit_blobs = AuditBlobs(home.directory / "audits", Sources(sources), limit)
        corpus = CorpusSource(home.network, home.directory.root)
        source = Sources([*sources, FileSource(self.audit_blobs.find), corpus])
        self.protocols = Protocols(self.runtime, own, hooks, Services(self.trust, source, keeper, corpus))
        self.switch: Switch | None = None
        self._blobs: list[Blobs] = []
        self._corpus_blobs: Blobs | None = None
        self._server: BlobServer | None = None
        if meets_others(settings):
            config = switch_config(home, settings, self.runtime.fail, self._is_validator)
            self.switch = self.runtime.switch = Switch(config, node_key(home), self.protocols)
            self._server = BlobServer(source)
            self.switch.add_routes(self._server.routes())

    @property
    def failed(self) -> asyncio.Future[None]:
        return self.runtime.failed

    async def start(self) -> None:
        """Take part in consensus, and meet others. Raises NodeError if it cannot listen."""
        self._check_checkpoint()
        self.protocols.start()
        if self.switch is None:
            return
        blobs = self._blobs_into(self.outcomes.payloads.folder)
        self.outcomes.fetch_by(
            lambda wanted, done: blobs.want(wanted.root, wanted.bytes_maximum, self._holders(), done, wanted.size)
        )
        models = self.outcomes.models
        fetch = ModelFetch(models, self._blobs_into(models.folder / INCOMING), self._round_of)
        self.outcomes.fetch_checkpoint = fetch.fetch
        self.audit_blobs.fetcher = self._blobs_into(self.audit_blobs.folder)
        try:
            await self.switch.start()
        except NetworkError as error:
            raise NodeError(str(error)) from error

    async def bring_corpus(self, provider: Callable[[], Provider | None], tell: Callable[[str], None]) -> ServedShards:
        """Fetch the network's corpus if it is not here; returns what was served by whom. Raises CorpusError."""
        network, root = self.home.network, self.home.directory.root
        if self.switch is None or self.protocols.corpus is None:
            return ServedShards(root, network.corpus_root)
        if self._corpus_blobs is None:
            self._corpus_blobs = self._blobs_into(self.home.directory / "tokens" / CORPUS_INCOMING)
        fetch = CorpusFetch(network, root, (self.protocols.corpus, self._corpus_blobs), provider, tell)
        await fetch.bring()
        return fetch.served

    def _blobs_into(self, folder: Path) -> Blobs:
        assert self.protocols.blobs is not None
        self._blobs.append(Blobs(self.runtime, self.protocols.blobs, folder, client_context()))
        return self._blobs[-1]

    def _round_of(self, outcome: Outcome) -> int | None:
        """The round at whose end this is the ledger's model; None if it is another by now."""
        ledger = self.view.store.state().ledger
        return ledger.ended_round if ledger.model == outcome else None

    def _check_checkpoint(self) -> None:
        """Raise CheckpointError if the ledger that is here already is another than the one that the user trusts."""
        checkpoint, tip = self.settings.checkpoint, self.view.tip
        if checkpoint is not None and 0 < checkpoint[0] <= tip.height:
            self.trust.check(checkpoint[0], self.view.store.hash_at(checkpoint[0]))

    async def stop(self) -> None:
        """Leave. Afterwards nothing touches the files any more."""
        self.protocols.stop()
        if self.switch is not None:
            await self.switch.stop()
        for blobs in self._blobs:
            await blobs.stop()
        if self._server is not None:
            self._server.close()
        await self.runtime.stop()

    def _holders(self) -> list[bytes]:
        """Who is to have what a round counted and gave: the validators, by lot, so that not all ask the same one."""
        keys = sorted(self.protocols.standing.validators)
        self.runtime.random.shuffle(keys)
        return keys

    # ---- For people

    @property
    def refusal(self) -> str:
        """Why this node does not catch up although others are ahead; empty if nothing is in the way."""
        return self.protocols.sync.refusal or ""

    @property
    def peers(self) -> int:
        """How many are connected."""
        return len(self.runtime.peers())

    @property
    def traffic(self) -> Traffic:
        """All that was sent and received since the start: messages, and blobs over HTTPS."""
        messages = Traffic() if self.switch is None else self.switch.traffic
        served = 0 if self._server is None else self._server.bytes_served
        fetched = 0 if self.protocols.blobs is None else self.protocols.blobs.bytes_over_https
        return Traffic(messages.sent + served, messages.received + fetched)

    @property
    def listens_at(self) -> str:
        """HOST:PORT for others to connect to; empty if there is none."""
        return "" if self.switch is None else self.switch.listen_address or ""

    @property
    def peer_height(self) -> int:
        """The highest block that a peer says is final; 0: nobody has said anything."""
        best = self.protocols.standing.best()
        return 0 if best is None else best[1].height

    # ---- What the switch and the protocols are told

    def _keeper(self) -> SnapshotKeeper:
        folder, models = self.home.directory / "snapshots", self.outcomes.models
        return SnapshotKeeper(self.runtime, self.view.store, models, folder, self.settings.snapshot_epochs or 0)

    def _is_validator(self, key: bytes, voucher: bytes) -> bool:
        try:
            validator = read_voucher(self.home.network.chain_id, key, voucher)
        except NeuroError:
            return False
        epoch = self.protocols.replica.epoch
        return epoch is not None and epoch.committee.place_of(validator) is not None
