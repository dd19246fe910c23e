"""Who uses the network meanwhile: hands in transactions at any node, and remembers what was seen final.

Registrations of fresh wallets cost nothing; transfers come from the wallet of a node that trains, once it has earned.
"""

import asyncio
import random
import time
from dataclasses import dataclass, field

from chain.address import address_of, to_text
from chain.crypto import ecdsa
from chain.genesis import Network
from chain.transactions import Transaction, Transfer
from node.identity import EMPTY, Identity, find_stamp
from tests.chaos.fleet import Fleet

PAUSE_SECONDS = 0.2
AGAIN_SECONDS = 5.0  # a node that was killed has forgotten what waited
WAITING_MAXIMUM = 40
FEE_MAXIMUM = 1_000
AMOUNT = 1_000


@dataclass
class Handed:
    """A transaction that was handed in and is not seen final yet."""

    transaction: Transaction
    since: float
    last: float


@dataclass
class Client:
    """`acknowledged`: the height of every transaction that some node has shown as final."""

    fleet: Fleet
    network: Network
    chance: random.Random
    payer: Identity | None = None
    waiting: dict[bytes, Handed] = field(default_factory=dict)
    acknowledged: dict[bytes, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    transfers: int = 0

    async def run(self) -> None:
        """Hand in and look up, until cancelled."""
        while True:
            if len(self.waiting) < WAITING_MAXIMUM:
                await self._hand_in(self._registration())
            if self.payer is not None:
                await self._pay(self.payer)
            await self.look()
            await asyncio.sleep(PAUSE_SECONDS)

    async def look(self) -> None:
        """Ask one node for each transaction that waits, and hand it in again if it seems forgotten."""
        for identity, handed in list(self.waiting.items()):
            found = await self._of_one(f"/v1/transactions/{identity.hex()}")
            now = time.monotonic()
            if found is not None and found.get("height") is not None:
                self.acknowledged[identity] = int(found["height"])
                self.seconds.append(now - handed.since)
                self.waiting.pop(identity, None)
            elif now - handed.last > AGAIN_SECONDS:
                handed.last = now
                await self._send(handed.transaction)

    def _registration(self) -> Transaction:
        secrets = (self.chance.randbytes(32) for _ in range(3))
        new, chain_id = Identity(*secrets), self.network.chain_id
        bits = self.network.params.stamp_bits
        stamp = find_stamp(new.node_public_key, new.wallet_public_key, chain_id, bits)
        return new.registration(0, stamp, False, chain_id)

    async def _pay(self, payer: Identity) -> None:
        """One transfer at a time from the wallet that earns."""
        if any(handed.transaction.sender == payer.wallet_public_key for handed in self.waiting.values()):
            return
        account = await self._of_one(f"/v1/accounts/{to_text(payer.address)}")
        if account is None or int(account["balance_nanos"]) < 2 * AMOUNT + FEE_MAXIMUM * 1_000:
            return
        payee = address_of(ecdsa.public_key(self.chance.randbytes(32)))
        draft = Transaction(payer.wallet_public_key, account["nonce"], FEE_MAXIMUM, 0, Transfer(payee, AMOUNT), EMPTY)
        if await self._hand_in(payer.sign_transaction(draft, self.network.chain_id)):
            self.transfers += 1

    async def _hand_in(self, transaction: Transaction) -> bool:
        if not await self._send(transaction):
            return False
        now = time.monotonic()
        self.waiting[transaction.id(self.network.chain_id)] = Handed(transaction, now, now)
        return True

    async def _send(self, transaction: Transaction) -> bool:
        free = self.fleet.free()
        if not free:
            return False
        body = {"transaction": transaction.encode().hex()}
        return await self.fleet.post(self.chance.choice(free), "/v1/transactions", body) is not None

    async def _of_one(self, path: str) -> dict[str, object] | None:
        free = self.fleet.free()
        return await self.fleet.get(self.chance.choice(free), path) if free else None

    async def lost(self, number: int) -> list[str]:
        """Acknowledged transactions that a node does not have at their height; all nodes have the same blocks."""
        found = []
        for identity, height in self.acknowledged.items():
            shown = await self.fleet.get(number, f"/v1/transactions/{identity.hex()}")
            if shown is None or shown.get("height") != height:
                found.append(f"transaction {identity.hex()[:16]} of height {height} is lost on node {number}: {shown}")
        return found
