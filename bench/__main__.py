"""`python -m bench NAME`: one JSON object per line: name, value, unit, reference, ratio, note.

`reference` is the limit or the rival measured in the same run, `ratio` = value / reference; null where there is none.
"""

import importlib
import sys

NAMES = {
    "first": "a fresh node until it has learnt and earned",
    "learning": "the loss over tokens, without a ledger",
    "training": "the node against a bare loop, that against a textbook model, and memory",
    "products": "matrix products, library against library",
    "memory": "a fresh node under a memory limit",
    "soak": "an hour of `make run`: memory, descriptors, disk, loss",
    "corpus": "drawing batches against training on them",
    "crypto": "checking signatures, library against library",
    "consensus_core": "consensus without blocks and network: microseconds and pairings of a view",
    "mempool": "taking transactions in, refusing them, memory when full",
    "relay": "a transfer from the mempool of one node to a block of another",
    "snapshot": "a snapshot of many accounts, made and restored",
    "sync": "catching up from peers against local replay and restore; bytes that a light client reads",
    "ledger": "applying and replaying blocks, proofs of state, disk, memory, and py-evm beside it",
    "economics": "what machines earn a day, by the rules; --write renews docs/economics.md",
    "audit_table": "what cheating costs by the rules of audits; --write renews docs/security.md",
    "protocol_numbers": "sizes of all types and what follows from genesis.json; --write renews docs/protocol.md",
    "consensus": "finality, transfers, memory, bytes and growth of a network of validators",
    "network": "messages between two nodes, and bare WebSockets beside them",
    "people": "the wallet's prompt, the explorer, the API under load; --write renews docs/results/people.json",
    "convergence": "learning at equal tokens: synchronous, DiLoCo, compressed; needs hours or a GPU",
    "diloco": "the outer step: bytes on sockets, time without training, and hivemind beside it",
    "aggregate": "combining the payloads of a round: seconds and memory of each rule",
    "drift": "how far two honest machines drift apart on one segment",
    "calibrate": "how far honest replays and cheats lie apart: the bounds of an audit; needs hours or many cores",
    "audits": "what checking the work costs, and how often and how soon cheats are caught",
    "byzantine": "what liars do to the learning, and what each rule does about it",
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        lines = "\n".join(f"  {name:<14} {words}" for name, words in NAMES.items())
        sys.exit(f"usage: python -m bench NAME [options]\n{lines}")
    module = importlib.import_module(f"bench.{sys.argv[1]}")
    module.main(sys.argv[2:])


if __name__ == "__main__":
    main()
