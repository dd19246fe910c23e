"""What machines earn a day, from genesis.json and the ledger's own functions.

    .venv/bin/python -m bench economics              prints one JSON line for each figure
    .venv/bin/python -m bench economics --write      also rewrites the tables in docs/economics.md

One speed is measured: the node on two cores. All others are multiples of it and are assumptions. A steady day is
computed: every epoch and every round like the one before.
"""

import json
from dataclasses import dataclass
from fractions import Fraction

from bench.figure import report
from bench.tables import ROOT, Tables, table
from chain.genesis import Params, check_params
from chain.money import NEURO
from chain.rewards import data_budget, training_budget, uptime_budget

PROFILES = ("dev", "main")
NETWORKS = (1, 100, 10_000)
DAY_MS = 86_400_000
MEASURED_TOKENS_PER_S = 11_970  # the node, dev profile, two x86-64 cores: docs/lab.md, 2026-11-26
GPU_STEP_MS = 5  # assumed: the shortest step on a GPU, whatever the model
OTHER_PHASES_BLOCKS = 5  # of a round beside training, if everybody answers at once


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine. All but the range is assumed; the range is the public specification's, NEURO a day."""

    name: str
    multiple: Fraction  # of the measured speed
    has_gpu: bool
    of_a_hundred: int  # in the mixed networks
    low: int
    high: int


MACHINES = (
    Machine("2 GB board", Fraction(1, 8), False, 40, 10, 20),
    Machine("laptop", Fraction(2), False, 40, 40, 60),
    Machine("gaming PC", Fraction(30), True, 15, 80, 120),
    Machine("server", Fraction(100), True, 5, 200, 400),
)


@dataclass(frozen=True, slots=True)
class Day:
    """What one machine earns in NEURO a day: if all its work is counted, and in rounds with seats as they are."""

    training: Fraction
    uptime: Fraction
    data: Fraction
    in_rounds: Fraction  # training only

    @property
    def total(self) -> Fraction:
        return self.training + self.uptime + self.data


class Profile:
    """The numbers of one profile of genesis.json."""

    def __init__(self, name: str, template: dict) -> None:
        numbers = {**template["parameters"], **template["profiles"][name]}
        self.name = name
        self.params: Params = check_params(section(numbers, "chain"))
        self.shape = section(numbers, "model")
        reference = {**template["parameters"], **template["profiles"]["dev"]}
        ratio = Fraction(self.flops_per_token, flops_per_token(section(reference, "model")))
        self.measured = MEASURED_TOKENS_PER_S / ratio  # tokens a second of the measured machine, by arithmetic

    @property
    def flops_per_token(self) -> int:
        return flops_per_token(self.shape)

    @property
    def epoch_ms(self) -> int:
        return self.params.epoch_blocks * self.params.block_interval_ms

    def speed(self, machine: Machine) -> Fraction:
        """Tokens a second."""
        found = self.measured * machine.multiple
        return min(found, Fraction(self.params.batch_tokens * 1000, GPU_STEP_MS)) if machine.has_gpu else found

    def batches(self, machine: Machine, ms: Fraction | int) -> Fraction:
        """Standard batches in so many milliseconds."""
        return self.speed(machine) * ms / 1000 / self.params.batch_tokens


def section(numbers: dict[str, int], name: str) -> dict[str, int]:
    return {key.removeprefix(f"{name}."): value for key, value in numbers.items() if key.startswith(f"{name}.")}


def flops_per_token(shape: dict[str, int]) -> int:
    """Forward and backward: six for each weight of a matrix, and causal attention over a full context."""
    width, layers = shape["width"], shape["layers"]
    kv_width = width // shape["heads"] * shape["kv_heads"]
    weights = layers * width * (2 * width + 2 * kv_width + 3 * shape["ffn_width"]) + shape["vocabulary"] * width
    return 6 * weights + 6 * layers * width * shape["context"]


def price(batches: Fraction, params: Params) -> Fraction:
    """Nanos that a batch earns in an epoch with so many."""
    work = max(1, int(batches))
    return Fraction(training_budget(work, params), work)


def network_of(machine: Machine, nodes: int) -> list[tuple[Machine, int]]:
    """Alone, or in the mix of all machines."""
    return [(machine, 1)] if nodes == 1 else [(each, nodes * each.of_a_hundred // 100) for each in MACHINES]


def day_of(machine: Machine, nodes: int, profile: Profile) -> Day:
    params, network = profile.params, network_of(machine, nodes)
    epoch = sum(count * profile.batches(each, profile.epoch_ms) for each, count in network)
    per_batch = price(epoch, params)
    own = per_batch * profile.batches(machine, DAY_MS)
    emission = int(per_batch * sum(count * profile.batches(each, DAY_MS) for each, count in network))
    up_ms = nodes * DAY_MS
    samples = int(sum(count * profile.batches(each, DAY_MS) for each, count in network)) * params.sequences
    # Everybody is up all day, and providers of data are drawn evenly.
    uptime = Fraction(uptime_budget(up_ms, emission, params), nodes)
    data = Fraction(data_budget(samples, emission, params), nodes)
    return Day(own / NEURO, uptime / NEURO, data / NEURO, in_rounds(machine, network, profile) / NEURO)


def in_rounds(machine: Machine, network: list[tuple[Machine, int]], profile: Profile) -> Fraction:
    """Nanos a day for training in rounds that wait for the slowest, where only seats count."""
    params = profile.params
    nodes = sum(count for _, count in network)
    ms = round_ms(network, nodes, profile)
    steps = {each.name: steps_of(each, ms, profile) for each, _ in network}
    can_commit = {name for name, done in steps.items() if 2 * done >= params.inner_steps}
    # A round in which nobody can commit is void, and pays all that was proven.
    seats = Fraction(min(nodes, params.seats), nodes) if can_commit else Fraction(1)
    paid = {name: done * seats if name in can_commit or not can_commit else Fraction(0) for name, done in steps.items()}
    whole = ms + OTHER_PHASES_BLOCKS * params.block_interval_min_ms
    settled = sum(count * paid[each.name] for each, count in network) * max(1, Fraction(profile.epoch_ms) / whole)
    return paid[machine.name] * price(settled, params) * DAY_MS / whole


def round_ms(network: list[tuple[Machine, int]], nodes: int, profile: Profile) -> Fraction:
    """How long a round trains: until the slowest has committed, or to the deadline."""
    params = profile.params
    deadline = Fraction(params.train_blocks * params.block_interval_ms)
    if nodes > params.seats:
        return deadline  # those without a seat never commit
    slowest = min(profile.speed(each) for each, _ in network)
    return min(deadline, params.inner_steps * params.batch_tokens * 1000 / slowest)


def steps_of(machine: Machine, ms: Fraction, profile: Profile) -> int:
    """Steps of whole segments that a machine does while a round trains."""
    params = profile.params
    segments = int(profile.batches(machine, ms)) // params.segment_steps
    return min(params.segments, segments) * params.segment_steps


# ---- The tables


def shown(number: Fraction | float) -> str:
    """Three digits that count."""
    value = float(f"{float(number):.3g}")
    return f"{value:,.0f}" if value >= 100 or value == 0 else f"{value:g}"


def verdict(total: Fraction, machine: Machine) -> str:
    if total < machine.low:
        return f"{shown(machine.low / total)} times too little"
    if total > machine.high:
        return f"{shown(total / machine.high)} times too much"
    return "met"


def rows_of(profile: Profile) -> list[tuple[Machine, int, Day]]:
    return [(machine, nodes, day_of(machine, nodes, profile)) for machine in MACHINES for nodes in NETWORKS]


def parameters(profiles: list[Profile]) -> str:
    def row(name: str, unit: str, numbers: list[int | Fraction]) -> list[str]:
        return [name, *(f"{number:,}" if isinstance(number, int) else shown(number) for number in numbers), unit]

    every = [profile.params for profile in profiles]
    names = ("rate_batch_nanos", "rate_minute_nanos", "rate_sample_nanos", "base_work_batches")
    units = ("nanos a batch", "nanos a minute", "nanos a sample", "batches an epoch")
    rows = [row(f"`{name}`", unit, [getattr(p, name) for p in every]) for name, unit in zip(names, units, strict=True)]
    rows += [
        row("standard batch", "tokens", [p.batch_tokens for p in every]),
        row("arithmetic of a token", "million operations", [p.flops_per_token // 10**6 for p in profiles]),
        row("epoch", "seconds", [p.epoch_ms // 1000 for p in profiles]),
        row("`seats`", "a round", [p.seats for p in every]),
        row("a round's training at most", "seconds", [p.train_blocks * p.block_interval_ms // 1000 for p in every]),
        row("slowest machine with a seat", "tokens a second", [slowest_paid(p) for p in profiles]),
    ]
    return table(["", *(profile.name for profile in profiles), ""], rows)


def slowest_paid(profile: Profile) -> int:
    """Tokens a second that half of a round's segments take until the deadline."""
    params = profile.params
    half = -(-params.segments // 2) * params.segment_steps * params.batch_tokens
    return -(-half * 1000 // (params.train_blocks * params.block_interval_ms))


def machines(profiles: list[Profile]) -> str:
    rows = [
        [
            machine.name,
            f"× {machine.multiple}",
            *(shown(profile.speed(machine)) for profile in profiles),
            f"{machine.of_a_hundred} %",
            f"{machine.low}–{machine.high}",
        ]
        for machine in MACHINES
    ]
    head = [
        "Machine",
        "of the measured",
        *(f"tokens/s, {p.name}" for p in profiles),
        "share of the mix",
        "public range",
    ]
    return table(head, rows)


def earnings(profile: Profile) -> str:
    rows = [
        [
            machine.name,
            f"{nodes:,}",
            *(shown(part) for part in (day.training, day.uptime, day.data, day.total)),
            f"{machine.low}–{machine.high}",
            verdict(day.total, machine),
            shown(day.in_rounds),
        ]
        for machine, nodes, day in rows_of(profile)
    ]
    head = [
        "Machine",
        "nodes",
        "training",
        "uptime",
        "data",
        "sum",
        "public range",
        "against it",
        "training, in rounds",
    ]
    return table(head, rows)


def to_meet(profile: Profile) -> str:
    """Which rate, or which base work, would let training alone earn the middle of each range."""
    rows = []
    for machine, nodes, day in rows_of(profile):
        params, wanted = profile.params, Fraction(machine.low + machine.high, 2) / day.training
        work = sum(count * profile.batches(each, profile.epoch_ms) for each, count in network_of(machine, nodes))
        # Above the base work a batch earns rate · √(base work / work); below it the rate, whatever the base work is.
        share = wanted * price(work, params) / params.rate_batch_nanos
        base = shown(work * share**2) if share <= 1 else "none: at the full rate it is too little"
        rows.append([machine.name, f"{nodes:,}", shown(params.rate_batch_nanos * wanted), base])
    return table(["Machine", "nodes", "`rate_batch_nanos`", "or `base_work_batches`"], rows)


def document() -> str:
    template = json.loads((ROOT / "genesis.json").read_text())
    profiles = [Profile(name, template) for name in PROFILES]
    parts = ["### The parameters\n\n", parameters(profiles), "\n### The machines\n\n", machines(profiles)]
    for profile in profiles:
        parts += [f"\n### NEURO a day, profile `{profile.name}`\n\n", earnings(profile)]
    for profile in profiles:
        parts += [f"\n### What would move it, profile `{profile.name}`\n\n", to_meet(profile)]
    return "\n" + "".join(parts) + "\n"


TABLES = Tables("economics", "economics.md", document)


def main(arguments: list[str]) -> None:
    TABLES.follow(arguments)
    template = json.loads((ROOT / "genesis.json").read_text())
    for profile in (Profile(name, template) for name in PROFILES):
        for machine, nodes, day in rows_of(profile):
            name = f"{profile.name}_{machine.name.replace(' ', '_')}_{nodes}_nodes"
            middle = (machine.low + machine.high) / 2
            note = f"public range {machine.low} to {machine.high}: {verdict(day.total, machine)}"
            report(f"{name}_neuro_a_day", float(day.total), "NEURO/day", middle, note)
            report(f"{name}_training_in_rounds_neuro_a_day", float(day.in_rounds), "NEURO/day", middle, "today")
