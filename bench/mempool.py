"""How fast the mempool takes in and refuses transactions, what it weighs when full, and how soon a block has its order.

Times are of one core, as the operating system counts them: other programs on the machine do not enter.

.venv/bin/python -m bench mempool
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

import psutil

from bench.figure import report
from bench.networks import lone_validator
from chain.address import address_of
from chain.crypto import ecdsa
from chain.errors import NeuroError
from chain.genesis import Network, genesis_state
from chain.state import Account, State, account_key
from chain.transactions import Transaction, Transfer, check_signature
from node.mempool import Caps, Mempool
from node.template import create_network, read_template, template_path

TRIES = 5_000
BLOCK = 4_096
MIB = 1 << 20
FUNDED = Account(10**18, 0).encode()
PAYEE = address_of(ecdsa.public_key(sha256(b"payee").digest()))


def rich_state(network: Network) -> State:
    """A ledger on which everybody has money; no record takes memory."""
    known = genesis_state(network).changes
    return State(lambda key: FUNDED if key[:1] == b"a" else known.get(key))


def transfers(network: Network) -> Iterator[Transaction]:
    """Of a new wallet each, each with a higher tip than the last."""
    index = 0
    while True:
        secret = sha256(f"wallet {index}".encode()).digest()
        draft = Transaction(ecdsa.public_key(secret), 0, 10**6, index, Transfer(PAYEE, 1), bytes(64))
        signature = ecdsa.sign(secret, draft.id(network.chain_id))
        yield Transaction(draft.sender, 0, draft.max_fee, draft.tip, draft.action, signature)
        index += 1


def per_second(transactions: Sequence[Transaction], use: Callable[[Transaction], object]) -> float:
    begun = time.process_time()
    for transaction in transactions:
        use(transaction)
    return len(transactions) / (time.process_time() - begun)


def refused(pool: Mempool, state: State) -> Callable[[Transaction], None]:
    def offer(transaction: Transaction) -> None:
        try:
            pool.add(transaction, state)
        except NeuroError:
            return
        raise SystemExit("a transaction that breaks a rule was taken")

    return offer


def resident_mib() -> float:
    return psutil.Process().memory_info().rss / MIB


def taken_for_a_block(pool: Mempool, base_fee: int) -> int:
    """Take as many as a block holds, out of the order of a block."""
    order, taken = pool.order(base_fee), 0
    while taken < BLOCK and (waiting := order.next()) is not None:
        assert waiting.transaction is not None
        order.advance()
        taken += 1
    return taken


def main(arguments: list[str]) -> None:
    argparse.ArgumentParser(prog="bench mempool").parse_args(arguments)
    network = create_network(read_template(template_path(), "lab"), "bench", 0, (lone_validator(),))
    state, pool, full = rich_state(network), Mempool(network), Caps().transactions
    source = transfers(network)
    sample = list(islice(transfers(network), TRIES))
    signatures = per_second(sample, lambda each: check_signature(each, network.chain_id))
    note = f"{ecdsa.back_end()}; reference: signature checks a second in the same run"

    before, rates = resident_mib(), []
    while len(pool) < full:
        rates.append(per_second(list(islice(source, TRIES)), lambda each: pool.add(each, state)))
    report("mempool_adds_per_s", len(rates) / sum(1 / rate for rate in rates), "1/s", signatures, note)
    report("mempool_mib", resident_mib() - before, "MiB", pool.size / MIB, f"{full} transfers; reference: their bytes")

    begun = time.process_time()
    taken = taken_for_a_block(pool, state.ledger.base_fee)
    report("mempool_block_order_ms", (time.process_time() - begun) * 1000, "ms", None, f"{taken} of {full}, decoded")
    touched = [account_key(address_of(each.sender)) for each in pool.ready()[:BLOCK]]
    begun = time.process_time()
    pool.follow(state, touched)
    report("mempool_follow_ms", (time.process_time() - begun) * 1000, "ms", None, f"{len(touched)} touched senders")

    better = per_second(list(islice(source, TRIES)), lambda each: pool.add(each, state))
    report("mempool_adds_when_full_per_s", better, "1/s", signatures, "each drives one out")
    low = per_second(sample, refused(pool, state))
    report(
        "mempool_full_refusals_per_s", low, "1/s", signatures, "tip too low for a full mempool, before the signature"
    )
    gaps = [Transaction(each.sender, 17, each.max_fee, 0, each.action, each.signature) for each in sample]
    late = per_second(gaps, refused(pool, state))
    report("mempool_nonce_refusals_per_s", late, "1/s", signatures, "nonce out of the window, before the signature")


if __name__ == "__main__":
    main([])
