"""Decoders and ledger with little memory left: run as a program, prints how many inputs it took.

The address space is limited to what the process has after its set-up, and a bit more. So a length prefix that were
believed before the data are there would end the program with MemoryError.
"""

import os
import resource
from collections.abc import Iterator

from node.backends import choose
from tests.chain.wire_strategies import wire_types
from tests.fuzz.mutation import HUGE, Seeded
from tests.fuzz.targets import block_bytes, blocks, decodes_to_itself_or_not_at_all, donors, valid_bytes

LEFT_BYTES = 64 * 2**20
PAGE_BYTES = resource.getpagesize()
TAILS = (b"", b"\xff" * 1_000, bytes(100_000))


def limit_memory() -> None:
    """From now on there are LEFT_BYTES more of address space, and not twice as many."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 (the file of the kernel, read once)
        used = int(statm.read().split()[0]) * PAGE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (used + LEFT_BYTES, used + LEFT_BYTES))
    try:
        bytearray(2 * LEFT_BYTES)
    except MemoryError:
        return
    raise AssertionError("the limit does not bind")


def announcements(examples: tuple[bytes, ...]) -> Iterator[bytes]:
    """Bytes that announce something else than what follows, at every place, with little or much behind it."""
    for valid in examples:
        for at in range(0, len(valid), 1 + len(valid) // 400):
            for count in HUGE:
                yield valid[:at] + count + valid[at + 4 :]
                yield valid[:at] + count
            for tail in TAILS:
                yield valid[:at] + HUGE[0] + tail
                yield valid[:at] + HUGE[2] + tail


def main() -> None:
    choose(os.environ)
    valid = {kind: valid_bytes(kind)[:2] for kind in wire_types()}
    donors()
    limit_memory()
    tried = 0
    for kind, examples in valid.items():
        for data in announcements(examples):
            decodes_to_itself_or_not_at_all(kind, data)
            tried += 1
    for seed in range(30):
        blocks(Seeded(seed))
        block_bytes(Seeded(seed))
        tried += 2
    print(tried)


if __name__ == "__main__":
    main()
