"""What is stored, compared with what it should be: records, kept certificates, and every pot added up by itself."""

from collections.abc import Callable, Mapping, Sequence

from chain.crypto.hashing import ZERO
from chain.errors import NeuroError
from chain.genesis import Network, genesis_state
from chain.stakes import Stake, Unbonding
from chain.state import Account, State, Vesting, set_key
from chain.tree import Update
from consensus.certificate import verify_certificate
from consensus.messages import Certificate
from node.certificates import committee_of
from node.errors import NodeError, StoreError
from node.key_value import KeyValue
from node.receipt_index import PREFIXES
from node.store import CHAIN, GENESIS_ROOT, SCHEMA, SCHEMA_KEY, TIP, kept_key

Records = Mapping[bytes, bytes]
Progress = Callable[[int, int], None]
NAMES = {
    b"s": "state",
    b"t": "tree",
    b"h": "block index",
    b"x": "transaction index",
    b"i": "address index",
    b"o": "round index",
    b"e": "headers",
    b"w": "receipt index",
    b"r": "receipt index by block",
    b"d": "sums of wallets",
    b"n": "node index",
}
INDEXES = (b"h", b"x", b"i", b"o", b"n", *PREFIXES)


class ArchiveDiffers(NodeError):
    """What is stored is not what the rules give."""


def silent(done: int, total: int) -> None:
    """Progress that nobody watches."""


def tip_of(database: KeyValue) -> int:
    """The height of the last block."""
    return int.from_bytes(database.get(TIP) or b"", "big")


def by_prefix(records: Records, prefixes: Sequence[bytes] = INDEXES) -> dict[bytes, dict[bytes, bytes]]:
    """Index records sorted by their kind, each without its prefix."""
    return {prefix: {k[1:]: v for k, v in records.items() if k[:1] == prefix} for prefix in prefixes}


def differences(database: KeyValue, prefix: bytes, expected: Records) -> list[bytes]:
    """The keys, without their prefix, under which something else is stored than expected; ascending."""
    found = {key[1:]: value for key, value in database.items(prefix)}
    return sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))


def compare(database: KeyValue, tip: int, expected: Mapping[bytes, Records]) -> None:
    """Raise ArchiveDiffers unless each prefix has exactly the expected records, and no block lies above `tip`."""
    for prefix, name in ((b"b", "block"), (b"f", "certificate")):
        beyond = sum(int.from_bytes(key[1:], "big") > tip for key, _ in database.items(prefix))
        if beyond:
            raise ArchiveDiffers(f"after height {tip} there are {beyond} {name} records more")
    for prefix, records in expected.items():
        wrong = differences(database, prefix, records)
        if wrong:
            raise ArchiveDiffers(
                f"after height {tip} the stored {NAMES[prefix]} differs in {len(wrong)} records, "
                f"first {wrong[0].hex()[:40]}"
            )


def check_beginning(database: KeyValue, network: Network) -> tuple[State, Update, bytes]:
    """The state, tree and root at height 0. Raises ArchiveDiffers if the ledger was begun with others."""
    if database.get(CHAIN) != network.chain_id:
        raise ArchiveDiffers("the ledger and the network file belong to different chains")
    if database.get(TIP) is None:
        raise ArchiveDiffers("height 0 differs: the ledger no longer knows its height")
    state, tree = genesis_state(network), Update(lambda _: None)
    root = tree.apply(ZERO, state.changes)
    if (database.get(GENESIS_ROOT), database.get(SCHEMA_KEY)) != (root, SCHEMA):
        raise ArchiveDiffers("height 0 differs: the ledger was begun with another state or schema")
    return state, tree, root


def check_kept(database: KeyValue, state: State, chain_id: bytes, tip: int) -> None:
    """Certificates of views that are not final yet: the next block will carry the tip's notarization."""
    for key, data in database.items(b"k"):
        try:
            certificate = Certificate.decode(data)
            if key != kept_key(certificate) or state.get(set_key(certificate.epoch)) is None:
                raise StoreError("it lies in another's place")
            verify_certificate(certificate, committee_of(state, certificate.epoch), chain_id)
        except NeuroError as error:
            raise ArchiveDiffers(f"after height {tip} a kept certificate differs: {error}") from error


def recount(flat: Records) -> None:
    """Add up every pot by itself: the totals of the supply record are only sums that somebody kept."""
    supply = State(flat.get).supply
    found = {"balances": 0, "bonded": 0, "unbonding": 0, "vesting": 0}
    for key, value in flat.items():
        match key[:1]:
            case b"a":
                found["balances"] += Account.decode(value).balance
            case b"b":
                found["bonded"] += Stake.decode(value).bonded
            case b"u":
                found["unbonding"] += Unbonding.decode(value).amount
            case b"v":
                found["vesting"] += Vesting.decode(value).amount
    for name, amount in found.items():
        if getattr(supply, name) != amount:
            raise ArchiveDiffers(f"{name}: {getattr(supply, name)} nanos are recorded, {amount} are found one by one")
    if supply.circulating != sum(found.values()):
        raise ArchiveDiffers(f"{supply.circulating} nanos exist, {sum(found.values())} are owned by somebody")
