"""What the handlers of the API work with, and the handlers that ask the ledger."""

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from aiohttp import web
from marshmallow import Schema, ValidationError

from chain.errors import BadSignature, LedgerError, NeuroError
from chain.transactions import Transaction
from node.api.audit_answers import audit_page, proof_of
from node.api.block_answers import block_page, transaction_fields, transaction_of, whole_block
from node.api.events import Events
from node.api.faults import Refusal, of_ledger
from node.api.kept import LEDGER, Kept
from node.api.limits import Crowd, Limits, Rates, is_loopback, read_body
from node.api.metrics import Metrics
from node.api.operator import Control
from node.api.peer_answers import peers_of
from node.api.questions import Submission
from node.api.reads import Reads
from node.api.rich_list import RichList
from node.api.round_answers import Local, RoundAnswers, proof_page
from node.api.validator_answers import validator_page
from node.mempool_checks import check_applies
from node.node import Node
from node.round_history import Measured, finite
from node.round_now import pace_ms
from node.status import as_json, status_of
from node.store import Store

LOSSES_SHOWN = 500
STALLED_INTERVALS = 3  # heartbeats that may be missed
STALLED_SECONDS = 30


@dataclass(slots=True)
class Asked:
    """A request whose fields have been checked."""

    request: web.Request
    fields: dict[str, Any] = field(default_factory=dict)


class Desk:
    """One node's API: everything that outlives a request."""

    def __init__(self, node: Node, limits: Limits, control: Control) -> None:
        self.node = node
        self.control = control
        self.limits = limits
        self.rates = Rates(limits)
        self.requests = Crowd(limits.at_once, "requests", limits.at_once_of_address)
        self.streams = Crowd(limits.streams, "event streams", limits.streams_of_address)
        self.reads = Reads(node.store.database, node.network)
        self.rounds = RoundAnswers()
        self.kept = Kept(limits.kept_seconds)
        self.rich_list = RichList()
        self.events = Events(node)
        self.metrics = Metrics(node, self.events)
        self.host = "127.0.0.1"  # where the server listens
        self.document = b"{}"
        self._measured: dict[int, Measured] = {}
        self._losses = -1, b""  # of so many measurements

    def state_for(self, keep: str) -> Hashable:
        """What an answer that is kept so follows from. Read before the answer is made: it is never newer than that."""
        height = self.node.facts.tip.height
        return height if keep == LEDGER else (height, self.node.mempool.version)

    # ---- From memory

    async def status(self, _: Asked) -> web.StreamResponse:
        return encoded(json.dumps(as_json(status_of(self.node))).encode())

    async def health(self, _: Asked) -> web.StreamResponse:
        """`stalled`, with status 503, if no block has become final for too long."""
        node = self.node
        age = node.readings.block_age_seconds
        patience = STALLED_INTERVALS * node.network.params.block_interval_max_ms / 1000 + STALLED_SECONDS
        is_degraded = node.readings.disk_low or bool(node.live.trainer_failure or node.attendance.trouble)
        state = "stalled" if age > patience else "degraded" if is_degraded else "ok"
        content = {
            "status": state,
            "height": node.facts.tip.height,
            "block_age_seconds": int(age),
            "disk_low": node.readings.disk_low,
            "trainer_failure": node.live.trainer_failure,
            "model_trouble": node.attendance.trouble,
        }
        return encoded(json.dumps(content).encode(), 503 if state == "stalled" else 200)

    async def peers(self, asked: Asked) -> web.StreamResponse:
        """Strangers from elsewhere are not told where peers are: that is where people live."""
        membership = self.node.membership
        is_near = is_loopback(self.host) or self.control.is_given(asked.request)
        told = peers_of(None if membership is None else membership.switch, with_addresses=is_near)
        return encoded(json.dumps(told).encode())

    async def losses(self, _: Asked) -> web.StreamResponse:
        entries = self.node.history.entries
        if self._losses[0] != len(entries):
            self._losses = len(entries), json.dumps({"losses": sampled(entries)}).encode()
        return encoded(self._losses[1])

    async def show_metrics(self, _: Asked) -> web.StreamResponse:
        return web.Response(body=self.metrics.text(), content_type="text/plain", charset="utf-8")

    async def show_document(self, _: Asked) -> web.StreamResponse:
        return encoded(self.document)

    async def stream(self, asked: Asked) -> web.StreamResponse:
        with self.streams.joined(asked.request.remote or ""):
            return await self.events.serve(asked.request, asked.fields["address"])

    # ---- From the ledger

    async def _read(self, read: Callable[[Store], object]) -> web.StreamResponse:
        return encoded(await self.reads.encoded(read))

    async def blocks(self, asked: Asked) -> web.StreamResponse:
        return await self._read(lambda store: block_page(store, **asked.fields))

    async def block(self, asked: Asked) -> web.StreamResponse:
        return await self._read(lambda store: whole_block(store, asked.fields["block"]))

    async def validators(self, asked: Asked) -> web.StreamResponse:
        return await self._read(lambda store: validator_page(store, **asked.fields))

    async def round_page(self, asked: Asked) -> web.StreamResponse:
        local = self._local()
        return await self._read(lambda store: self.rounds.page(store, local, **asked.fields))

    async def round(self, asked: Asked) -> web.StreamResponse:
        local = self._local()
        return await self._read(lambda store: self.rounds.whole(store, local, asked.fields["round"]))

    def _local(self) -> Local:
        """For a reading thread, which must not look into what changes."""
        node, entries = self.node, self.node.history.entries
        # A history of years is put in order once a round, and not for everybody who asks.
        if len(self._measured) != len(entries):
            self._measured = {entry.round: entry for entry in entries}
        pace = pace_ms(tuple(node.readings.block_times_ms), node.network.params)
        return Local(self._measured, node.weights.known, pace, node.traffic.known)

    async def proofs(self, asked: Asked) -> web.StreamResponse:
        fields = asked.fields
        names = fields["limit"], fields["cursor"], fields["round"], fields["node"]
        return await self._read(lambda store: proof_page(store, *names))

    async def proof(self, asked: Asked) -> web.StreamResponse:
        return await self._read(lambda store: proof_of(store, asked.fields["round"], asked.fields["node"]))

    async def audits(self, asked: Asked) -> web.StreamResponse:
        fields = asked.fields
        names = fields["limit"], fields["cursor"], fields["round"]
        return await self._read(lambda store: audit_page(store, *names))

    async def transaction(self, asked: Asked) -> web.StreamResponse:
        identity = asked.fields["id"]
        found = await self._known(identity)
        if found is None:
            raise Refusal(404, "no transaction of this id is final or waits here")
        return encoded(json.dumps(found).encode())

    async def _known(self, identity: bytes) -> dict[str, Any] | None:
        """A transaction that waits or is final."""
        waiting = self.node.mempool.find(identity)
        found = await self.reads.run(lambda store: transaction_of(store, identity))
        if found is None and waiting is not None:
            return transaction_fields(waiting, self.node.network.chain_id)
        return found

    # ---- Into the mempool

    async def submit(self, asked: Asked) -> web.StreamResponse:
        """Judge a transaction on the finalized state, keep it, wake the engine. Sent again, it is answered again."""
        transaction = await self._submitted(asked.request)
        node, chain_id = self.node, self.node.network.chain_id
        identity = transaction.id(chain_id)
        found = await self._known(identity)
        if found is not None and found["transaction"] == transaction.encode().hex():
            return encoded(json.dumps(found).encode())
        try:
            # The cheap rules first: a flood must not reach the threads.
            node.mempool.check(transaction, node.store.state())
            earlier = node.mempool.before(transaction)
            await self.reads.run(
                lambda store: check_applies(transaction, earlier, store.state(), store.height + 1, node.network)
            )
            node.mempool.add(transaction, node.store.state())
        except (LedgerError, BadSignature) as error:
            raise of_ledger(error) from error
        node.news()
        return encoded(json.dumps(transaction_fields(transaction, chain_id)).encode(), 202)

    async def sent(self, request: web.Request, schema: type[Schema]) -> dict[str, Any]:
        """The fields of a body. Raises Refusal."""
        if request.content_type != "application/json":
            raise Refusal(415, "the body is JSON: send it with Content-Type: application/json")
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refusal(415, "the body is taken as it is: send it without Content-Encoding")
        return checked(schema, strict_json(await read_body(request, self.limits.read_seconds)))

    async def _submitted(self, request: web.Request) -> Transaction:
        content = (await self.sent(request, Submission))["transaction"]
        try:
            return Transaction.decode(bytes.fromhex(content))
        except NeuroError as error:
            raise of_ledger(error) from error


def encoded(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


def sampled(entries: Sequence[Measured]) -> list[dict[str, Any]]:
    """At most LOSSES_SHOWN measurements at equal distances, the first and the last among them.

    What is no number, because the model has diverged, is left out: JSON cannot tell it.
    """
    entries = [entry for entry in entries if finite(entry.validation_loss) is not None]
    count = len(entries)
    shown = min(count, LOSSES_SHOWN)
    places = [index * (count - 1) // max(shown - 1, 1) for index in range(shown)]
    names = ("round", "validation_loss", "tokens", "time_ms")
    return [{name: getattr(entries[place], name) for name in names} for place in places]


def checked(schema: type[Schema], content: Any) -> dict[str, Any]:
    """The fields of a question. Raises Refusal 400, saying what is wrong with each."""
    try:
        found: dict[str, Any] = _instance(schema).load(content)
    except ValidationError as error:
        told: dict[str, Any] = error.normalized_messages()  # type: ignore[no-untyped-call]
        faults = {str(name)[:64]: first_words(fault) for name, fault in list(told.items())[:16]}
        message = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
        raise Refusal(400, message, faults=faults) from error
    return found


@cache
def _instance(schema: type[Schema]) -> Schema:
    """To make one takes longer than to ask it."""
    return schema()


def first_words(fault: Any) -> str:
    while isinstance(fault, list | dict):
        fault = next(iter(fault.values() if isinstance(fault, dict) else fault), "")
    return str(fault)


def strict_json(body: bytes) -> dict[str, Any]:
    """A flat JSON object whose names are there once. Raises Refusal 400."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a name is there twice")
        return dict(pairs)

    try:
        found = json.loads(body.decode(), object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is no JSON object: {error}") from error
    if not isinstance(found, dict):
        raise Refusal(400, "the body is no JSON object")
    return found
