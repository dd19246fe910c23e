"""What our provider has served us, and the receipts for it: one in a block, until the ledger has them all."""

import json
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from chain.audit_messages import DataReceipt
from chain.block import RoundInput
from chain.data_receipts import has_fetched, provider_of
from chain.genesis import Network
from chain.state import RESULT, TRAINING, Claim, NodeRecord, State, claim_key, node_key
from node.data_directory import read_json, write_atomically
from node.identity import EMPTY, Identity
from node.once import Once


@dataclass(frozen=True, slots=True)
class Provider:
    """The node drawn to serve us: its id, and the key by which peers know it."""

    node: bytes
    key: bytes


def drawn_provider(state: State, node: bytes) -> Provider | None:
    """Whose service to `node` is paid, as far as the ledger has drawn it."""
    found = provider_of(state, state.ledger.round, node)
    return None if found is None else Provider(found, state.need(NodeRecord, node_key(found)).public_key)


class ServedShards:
    """Shards by their number, and the node that gave all of each; kept beside the tokens. Raises OSError."""

    def __init__(self, root: Path, corpus_root: bytes) -> None:
        self.path = root / "tokens" / f"{corpus_root.hex()[:16]}-served.json"
        self._lock = Lock()
        self.by_shard: dict[int, bytes] = {}
        for number, node in (read_json(self.path) or {}).items():
            if number.isascii() and number.isdigit() and isinstance(node, str) and len(node) == 64:
                self.by_shard[int(number)] = bytes.fromhex(node)

    def note(self, shard: int, node: bytes) -> None:
        """May be called in threads."""
        with self._lock:
            self.by_shard[shard] = node
            content = {str(number): self.by_shard[number].hex() for number in sorted(self.by_shard)}
            write_atomically(self.path, json.dumps(content).encode() + b"\n")


class ReceiptDriver:
    """Signs what we have really been served."""

    def __init__(self, network: Network, identity: Identity, served: ServedShards) -> None:
        self.network = network
        self.identity = identity
        self.served = served
        self._once = Once()

    def inputs(self, state: State) -> list[RoundInput]:
        """The next receipt that the ledger lacks."""
        if not self.served.by_shard:
            return []
        number, node = state.ledger.round, self.identity.node
        current = state.round(number)
        if current is None or not TRAINING <= current.phase <= RESULT or not state.find(Claim, claim_key(number, node)):
            return []
        provider = provider_of(state, number, node)
        most = self.network.params.corpus_shards
        mine = sorted(shard for shard, giver in self.served.by_shard.items() if giver == provider and shard < most)
        missing = next((shard for shard in mine if not has_fetched(state, node, shard)), None)
        if provider is None or missing is None:
            return []
        draft = DataReceipt(number, node, provider, missing, EMPTY)
        return [self._once(draft, lambda: self.identity.sign_as_node(draft, self.network.chain_id))]
