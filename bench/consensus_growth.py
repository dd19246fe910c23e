"""How the cost of a block grows with the number of validators: checks, processor time, messages, bytes.

The protocols are real and run in this process (`bench.consensus_village`); their signatures are made up there, so what
real ones take is measured beside it and added. What TLS and sockets take for each message is in none of these figures.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.consensus_live import Add
from bench.consensus_regions import DIALLED
from bench.consensus_village import Counts, Village, everybody, made_up, some
from chain.crypto import bls

BLOCKS = {4: 40, 16: 20, 64: 6, 128: 3}  # counted, by number of validators
BLOCKS_DIALLING = {16: 10, 64: 3}
DELAY_US = 20_000
PASSES = 20
NAMES = ("checks", "cpu_ms", "messages", "bytes", "certificate_bytes")


@dataclass(frozen=True, slots=True)
class Prices:
    """Milliseconds of real signatures."""

    sign: float
    check: float  # of one signature
    key: float  # more for each further key of a sum

    def of(self, counts: Counts) -> float:
        return self.sign * counts.signatures + self.check * counts.checks + self.key * (counts.keys - counts.checks)


def prices() -> Prices:
    """Measured here and now."""
    most = max(BLOCKS)
    keys = [bls.public_key(secret) for secret in range(1, most + 1)]
    signatures = [bls.sign(secret, b"a message") for secret in range(1, most + 1)]
    total = bls.aggregate(signatures)
    one = _ms(lambda: bls.verify(keys[0], b"a message", signatures[0]))
    many = _ms(lambda: bls.fast_aggregate_verify(keys, b"a message", total))
    return Prices(_ms(lambda: bls.sign(1, b"a message")), one, (many - one) / (most - 1))


def _ms(work: Callable[[], object]) -> float:
    """The least processor time of some passes."""
    times = []
    for _ in range(PASSES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1000 * min(times)


def growth(add: Add) -> None:
    paid = prices()
    note = f"{bls.back_end()}, one signature; {1000 * paid.key:.0f} µs a further key"
    add("bls_check_ms", paid.check, "ms", None, note)
    add("bls_sign_ms", paid.sign, "ms", None, bls.back_end())
    for members, blocks in BLOCKS.items():
        measure(members, blocks, everybody(members), ("all connected", f"_{members}"), paid, add)
    for members, blocks in BLOCKS_DIALLING.items():
        links = some(members, DIALLED)
        measure(members, blocks, links, (f"each dials {DIALLED}", f"_{members}_dialling_{DIALLED}"), paid, add)


def measure(
    members: int, blocks: int, links: Sequence[tuple[int, int]], named: tuple[str, str], paid: Prices, add: Add
) -> None:
    """What one validator does for one block, in the mean. `named`: the case in words, the end of its figures' names."""
    words, suffix = named
    with made_up():
        counts = Village(members, links, lambda one, two: DELAY_US).run(blocks)
    shares = blocks * members
    note = f"{members} validators, {words}, {blocks} empty blocks; one validator, one block"
    add(f"growth_checks{suffix}", counts.checks / shares, "checks", None, note + "; each is two pairings")
    real = paid.of(counts) / shares
    rest = 1000 * counts.processor_s / shares
    add(f"growth_cpu_ms{suffix}", real + rest, "ms", None, f"{real:.1f} ms of it signatures; without sockets and disk")
    both = 2 / shares  # what is sent is received
    add(f"growth_messages{suffix}", both * sum(counts.messages.values()), "messages", None, "sent and received")
    add(f"growth_bytes{suffix}", both * sum(counts.bytes.values()), "bytes", None, "sent and received, payloads")
    add(f"growth_certificate_bytes{suffix}", counts.certificate_bytes, "bytes")


# ---- For people


def table(figures: dict[str, dict[str, Any]]) -> str:
    """What was recorded of the growth, as Markdown."""
    head = ("validators", "pairing checks", "processor, ms", "messages", "bytes", "bytes of a certificate")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    rows = [(f"{members}, all connected", f"_{members}") for members in BLOCKS]
    rows += [(f"{members}, each dials {DIALLED}", f"_{members}_dialling_{DIALLED}") for members in BLOCKS_DIALLING]
    for words, suffix in rows:
        values = [figures.get(f"growth_{name}{suffix}", {}).get("value") for name in NAMES]
        shown = ["" if value is None else f"{value:,.1f}".removesuffix(".0") for value in values]
        lines.append("| " + " | ".join([words, *shown]) + " |")
    return "\n".join(lines) + "\n"


def draw(record: Path) -> None:
    """The growth, as a plot and a table beside the record."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures = json.loads(record.read_text())["figures"]
    record.with_suffix(".md").write_text(table(figures))
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    titles = {"cpu_ms": "processor time, ms", "messages": "messages", "bytes": "bytes"}
    for axis, (name, title) in zip(axes, titles.items(), strict=True):
        for suffix, sizes, words in (
            ("", BLOCKS, "all connected"),
            (f"_dialling_{DIALLED}", BLOCKS_DIALLING, f"each dials {DIALLED}"),
        ):
            found = [(n, figures[key]["value"]) for n in sizes if (key := f"growth_{name}_{n}{suffix}") in figures]
            if found:
                axis.plot(*zip(*found, strict=True), marker="o", label=words)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks(list(BLOCKS), [str(n) for n in BLOCKS])
        axis.set_xlabel("validators")
        axis.set_title(f"{title}, a block and validator")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(record.with_suffix(".png"), dpi=110)
    pyplot.close(figure)
