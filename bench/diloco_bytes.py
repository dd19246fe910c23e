"""What the outer step costs on the sockets, from the meters of a network. Start at `tell`.

Blobs are counted by the kernel, socket by socket. Messages between peers share connections: their payload is counted by
kind, and the frames that carry it are added by their sizes (see `framed`); how near the sum comes to what the kernel
counted is a figure of its own.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil

from bench.diloco_net import Line, Seen
from bench.figure import report
from network import kinds as k
from network.outbox import FRAME_BYTES_MAXIMUM
from training.aggregate import aggregate_size
from training.payload import payload_size

RECORD_BYTES, RECORD_MAXIMUM = 22, 16_384  # TLS 1.3 adds 5 + 1 + 16 bytes to each record of at most so much
MASK_BYTES = 4  # of the side that dialled; half of the frames are taken to have one
CLASSES = {
    "consensus votes": (k.VOTE, k.CERTIFICATE, k.CERTIFICATE_REQUEST),
    "blocks": (k.PROPOSAL, k.MISSING_REQUEST, k.MISSING, k.BLOCK_REQUEST, k.BLOCK, k.BLOCK_ABSENT),
    "claims": (k.CLAIM,),
    "blobs between peers": (k.PAGES_REQUEST, k.PAGES, k.PAGE_REQUEST, k.PAGE),
    "transactions": (k.ANNOUNCE, k.TRANSACTION_REQUEST, k.TRANSACTION),
}
OTHER = "status, sync, addresses"


@dataclass(slots=True)
class Blobs:
    """What blob requests of one kind of blob carried: bytes of the answers and of the questions, and how many."""

    received: int = 0
    sent: int = 0
    body: int = 0
    pages: int = 0
    seconds: list[float] = field(default_factory=list)

    def add(self, line: Line) -> None:
        self.received += line["received"]
        self.sent += line["sent"]
        if line["status"] == 206 and line["body"]:
            self.body += line["body"]
            self.pages += 1
            self.seconds.append(line["seconds"])

    def per_blob(self, blob_bytes: int) -> float:
        """Bytes that a server sends for one blob: all that was received, by the blobs that came."""
        return self.received * blob_bytes / self.body


def framed(messages: int, size: int) -> float:
    """Bytes on the socket of so many messages of `size` bytes in all: kind, WebSocket header, TLS record."""
    if not messages:
        return 0.0
    mean = size / messages
    frames = max(1, ceil(mean / FRAME_BYTES_MAXIMUM))
    frame = mean / frames + 1
    header = 2 if frame < 126 else 4 if frame < 65_536 else 10
    records = ceil((frame + header) / RECORD_MAXIMUM)
    return size + messages * frames * (1 + header + MASK_BYTES / 2 + records * RECORD_BYTES)


def by_class(kinds: Mapping[str, list[int]], direction: int) -> Counter[str]:
    """Bytes by class; direction 0: in, 2: out."""
    names = {each.name: number for number, each in k.KINDS.items()}
    found: Counter[str] = Counter()
    for name, counts in kinds.items():
        number = names[name]
        label = next((label for label, numbers in CLASSES.items() if number in numbers), OTHER)
        found[label] += round(framed(counts[direction], counts[direction + 1]))
    return found


def closings(seen: Seen, node: int) -> list[float]:
    return [line["t"] for line in seen.of(node, "block") if "RoundClosed" in line["receipts"]]


def between(seen: Seen, node: int) -> tuple[Line, Line, int]:
    """The samples of traffic at the first and at the last closed round, and the rounds between them."""
    times, samples = closings(seen, node), list(seen.of(node, "traffic"))
    first, last = (min(samples, key=lambda line: abs(line["t"] - time)) for time in (times[0], times[-1]))
    return first, last, len(times) - 1


def blobs_of(seen: Seen, node: int, sizes: Mapping[str, int]) -> dict[str, Blobs]:
    """Blob requests of a node from its first to its last closed round, by what they were for: their length tells.

    So there is one aggregate for each round between them: it is fetched when its round has closed.
    """
    begin, *_, end = closings(seen, node)
    lines = [line for line in seen.of(node, "https") if begin < line["t"] <= end]
    lengths: Counter[str] = Counter()
    roots: dict[str, set[str]] = {}
    for line in lines:
        root, _, what = line["path"].removeprefix("/blob/").partition("/")
        if not what and line["status"] == 206:
            pages = roots.setdefault(root, set())
            if (span := str(line.get("range"))) not in pages:
                pages.add(span)
                lengths[root] += line["body"]
    found: dict[str, Blobs] = {}
    for line in lines:
        root = line["path"].removeprefix("/blob/").partition("/")[0]
        label = next((label for label, size in sizes.items() if lengths[root] == size), "other blobs")
        found.setdefault(label, Blobs()).add(line)
    return found


def merged(many: Iterable[Mapping[str, Blobs]]) -> dict[str, Blobs]:
    found: dict[str, Blobs] = {}
    for each in many:
        for label, blobs in each.items():
            into = found.setdefault(label, Blobs())
            into.received += blobs.received
            into.sent += blobs.sent
            into.body += blobs.body
            into.pages += blobs.pages
            into.seconds += blobs.seconds
    return found


def tell(seen: Seen) -> None:
    """The figures. The last node is a trainer that is no validator, if there is such a one."""
    sizes = {"payloads": payload_size(seen.fragment_sizes), "aggregates": aggregate_size(seen.fragment_sizes)}
    gradients = 4.0 * seen.parameters * seen.inner_steps
    everybody = range(seen.wish.nodes)
    where = f"{seen.wish.profile}, {seen.parameters} parameters, H = {seen.inner_steps}, {seen.hosts}"
    rival = "reference: fp32 gradients, 4 B x parameters x H"
    payloads = merged(blobs_of(seen, node, sizes) for node in everybody).get("payloads")
    if payloads is not None:
        size = payloads.per_blob(sizes["payloads"])
        note = f"one payload sent once over HTTPS, TLS and HTTP included, {payloads.pages} pages; {where}; {rival}"
        report("upload_reduction", size, "B", gradients, note)
        report("payload_bytes", sizes["payloads"], "B", gradients, "the payload alone")
    if seen.wish.nodes > seen.wish.founders:
        _tell_download(seen, sizes, gradients, f"{where}; {rival}")
    for node, name in ((0, "validator"), (seen.wish.nodes - 1, "trainer")):
        if name == "validator" or seen.wish.nodes > seen.wish.founders:
            _tell_classes(seen, node, name, sizes)


def _tell_download(seen: Seen, sizes: Mapping[str, int], gradients: float, where: str) -> None:
    found = blobs_of(seen, seen.wish.nodes - 1, sizes)
    aggregates, others = found.get("aggregates"), found.get("other blobs", Blobs())
    if aggregates is None or not aggregates.body:
        report("download_reduction", None, "B", gradients, "the plain trainer fetched no aggregate")
        return
    rounds = between(seen, seen.wish.nodes - 1)[2]
    note = f"all blobs that a trainer received in a round that is no validator: aggregate, record of trust; {where}"
    report("download_reduction", (aggregates.received + others.received) / rounds, "B", gradients, note)
    report("aggregate_once_bytes", aggregates.per_blob(sizes["aggregates"]), "B", gradients, "one aggregate, sent once")
    report("record_of_trust_bytes", others.received / rounds, "B", note="other blobs than the aggregate, in a round")
    report("payloads_fetched_by_plain_trainer", found.get("payloads", Blobs()).pages, "", note="none is needed")


def _tell_classes(seen: Seen, node: int, name: str, sizes: Mapping[str, int]) -> None:
    """What one node gets and gives in a round. A trainer is one that is no validator."""
    first, last, rounds = between(seen, node)
    if not rounds:
        return
    estimated = 0.0
    for direction, word in ((0, "in"), (2, "out")):
        found = by_class(last["kinds"], direction)
        found.subtract(by_class(first["kinds"], direction))
        estimated += found.total()
        for label, size in sorted(found.items()):
            slug = label.replace(", ", "_").replace(" ", "_")
            report(f"{name}_{slug}_{word}", size / rounds, "B", note="a round, messages with their frames")
    for label, blobs in blobs_of(seen, node, sizes).items():
        slug = label.replace(" ", "_")
        words = f"a round, over HTTPS: {blobs.pages} pages in {rounds} rounds"
        report(f"{name}_{slug}_in", blobs.received / rounds, "B", note=words)
    counted = sum(last["peers_socket"]) - sum(first["peers_socket"])
    if counted > 0:
        words = "a round, in and out, frames added up by kind; reference: the kernel's count of the same connections"
        report(f"{name}_messages", estimated / rounds, "B", counted / rounds, words)
    if last["interface"] is not None:
        whole = [(late - early) / rounds for late, early in zip(last["interface"], first["interface"], strict=True)]
        for size, word in zip(whole, ("in", "out"), strict=True):
            report(f"{name}_interface_{word}", size, "B", note="a round, all with TCP, IP and Ethernet headers")
