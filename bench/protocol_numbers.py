"""The numbers of the protocol, from genesis.json and the codec's own layouts.

.venv/bin/python -m bench protocol_numbers              prints one JSON line for each figure
.venv/bin/python -m bench protocol_numbers --write      also rewrites section 20 of docs/protocol.md
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from bench.figure import report
from bench.tables import ROOT, Tables, table
from chain import codec
from chain.codec import Wire
from chain.genesis import Params, audit_lifetime, check_params
from chain.services import fragment_leaves
from tests.chain.wire_strategies import wire_types
from training.layout import ModelConfig, parameter_count, parameter_layout
from training.payload import payload_size

STATE_BYTES = 4 * 3  # of a parameter between two segments: weights, first and second moments in fp32


@dataclass(frozen=True, slots=True)
class Profile:
    """The parameters of one profile of genesis.json."""

    name: str
    numbers: dict[str, int]

    def section(self, name: str) -> dict[str, int]:
        return {key.removeprefix(f"{name}."): n for key, n in self.numbers.items() if key.startswith(f"{name}.")}

    @property
    def params(self) -> Params:
        return check_params(self.section("chain"))

    @property
    def model(self) -> ModelConfig:
        return ModelConfig(**self.section("model"))

    @property
    def fragments(self) -> list[int]:
        return [fragment.count for fragment in parameter_layout(self.model)]


def profiles_of_genesis() -> list[Profile]:
    template = json.loads((ROOT / "genesis.json").read_text())
    return [Profile(name, {**template["parameters"], **own}) for name, own in template["profiles"].items()]


# ---- Sizes


def least(field: object) -> int:
    """Bytes of a field's shortest encoding."""
    match field:
        case codec.Int(size=size) | codec.Fixed(size=size) | codec.Bool(size=size):
            return size
        case codec.Var() | codec.Many():
            return 4
        case codec.OneOf(kinds=kinds):
            return 2 + min(smallest(kind) for kind in kinds.values())
        case codec.Nested(kind=kind):
            return smallest(kind)
    raise TypeError(field)


def most(field: object) -> int:
    """Bytes of its longest one."""
    match field:
        case codec.Var(maximum=maximum):
            return 4 + maximum
        case codec.Many(item=item, maximum=maximum):
            return 4 + maximum * most(item)
        case codec.OneOf(kinds=kinds):
            return 2 + max(largest(kind) for kind in kinds.values())
        case codec.Nested(kind=kind):
            return largest(kind)
    return least(field)


def smallest(kind: type[Wire]) -> int:
    return sum(least(field) for _, field in codec._layout(kind))


def largest(kind: type[Wire]) -> int:
    return sum(most(field) for _, field in codec._layout(kind))


# ---- Tables


def in_time(blocks: int, params: Params) -> str:
    """So many blocks at the usual pace."""
    seconds = blocks * params.block_interval_ms / 1000
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


FOLLOWS: tuple[tuple[str, Callable[[Profile], str]], ...] = (
    ("parameters of the model", lambda p: f"{parameter_count(p.model):,}"),
    ("its weights in fp32, bytes", lambda p: f"{4 * parameter_count(p.model):,}"),
    ("fragments of the model", lambda p: f"{len(p.fragments):,}"),
    ("storage leaves of 1 KiB in all fragments", lambda p: f"{sum(fragment_leaves(p.section('model'))):,}"),
    ("storage seats of an epoch", lambda p: f"{p.params.holders * len(p.fragments):,}"),
    ("bytes of a 4-bit payload", lambda p: f"{payload_size(p.fragments):,}"),
    ("bytes of a state between two segments", lambda p: f"{STATE_BYTES * parameter_count(p.model):,}"),
    ("tokens of a standard batch", lambda p: f"{p.params.batch_tokens:,}"),
    ("tokens of a node's whole round", lambda p: f"{p.params.batch_tokens * p.params.inner_steps:,}"),
    ("segments of a round", lambda p: f"{p.params.segments:,}"),
    (
        "NEURO for a whole round, up to the base work",
        lambda p: f"{p.params.inner_steps * p.params.rate_batch_nanos / 1e9:g}",
    ),
    ("an epoch", lambda p: in_time(p.params.epoch_blocks, p.params)),
    ("a round's training at most", lambda p: in_time(p.params.train_blocks, p.params)),
    ("an audit open at most", lambda p: in_time(audit_lifetime(p.params), p.params)),
    ("for a node to show a drawn segment", lambda p: in_time(p.params.opening_blocks, p.params)),
    ("unbonding", lambda p: in_time(p.params.unbonding_epochs * p.params.epoch_blocks, p.params)),
    ("least stake of a validator, NEURO", lambda p: f"{p.params.stake_minimum_nanos / 1e9:,g}"),
    ("real stake that ends the bootstrap, NEURO", lambda p: f"{p.params.stake_target_nanos / 1e9:,g}"),
    ("hashes of a registration's stamp, on average", lambda p: f"{2**p.params.stamp_bits:,}"),
)


def parameters(profiles: list[Profile]) -> str:
    head = ["Name", *(f"`{profile.name}`" for profile in profiles)]
    names = dict.fromkeys(name for profile in profiles for name in profile.numbers)
    order = {group: place for place, group in enumerate(("chain", "model", "inner", "outer"))}
    rows = [
        [f"`{name}`", *(f"{profile.numbers[name]:,}" for profile in profiles)]
        for name in sorted(names, key=lambda name: (order[name.partition(".")[0]], name))
    ]
    return table(head, rows)


def follows(profiles: list[Profile]) -> str:
    head = ["", *(f"`{profile.name}`" for profile in profiles)]
    return table(head, [[words, *(value(profile) for profile in profiles)] for words, value in FOLLOWS])


def section_of(kind: type[Wire], text: str) -> str:
    """The number of the section that shows a type's layout."""
    before = text[: text.index(f"**{kind.__name__}**")]
    return re.findall(r"^## (\d+)\.", before, re.MULTILINE)[-1]


def sizes(text: str) -> str:
    rows = [
        [kind.__name__, section_of(kind, text), f"{smallest(kind):,}", f"{largest(kind):,}"]
        for kind in sorted(wire_types(), key=lambda kind: kind.__name__)
    ]
    return table(["Type", "Section", "bytes, least", "most"], rows)


def document() -> str:
    profiles = profiles_of_genesis()
    layouts, _ = TABLES.document.read_text().split(TABLES.begin)
    return "\n".join(
        [
            "",
            "### Parameters by profile\n",
            parameters(profiles),
            "### What follows from them\n",
            follows(profiles),
            "### Sizes of all types\n",
            sizes(layouts),
            "",
        ]
    )


TABLES = Tables("protocol_numbers", "protocol.md", document)


def main(arguments: list[str]) -> None:
    TABLES.follow(arguments)
    for kind in wire_types():
        report(f"{kind.__name__}_bytes_least", smallest(kind), "bytes")
        report(f"{kind.__name__}_bytes_most", largest(kind), "bytes")
