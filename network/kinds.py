"""What kinds of message peers exchange: number, priority, size and rate of each. One table; nothing else is accepted.

The network carries payloads without looking into them. A kind's priority decides what leaves first when a link is slow,
and what is dropped first when a queue is full; its size and rates are what one peer may send us.
"""

from dataclasses import dataclass

# Priorities: a lower number leaves first.
CONSENSUS, BLOCKS, EVIDENCE, SYNC, TRANSACTIONS, EXCHANGE = range(6)

KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of message. Rates are per minute and peer; a burst may use a whole minute's at once."""

    number: int
    name: str
    priority: int
    bytes_maximum: int
    per_minute: int
    bytes_per_minute: int


(VOTE, CERTIFICATE, CERTIFICATE_REQUEST) = range(10, 13)
(PROPOSAL, MISSING_REQUEST, MISSING, BLOCK_REQUEST, BLOCK, BLOCK_ABSENT) = range(20, 26)
(CLAIM,) = range(30, 31)
(STATUS, RANGE_REQUEST, RANGE, EPOCHS_REQUEST, EPOCHS, STATE_REQUEST, STATE, SNAPSHOT_REQUEST, SNAPSHOT) = range(40, 49)
(ANNOUNCE, TRANSACTION_REQUEST, TRANSACTION) = range(50, 53)
(ADDRESSES_REQUEST, ADDRESSES) = range(60, 62)
(PAGES_REQUEST, PAGES, PAGE_REQUEST, PAGE, CORPUS_REQUEST, CORPUS) = range(70, 76)

KINDS = {
    kind.number: kind
    for kind in (
        Kind(VOTE, "vote", CONSENSUS, 1 * KIB, 30_000, 8 * MIB),
        Kind(CERTIFICATE, "certificate", CONSENSUS, 1 * KIB, 30_000, 16 * MIB),
        Kind(CERTIFICATE_REQUEST, "certificate request", CONSENSUS, 64, 1_200, 64 * KIB),
        Kind(PROPOSAL, "proposal", BLOCKS, 4 * MIB, 3_000, 256 * MIB),
        Kind(MISSING_REQUEST, "request of missing transactions", BLOCKS, 16 * KIB, 3_000, 16 * MIB),
        Kind(MISSING, "missing transactions", BLOCKS, 8 * MIB, 3_000, 256 * MIB),
        Kind(BLOCK_REQUEST, "block request", BLOCKS, 64, 3_000, 256 * KIB),
        Kind(BLOCK, "block", BLOCKS, 8 * MIB, 3_000, 256 * MIB),
        Kind(BLOCK_ABSENT, "absent block", BLOCKS, 64, 3_000, 256 * KIB),
        Kind(CLAIM, "claim", EVIDENCE, 16 * KIB, 12_000, 16 * MIB),
        Kind(STATUS, "status", SYNC, 512, 3_000, 1 * MIB),
        Kind(RANGE_REQUEST, "request of blocks", SYNC, 64, 1_200, 128 * KIB),
        Kind(RANGE, "blocks", SYNC, 8 * MIB, 1_200, 1024 * MIB),
        Kind(EPOCHS_REQUEST, "request of epochs", SYNC, 64, 1_200, 128 * KIB),
        Kind(EPOCHS, "epochs", SYNC, 4 * MIB, 1_200, 512 * MIB),
        Kind(STATE_REQUEST, "request of records", SYNC, 8 * KIB, 1_200, 2 * MIB),
        Kind(STATE, "records", SYNC, 4 * MIB, 1_200, 64 * MIB),
        Kind(SNAPSHOT_REQUEST, "request of a snapshot", SYNC, 64, 60, 8 * KIB),
        Kind(SNAPSHOT, "snapshot", SYNC, 1 * KIB, 60, 64 * KIB),
        Kind(ANNOUNCE, "announcement", TRANSACTIONS, 64 * KIB, 6_000, 16 * MIB),
        Kind(TRANSACTION_REQUEST, "request of transactions", TRANSACTIONS, 64 * KIB, 6_000, 16 * MIB),
        Kind(TRANSACTION, "transactions", TRANSACTIONS, 1 * MIB, 6_000, 64 * MIB),
        Kind(ADDRESSES_REQUEST, "request of addresses", EXCHANGE, 16, 12, 1 * KIB),
        Kind(ADDRESSES, "addresses", EXCHANGE, 64 * KIB, 12, 512 * KIB),
        Kind(PAGES_REQUEST, "request of page hashes", SYNC, 64, 1_200, 128 * KIB),
        Kind(PAGES, "page hashes", SYNC, 2 * MIB, 1_200, 64 * MIB),
        Kind(PAGE_REQUEST, "page request", SYNC, 64, 12_000, 1 * MIB),
        Kind(PAGE, "page", SYNC, 1 * MIB + KIB, 12_000, 2048 * MIB),
        Kind(CORPUS_REQUEST, "request of a corpus", SYNC, 64, 60, 8 * KIB),
        Kind(CORPUS, "corpus", SYNC, 128, 60, 8 * KIB),
    )
}
