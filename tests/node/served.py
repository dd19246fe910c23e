"""A real node whose ledger has a past, and its API on a real port of this machine.

The past is made by a lone node, with training made up; then `Node` opens the same directory and its engine goes on.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from chain.address import address_of
from chain.crypto import ecdsa
from chain.genesis import Network
from chain.transactions import Action, Transaction, Transfer
from chain.transition import Applied
from consensus.messages import FINALIZE, NOTARIZE
from node.api.limits import Limits
from node.api.operator import Control, open_token
from node.api.server import Api
from node.data_directory import DataDirectory
from node.home import Home
from node.key_value import open_key_value
from node.node import Node
from node.round_history import Measured
from node.settings import LEVELS, Settings
from node.sign_state import SignState, owner_of
from tests.node.lone_node import CREATED_MS, IDENTITY, LoneNode, named, tiny_network

ROUNDS, ROUND_MS = 4, 30_000
# Nothing waits for a test, and it looks at each moment.
WIDE = Limits(requests_per_second=100_000, burst=100_000, kept_seconds=0)
PAYEE = named("payee")
PATIENCE_SECONDS = 30
Past = Callable[[Path], Network]


def make_past(folder: Path, rounds: int = ROUNDS, **params: int) -> Network:
    """A data directory with closed rounds, a void one, a transfer, and a round in training."""
    made, network = _past(rounds, tuple(params.items()))
    shutil.copytree(made.name, folder, dirs_exist_ok=True)
    return network


@cache
def _past(rounds: int, params: tuple[tuple[str, int], ...]) -> tuple[TemporaryDirectory[str], Network]:
    """Made once, however many tests begin with it."""
    made = TemporaryDirectory()
    folder = Path(made.name)
    directory = DataDirectory(folder)
    directory.create()
    database = open_key_value(directory / "ledger")
    node = LoneNode(folder, tiny_network(**{"train_blocks": 4, "vest_rounds": 2, **dict(params)}), database)
    node.register()
    for _ in range(rounds):
        node.close_round()
    while node.state.account(IDENTITY.address).balance < 10**6:
        node.close_round()
    pay(node, 1_000)
    number = node.state.ledger.round
    node.train(1)
    while node.state.ledger.ended_round < number:
        node.block()
    node.block()
    node.train(2)
    last = node.block()
    remember_votes(folder, last)
    database.close()
    return made, node.network


def remember_votes(folder: Path, last: Applied) -> None:
    """What a node's record of its votes holds about the end of its ledger."""
    header = last.block.header
    owner = owner_of(header.chain_id, IDENTITY.validator_public_key)
    sign_state = SignState.open(folder / "sign-state", owner)
    for kind in (NOTARIZE, FINALIZE):
        sign_state.record(kind, header.epoch, header.view, header.hash())
    sign_state.close()


def pay(node: LoneNode, amount: int) -> None:
    nonce = node.state.account(IDENTITY.address).nonce
    node.mempool.add(a_transfer(node.network, nonce, amount), node.state)
    node.block()


def a_transfer(network: Network, nonce: int, amount: int, payee: bytes = b"", **changes: Any) -> Transaction:
    """Signed by the node's wallet. `secret` signs instead."""
    secret = changes.pop("secret", IDENTITY.wallet_secret)
    action: Action = Transfer(payee or address_of_secret(PAYEE), amount)
    return signed(
        network, replace(Transaction(ecdsa.public_key(secret), nonce, 100, 0, action, bytes(64)), **changes), secret
    )


def signed(network: Network, draft: Transaction, secret: bytes) -> Transaction:
    return replace(draft, signature=ecdsa.sign(secret, draft.id(network.chain_id)))


def address_of_secret(secret: bytes) -> bytes:
    return address_of(ecdsa.public_key(secret))


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of an error, whose shape is checked."""
        assert self.headers["Content-Type"].startswith("application/json"), self.headers
        error = self.json["error"]
        assert set(self.json) == {"error"} and {"code", "message"} <= set(error) and error["message"]
        code: str = error["code"]
        return code


@dataclass
class Served:
    """A listening node."""

    node: Node
    api: Api
    address: str
    session: aiohttp.ClientSession
    orders: list[str]  # log levels set and stops asked for by the operator

    @property
    def as_operator(self) -> dict[str, str]:
        """The header of one who can read the token."""
        return {"Authorization": f"Bearer {self.api.desk.control.token}"}

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def ask(self, path: str, method: str = "GET", **options: Any) -> Reply:
        async with self.session.request(method, self.url + path, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str) -> Any:
        """The JSON of an answer that must be good."""
        reply = await self.ask(path)
        assert reply.status == 200, (path, reply.body)
        return reply.json

    async def order(self, name: str, content: object, **options: Any) -> Reply:
        """POST as the operator, who can read the token."""
        return await self.ask(f"/v1/operator/{name}", "POST", json=content, headers=self.as_operator, **options)

    async def walked(self, path: str, key: str, limit: int = 3) -> list[Any]:
        """Every entry of a list, page by page."""
        found: list[Any] = []
        joint = "&" if "?" in path else "?"
        page = await self.get(f"{path}{joint}limit={limit}")
        while True:
            assert len(page[key]) <= limit
            found += page[key]
            if page["next_cursor"] is None:
                return found
            page = await self.get(f"{path}{joint}limit={limit}&cursor={page['next_cursor']}")

    async def submit(self, transaction: Transaction) -> Reply:
        return await self.ask("/v1/transactions", "POST", json={"transaction": transaction.encode().hex()})

    async def raw(self, request: bytes) -> bytes:
        """Everything that comes back for these bytes, until the node closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        await writer.drain()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await reader.read()
        finally:
            writer.close()

    async def raw_is_closed(self) -> None:
        """Fails unless the node closes a new connection without a word."""
        request = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        with suppress(ConnectionError):
            assert await self.raw(request) == b""

    @property
    def network(self) -> Network:
        return self.node.network

    @asynccontextmanager
    async def blocks(self) -> AsyncIterator[None]:
        """The node's own engine makes blocks meanwhile."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.node.run(stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def until(self, path: str, true_of: Any) -> Any:
        """Ask until the answer fits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    found = (await self.ask(path)).json
                except aiohttp.ClientConnectionError:
                    found = None
                if found is not None and true_of(found):
                    return found
                await asyncio.sleep(0.01)


def open_node(folder: Path, network: Network, validator: bool = False) -> Node:
    directory = DataDirectory(folder)
    directory.lock()
    directory.create()
    settings = Settings(folder, None, "lab", False, validator, "cpu", 1, None, None)
    node = Node(Home(directory, network, IDENTITY), settings, lambda _: None)
    if not node.history.entries:
        for number in range(ROUNDS + 1):
            node.history.add(Measured(number, 4.0 - number / 8, None, 100 * number, CREATED_MS + ROUND_MS * number))
    return node


@asynccontextmanager
async def serving(
    folder: Path, limits: Limits = WIDE, listen: str = "127.0.0.1:0", past: Past = make_past, validator: bool = False
) -> AsyncIterator[Served]:
    """The API of a new node with a past."""
    network = await asyncio.to_thread(past, folder)
    node = open_node(folder, network, validator)
    orders: list[str] = []
    control = Control(
        open_token(node.home.directory),
        {"threads": {"value": 2, "source": "flag", "where": "--threads"}},
        lambda: next((each for each in reversed(orders) if each in LEVELS), "info"),
        orders.append,
        lambda: orders.append("stopped"),
    )
    api = Api(node, node.home.directory, control, limits)
    address = await api.start(listen)
    try:
        # A connection kept open is closed by a server with little patience while the next request is on its way.
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            yield Served(node, api, address, session, orders)
    finally:
        await api.stop()
        await node.close()
