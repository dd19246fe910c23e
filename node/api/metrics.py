"""What a Prometheus server reads: the status as numbers, counted requests, the process. A registry of our own."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chain.state import ROUND_PHASES
from node.api.events import Events
from node.node import Node
from node.status import Status, status_of

GAUGES = {
    "height": "Height of the last finalized block.",
    "round": "Number of the newest round.",
    "closed_rounds": "Rounds that changed the model.",
    "segments_proven": "Segments of the newest round that this node has finished.",
    "validation_loss": "Nats per token on held-out text after the last measured round.",
    "bigram_loss": "Nats per token of the bigram model on the same text.",
    "training_loss": "Nats per token of the last reported inner step.",
    "tokens_per_second": "Tokens trained per second by this node.",
    "waiting_transactions": "Transactions that wait for a block.",
    "uptime_seconds": "Seconds since the start.",
    "memory_bytes": "Resident memory of the node and its trainer together.",
    "disk_free_bytes": "Bytes that are free on the disk of the data directory.",
    "disk_low": "1 if the disk will soon be full.",
}
NANOS = {"balance_nanos": "Nanos that this node's wallet can spend.", "vesting_nanos": "Nanos that still vest."}
COUNTERS = {
    "minted_nanos": "Nanos ever minted.",
    "burned_nanos": "Nanos ever burned.",
    "tokens_trained": "Tokens of all proven segments.",
    "total_uptime_seconds": "Seconds of operation in all runs.",
    "trainer_restarts": "Times that the trainer was started again in this run.",
}


class NodeCollector(Collector):
    """Read from memory when it is asked for: nothing has to be kept up to date."""

    def __init__(self, node: Node, events: Events) -> None:
        self.node = node
        self.events = events

    def collect(self) -> Iterator[Metric]:
        status = status_of(self.node)
        yield InfoMetricFamily("neuroshard_chain", "The chain.", {"chain_id": status.chain_id, "phase": status.phase})
        for name, text in (GAUGES | NANOS).items():
            value = getattr(status, name)
            # What has not been measured yet is left out.
            if value is not None:
                yield GaugeMetricFamily(f"neuroshard_{name}", text, value=float(value))
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"neuroshard_{name}", text, value=float(getattr(status, name)))
        yield GaugeMetricFamily("neuroshard_event_streams", "Open event streams.", value=self.events.streams)
        yield self._phase(status)
        yield self._disk()

    def _phase(self, status: Status) -> Metric:
        family = GaugeMetricFamily("neuroshard_round_phase", "1 at the phase of the newest round.", labels=["phase"])
        for phase in ROUND_PHASES:
            family.add_metric([phase], float(phase == status.round_phase))
        return family

    def _disk(self) -> Metric:
        family = GaugeMetricFamily("neuroshard_disk_bytes", "Bytes on disk by kind.", labels=["kind"])
        for kind, size in sorted(self.node.readings.disk_bytes.items()):
            family.add_metric([kind], float(size))
        return family


class Metrics:
    """The registry of one node's API."""

    def __init__(self, node: Node, events: Events) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        self.registry.register(NodeCollector(node, events))
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "neuroshard_http_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )

    def count(self, route: str, status: int) -> None:
        self._requests.labels(route, str(status)).inc()

    def text(self) -> bytes:
        return generate_latest(self.registry)
