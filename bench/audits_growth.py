"""How the cost of audits grows, by calculation: from layouts, from genesis.json, and from what the runs measured."""

from dataclasses import dataclass
from typing import Any

from chain.audit_messages import (
    PASS,
    PlantReveal,
    SegmentOpening,
    StateParts,
    VerdictCommit,
    VerdictReveal,
)
from chain.block import encode_round_input
from chain.crypto.hashing import ZERO
from node.template import read_template, template_path
from training.layout import ModelConfig, parameter_count

NODES = (4, 64, 1_000, 10_000)
SIZES = (1_260_000, 26_000_000, 100_000_000, 1_000_000_000)
FLOPS_PER_TOKEN = 6  # and parameter, forward and backward
STATE_BYTES = 12  # of a parameter: weights and both moments


@dataclass(frozen=True)
class Profile:
    """What of a profile decides the cost of its audits."""

    name: str
    parameters: int
    segments: int
    segment_steps: int
    batch_tokens: int
    seats: int
    audit_seconds: float
    block_seconds: float
    second: float
    planted: float
    rates: dict[str, float]


def profile(name: str) -> Profile:
    numbers = read_template(template_path(), name)["parameters"]
    chain = {key[6:]: value for key, value in numbers.items() if key.startswith("chain.")}
    model = ModelConfig(**{key[6:]: value for key, value in numbers.items() if key.startswith("model.")})
    block_seconds = chain["block_interval_ms"] / 1_000
    return Profile(
        name,
        parameter_count(model),
        chain["inner_steps"] // chain["segment_steps"],
        chain["segment_steps"],
        chain["sequences"] * chain["sequence_length"],
        chain["seats"],
        chain["audit_blocks"] * block_seconds,
        block_seconds,
        chain["audit_second_basis_points"] / 10_000,
        chain["plant_basis_points"] / 10_000,
        {
            "warm_up": 1.0,
            "steady": chain["audit_steady_basis_points"] / 10_000,
            "floor": chain["audit_floor_basis_points"] / 10_000,
        },
    )


def replays_per_audit(of: Profile) -> float:
    """Of honest work: now and then two auditors, and once more if the segment is planted."""
    return (1 + of.second) * (1 + of.planted)


def predicted_share(of: Profile, rate: float) -> float:
    return rate * replays_per_audit(of) / of.segments


def ledger_bytes(segment_steps: int) -> dict[str, int]:
    """Of one audit's inputs, by type, as a block carries them."""
    parts, signature, voice = StateParts(ZERO, ZERO, ZERO), bytes(64), bytes(96)
    items = (
        SegmentOpening(0, ZERO, parts, parts, signature),
        VerdictCommit(0, ZERO, 0, ZERO, voice),
        VerdictReveal(0, ZERO, 0, ZERO, PASS, (ZERO,) * segment_steps, voice),
        PlantReveal(0, ZERO, ZERO, signature),
    )
    return {type(item).__name__: len(encode_round_input(item)) for item in items}


def audit_bytes(of: Profile) -> float:
    """On the ledger, of an audit that finds nothing."""
    each, replays = ledger_bytes(of.segment_steps), replays_per_audit(of)
    once = each["SegmentOpening"] + each["PlantReveal"]
    return once + replays * (each["VerdictCommit"] + each["VerdictReveal"])


def by_nodes(of: Profile) -> list[dict[str, Any]]:
    """Per round. Only who has a seat is paid, and only who is paid is audited: beyond the seats nothing grows."""
    rows = []
    for nodes in NODES:
        audits = of.rates["steady"] * min(nodes, of.seats)
        rows.append(
            {
                "nodes": nodes,
                "audits": audits,
                "ledger_bytes": round(audits * audit_bytes(of)),
                "validator_signatures": round(2 * audits * replays_per_audit(of), 1),
                "replays": round(audits * replays_per_audit(of), 1),
            }
        )
    return rows


def by_size(of: Profile, fetched_per_parameter: float) -> list[dict[str, Any]]:
    """Of one audit, with the batches and segments of a profile and a model of another size."""
    rows = []
    for parameters in SIZES:
        flops = FLOPS_PER_TOKEN * parameters * of.batch_tokens * of.segment_steps
        rows.append(
            {
                "parameters": parameters,
                "fetched_bytes": round(fetched_per_parameter * parameters),
                "replay_flops": flops,
                # An auditor that is slower than this misses the deadline.
                "least_flops_per_second": flops / of.audit_seconds,
                "disk_until_drawn_bytes": (of.segments + 1) * STATE_BYTES * parameters,
                "disk_until_settled_bytes": 2 * STATE_BYTES * parameters,
            }
        )
    return rows
