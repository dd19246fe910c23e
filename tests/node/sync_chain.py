"""A chain of 304 blocks through which validators come and go, with everybody's finalizations, and ledgers that have it.

The blocks are those of the long golden history; its validators' secrets are known.
"""

import lzma
from collections.abc import Iterable, Sequence
from functools import cache

from chain.block import Block, Header, Validator
from chain.crypto import bls
from chain.genesis import Network, parse_network
from chain.transition import apply_block
from consensus.certificate import bitmap_of
from consensus.messages import FINALIZE, NOTARIZE, Certificate, vote_message
from node.ledger_view import LedgerView
from node.store import Store
from tests.chain.golden_long import FILE, History
from tests.chain.played_chain import SECRETS_FROM
from tests.node.lone_node import MemoryKeyValue

EPOCH = 8


class Records(MemoryKeyValue):
    """A dictionary as a database that can be frozen."""

    def snapshot(self) -> "Records":
        return Records(self.records)


@cache
def secrets() -> dict[bytes, int]:
    return {bls.public_key(secret): secret for secret in (*range(1, 5), *range(SECRETS_FROM, SECRETS_FROM + 9))}


def certify(
    network: Network,
    header: Header,
    members: Sequence[Validator],
    signers: Iterable[int] | None = None,
    kind: int = FINALIZE,
) -> Certificate:
    """What members, by default all, sign of a block. The sum of signatures is the signature by the sum of secrets."""
    places = sorted(range(len(members)) if signers is None else signers)
    message = vote_message(network.chain_id, kind, header.epoch, header.view, header.hash())
    total = sum(secrets()[members[place].public_key] for place in places)
    bitmap = bitmap_of(places, len(members))
    return Certificate(
        kind, header.epoch, header.view, header.hash(), bitmap, bls.sign(total % bls.GROUP_ORDER, message)
    )


class Grown:
    """The whole chain, and the records of a ledger at every height that was asked for."""

    def __init__(self) -> None:
        history = History.decode(lzma.decompress(FILE.read_bytes()))
        self.network = parse_network(history.network)
        self.blocks = [Block.decode(data) for data in history.blocks]
        self.at: dict[int, dict[bytes, bytes]] = {}
        self._grow()

    def _grow(self) -> None:
        records = Records()
        store = Store(records, self.network)
        self.sets: dict[int, tuple[Validator, ...]] = {}
        for block in self.blocks:
            if block.header.height % EPOCH == 1:
                self.at[block.header.height - 1] = dict(records.records)
            members = store.state().validators(block.header.epoch).members
            self.sets[block.header.epoch] = members
            applied = apply_block(store.state(), store.tip(), block, self.network, store.node, reveal_checked=True)
            store.keep(certify(self.network, block.header, members, kind=NOTARIZE))
            store.append(applied, certify(self.network, block.header, members))
        self.at[len(self.blocks)] = dict(records.records)

    def view(self, height: int) -> LedgerView:
        """A ledger that ends at the end of an epoch, or with the whole chain."""
        return LedgerView(Store(Records(self.at[height]), self.network), self.network)


@cache
def grown() -> Grown:
    return Grown()


def same_ledger(one: LedgerView, other: LedgerView, prefixes: bytes = b"sthxiob") -> bool:
    """Whether state, tree, indexes and blocks are equal to the byte."""
    return all(
        dict(one.store.database.items(bytes((p,)))) == dict(other.store.database.items(bytes((p,)))) for p in prefixes
    )
