"""What a word may name: a block, a round, a transaction, a wallet or a node. Looked up by key, never by searching."""

from collections.abc import Iterator
from itertools import islice

from chain.address import from_text, to_text
from chain.errors import DecodeError
from node.api.block_answers import Json
from node.api.fields import NUMBER, U64_MAXIMUM
from node.key_value import KeyValue
from node.store import Store

FOUND_MAXIMUM = 8  # of each kind
SHORTEST_NODE, SHORTEST_HASH = 4, 8  # digits: people name nodes by fewer
HASH_BYTES = 32


def search(store: Store, word: str) -> list[Json]:
    """Everything that a word may mean, the likeliest first."""
    return [*_numbered(store, word), *_accounts(word), *_hashed(store, word)]


def found(kind: str, name: str, path: str, page: str) -> Json:
    """`path` is of the API, `page` of the explorer."""
    return {"kind": kind, "name": name, "path": path, "page": page}


def a_block(height: int) -> Json:
    return found("block", str(height), f"/v1/blocks/{height}", f"/block.html#{height}")


def a_transaction(identity: bytes) -> Json:
    name = identity.hex()
    return found("transaction", name, f"/v1/transactions/{name}", f"/transaction.html#{name}")


def _numbered(store: Store, word: str) -> Iterator[Json]:
    if not NUMBER.fullmatch(word) or int(word) > U64_MAXIMUM:
        return
    number = int(word)
    if store.pruned_height < number <= store.height:
        yield a_block(number)
    if 1 <= number <= store.state().ledger.round:
        yield found("round", word, f"/v1/rounds/{word}", f"/round.html#{word}")


def _accounts(word: str) -> Iterator[Json]:
    try:
        address = to_text(from_text(word))
    except DecodeError:
        return
    yield found("account", address, f"/v1/accounts/{address}", f"/wallet.html#{address}")


def _hashed(store: Store, word: str) -> Iterator[Json]:
    digits = word.lower()
    if len(digits) > 2 * HASH_BYTES or not set(digits) <= set("0123456789abcdef"):
        return
    if len(digits) >= SHORTEST_HASH:
        for key, value in beginning_with(store.database, b"h", digits):
            height = int.from_bytes(value, "big")
            if height > store.pruned_height:
                yield a_block(height) | {"name": key.hex()}
        for key, _ in beginning_with(store.database, b"x", digits):
            yield a_transaction(key)
    if len(digits) >= SHORTEST_NODE:
        for key, _ in beginning_with(store.database, b"sn", digits):
            yield found("node", key.hex(), f"/v1/nodes/{key.hex()}", f"/node.html#{key.hex()}")


def beginning_with(database: KeyValue, namespace: bytes, digits: str) -> list[tuple[bytes, bytes]]:
    """At most FOUND_MAXIMUM (hash, value) of a namespace whose hash begins with these digits.

    Between two bounds of the hash, so that not one key is read that does not fit.
    """
    if len(digits) == 2 * HASH_BYTES:
        # LevelDB's range of one key comes back empty when it is walked backwards.
        value = database.get(namespace + bytes.fromhex(digits))
        return [] if value is None else [(bytes.fromhex(digits), value)]
    least, most = (bytes.fromhex(digits.ljust(2 * HASH_BYTES, end)) for end in "0f")
    keys = database.descending(namespace + least, namespace + most + b"\x00")
    return [(key[len(namespace) :], value) for key, value in islice(keys, FOUND_MAXIMUM)]
