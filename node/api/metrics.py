"""What a Prometheus server reads: the status as numbers, counted requests, the process. A registry of our own."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, SummaryMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from chain.block import PHASES
from chain.state import ROUND_PHASES
from node.api.events import Events
from node.facts import STANDINGS
from node.node import Node
from node.status import status_of

GAUGES = {
    "height": "Height of the last finalized block.",
    "epoch": "Epoch of the next block.",
    "validators": "Members of the validator set.",
    "latched": "1 if phantom power is gone for ever.",
    "sunset_height": "Height from which on phantom power stays below half of the power of stake.",
    "round": "Number of the newest round.",
    "round_blocks_left": "Blocks until the phase of the newest round ends at the latest.",
    "round_participants": "Nodes that were registered when the newest round opened.",
    "round_awaited": "Nodes that its training phase still waits for.",
    "round_committed": "Nodes that have committed in it.",
    "round_revealed": "Payloads that have been revealed in it.",
    "round_held": "Payloads of it that more than two thirds of the power hold.",
    "closed_rounds": "Rounds that changed the model.",
    "segments_proven": "Segments of the newest round that this node has finished.",
    "validation_loss": "Nats per token on held-out text after the last measured round.",
    "bigram_loss": "Nats per token of the bigram model on the same text.",
    "training_loss": "Nats per token of the last reported inner step.",
    "tokens_per_second": "Tokens trained per second by this node.",
    "peers": "Connected peers.",
    "peer_height": "Highest block that a peer says is final.",
    "round_ms": "Milliseconds from the end of a round to the end of the next one, median of the newest.",
    "finality_ms": "Milliseconds from a block's time until it was final here, median of the newest.",
    "waiting_transactions": "Transactions that wait for a block.",
    "uptime_seconds": "Seconds since the start.",
    "memory_bytes": "Resident memory of the node and its trainer together.",
    "disk_free_bytes": "Bytes that are free on the disk of the data directory.",
    "disk_low": "1 if the disk will soon be full.",
}
NANOS = {
    "balance_nanos": "Nanos that this node's wallet can spend.",
    "vesting_nanos": "Nanos that still vest.",
    "bonded_nanos": "Nanos that this node's wallet has bonded.",
    "unbonding_nanos": "Nanos of this node's wallet that left the set and are not withdrawn.",
    "power_nanos": "Voting power of this node's key.",
    "total_bonded_nanos": "Nanos that all wallets have bonded.",
    "total_unbonding_nanos": "Nanos of all wallets that left the set and are not withdrawn.",
    "total_power_nanos": "Voting power of the validator set.",
    "phantom_nanos": "Phantom power of each founder.",
    "active_maximum_nanos": "The most active stake that there ever was.",
    "stake_target_nanos": "Active stake at which phantom power is gone.",
}
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
        readings = self.node.readings
        yield SummaryMetricFamily(
            "neuroshard_block_finality_ms",
            "Milliseconds from a block's time until it was final here; blocks since the start that were not caught up.",
            count_value=readings.final_blocks,
            sum_value=float(readings.finality_sum_ms),
        )
        yield GaugeMetricFamily("neuroshard_event_streams", "Open event streams.", value=self.events.streams)
        yield one_of("phase", "1 at the phase of the validator set.", PHASES, status.phase)
        yield one_of("round_phase", "1 at the phase of the newest round.", ROUND_PHASES, status.round_phase)
        yield one_of("validator", "1 at what this node is to the validator set.", STANDINGS, status.validator)
        yield self._disk()

    def _disk(self) -> Metric:
        family = GaugeMetricFamily("neuroshard_disk_bytes", "Bytes on disk by kind.", labels=["kind"])
        for kind, size in sorted(self.node.readings.disk_bytes.items()):
            family.add_metric([kind], float(size))
        return family


def one_of(name: str, text: str, names: Sequence[str], present: str) -> Metric:
    """A gauge for each name that a state can have: 1 at the present one."""
    family = GaugeMetricFamily(f"neuroshard_{name}", text, labels=[name.removeprefix("round_")])
    for each in names:
        family.add_metric([each], float(each == present))
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
