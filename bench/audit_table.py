"""What cheating costs: detection by audits, rounds until it is found, expected profit, from genesis.json.

    .venv/bin/python -m bench audit_table              prints one JSON line for each figure
    .venv/bin/python -m bench audit_table --write      also rewrites the tables in docs/security.md

All figures are exact formulas (`bench.audit_odds`); `tests/bench/test_audit_table.py` plays them out by chance.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from bench.audit_odds import (
    Forgery,
    Terms,
    everywhere,
    exposed,
    hidden,
    in_proportion,
    lazy_chance,
    lazy_ratio,
    rounds_until,
    seen_share,
    sleeper,
    terms_of,
    veteran_profit,
    veteran_ratio,
)
from bench.economics import Profile
from bench.figure import report
from bench.tables import ROOT, Tables, table
from chain.genesis import Params
from chain.money import NEURO

PROFILES = ("dev", "main")
GOAL = 5  # times that a cheat should lose what it saves
HONEST_ROUNDS = (0, 6, 20, 40, 1_000)
LISTINGS = {"their share": in_proportion, "0": hidden, "all": exposed}
OWN_POWERS = (0.01, 0.1, 0.25, 0.33)


@dataclass(frozen=True, slots=True)
class Cheat:
    """One way to be paid for work that was not done. `segments` of a round are forged, None: all."""

    name: str
    caught_by: str
    segments: int | None = None
    listed: Callable[[int, int], Forgery] = in_proportion
    saves: bool = True  # work; else it only does harm
    remains: str = "–"  # open

    def forgery(self, of_round: int) -> Forgery:
        return self.listed(of_round if self.segments is None else self.segments, of_round)


REPLAY = "replay ends elsewhere"
CHEATS = (
    Cheat("skips steps, in all segments", REPLAY, remains="newcomers risk little"),
    Cheat("smaller batch, in all segments", REPLAY),
    Cheat("other data, in all segments", REPLAY),
    Cheat("one wrong label in one segment", REPLAY, 1, saves=False, remains="its harm until it is found"),
    Cheat(
        "honest training, another payload",
        "every audit encodes the payload anew",
        saves=False,
        remains="it stays in the model",
    ),
    Cheat("stale base", "replay of the first segment: all others follow from it", 1, saves=False, remains="as above"),
    Cheat("copied neighbour", "replay with the order of its own data"),
    Cheat("two nodes, one work", "replay: each node's data order is its own"),
    Cheat("invented states", REPLAY + ", or no states to show"),
    Cheat("lower precision than registered", "replay: outside the tolerance", remains="what is within it"),
    Cheat("one segment not trained, listed as if it were", REPLAY, 1),
    Cheat("one segment not trained, listed with distance 0", REPLAY, 1, hidden),
    Cheat("one huge forged segment that carries the payload", REPLAY + "; lots by distance find it", 1, exposed),
    Cheat(
        "the same, its distance spread over all segments", "every other segment then lists a wrong one", 1, everywhere
    ),
)


# ---- The tables


def shown(number: float) -> str:
    """Three digits that count."""
    value = float(f"{number:.3g}")
    return f"{value:,.0f}" if abs(value) >= 100 or value == 0 else f"{value:g}"


def percent(chance: float) -> str:
    return f"{shown(100 * chance)} %"


def profit(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−")


def rates(terms: Terms) -> tuple[float, float, float]:
    return 1.0, terms.steady, terms.floor


def joined(values: list[str]) -> str:
    return " / ".join(values)


def cheats(params: Params) -> str:
    terms = terms_of(params)
    rows = []
    for cheat in CHEATS:
        forgery = cheat.forgery(params.segments)
        chances = [rate * forgery.found_if_drawn for rate in rates(terms)]
        rows.append(
            [
                cheat.name,
                cheat.caught_by,
                joined([percent(chance) for chance in chances]),
                joined([str(rounds_until(chance)) for chance in chances]),
                joined([profit(gain_of(cheat, forgery, rate, terms)) for rate in rates(terms)]),
                joined([shown(veteran_ratio(forgery, rate, terms)) for rate in rates(terms)])
                if cheat.saves
                else "gains nothing",
                cheat.remains,
            ]
        )
    every = joined([f"{rate:g}" for rate in rates(terms)])
    head = ["Cheat", "caught by", f"found in a round, at rate {every}", "rounds to 99 %"]
    rows += by_other_rules(params)
    return table([*head, "profit, NEURO a round", "loss over gain", "what remains open"], rows)


def by_other_rules(params: Params) -> list[list[str]]:
    """Cheats that the ledger refuses, and those of auditors."""
    stake = params.stake_minimum_nanos / NEURO
    fine, lazy = params.audit_fault_basis_points / 10_000 * stake, lazy_chance(params)
    seen = seen_share(0.1, params.audit_second_basis_points / 10_000)
    worst = worst_veteran(params, terms_of(params))
    refused = ["100 %", "1", "0", "gains nothing", "–"]
    return [
        ["a proof twice", "refused: each segment of a round is proven once", *refused],
        ["a proof for another wallet", "refused: the wallet is the registered one", *refused],
        [
            "refuses to show when a forged segment is drawn",
            "withheld costs all vesting",
            "as what it forges",
            "the same",
            "the same",
            "the same",
            "it keeps its stake",
        ],
        [
            "lazy auditor",
            "planted faults",
            f"{percent(lazy)} of its verdicts",
            f"{rounds_until(lazy)} verdicts",
            f"{profit(-fine * lazy)} a verdict",
            shown(lazy_ratio(params, stake)),
            "a node's first rounds; founders have no stake",
        ],
        [
            "lying auditor",
            "a second auditor, then all validators",
            "100 %, if more than two thirds are honest",
            "1 verdict",
            f"{profit(-fine)} a lie",
            "gains nothing",
            "it costs everybody a replay",
        ],
        [
            "colluding pair with a tenth of the power",
            "another auditor is drawn",
            f"{percent(seen)} of what it would be",
            f"{shown(1 / seen)} times as many",
            "–",
            f"{shown(seen * worst)} at the lowest rate",
            "more power",
        ],
    ]


def gain_of(cheat: Cheat, forgery: Forgery, rate: float, terms: Terms) -> float:
    """NEURO a round more than honest work would leave."""
    return veteran_profit(forgery, rate, terms) - (0 if cheat.saves else forgery.share * terms.pay)


def shares(profile: Profile) -> str:
    """By how much is forged, and by what a cheat lists as distances."""
    params, terms = profile.params, terms_of(profile.params)
    rows = []
    for forged in (1, params.segments // 4, params.segments // 2, params.segments - 1, params.segments):
        for words, listed in LISTINGS.items():
            if forged == params.segments and words != "all":
                continue  # all of the segments have all of the distances
            forgery = listed(forged, params.segments)
            chances = [rate * forgery.found_if_drawn for rate in rates(terms)]
            rows.append(
                [
                    f"{forged} of {params.segments}",
                    words,
                    *(percent(chance) for chance in chances),
                    joined([str(rounds_until(chance)) for chance in chances]),
                    joined([shown(veteran_ratio(forgery, rate, terms)) for rate in rates(terms)]),
                ]
            )
    head = ["forged", "distances listed for them", *(f"rate {rate:g}" for rate in rates(terms))]
    return table([*head, "rounds to 99 %", "loss over gain"], rows)


def lives(profile: Profile) -> str:
    """Who works honestly first and then forges until it is found: rounds lost over rounds saved."""
    params, terms = profile.params, terms_of(profile.params)
    rows = []
    for forged in (1, params.segments // 4, params.segments // 2, params.segments):
        for words in ("their share", "0"):
            if forged == params.segments and words == "0":
                continue
            forgery = LISTINGS[words](forged, params.segments)
            found = [sleeper(forgery, rounds, terms) for rounds in HONEST_ROUNDS]
            cells = [f"{shown(life.ratio)} ({shown(life.rounds)})" for life in found]
            rows.append([f"{forged} of {params.segments}", words, *cells])
    return table(["forged", "distances listed", *(f"after {rounds:,}" for rounds in HONEST_ROUNDS)], rows)


def accomplices(params: Params) -> str:
    terms, second = terms_of(params), params.audit_second_basis_points / 10_000
    worst = worst_veteran(params, terms)
    rows = []
    for power in OWN_POWERS:
        seen = seen_share(power, second)
        rows.append([percent(power), percent(seen), shown(seen * worst)])
    return table(["power of its own", "draws with an honest auditor", "loss over gain of the worst case"], rows)


def worst_veteran(params: Params, terms: Terms) -> float:
    """Loss over gain of the cheapest forgery at the lowest rate."""
    forgeries = [hidden(forged, params.segments) for forged in range(1, params.segments + 1)]
    return min(veteran_ratio(forgery, terms.floor, terms) for forgery in forgeries)


def numbers(profiles: list[Profile]) -> str:
    every = [profile.params for profile in profiles]
    stake = every[0].stake_minimum_nanos / NEURO
    rows = [
        ["segments of a round", *(str(p.segments) for p in every)],
        ["pay of a whole round, NEURO", *(shown(terms_of(p).pay) for p in every)],
        ["auditors' share of the training work, steady", *(percent(work_share(p, terms_of(p).steady)) for p in every)],
        ["the same at the floor rate", *(percent(work_share(p, terms_of(p).floor)) for p in every)],
        ["the same in the warm-up", *(percent(work_share(p, 1.0)) for p in every)],
        ["least loss over gain, any share, lowest rate", *(shown(worst_veteran(p, terms_of(p))) for p in every)],
        ["if not showing cost the round alone", *(shown(worst_veteran(p, terms_of(p, 1))) for p in every)],
        ["lazy auditor: fine over replay saved", *(shown(lazy_ratio(p, stake)) for p in every)],
    ]
    return table(["", *(profile.name for profile in profiles)], rows)


def work_share(params: Params, rate: float) -> float:
    """Replayed steps over trained steps, with second auditors, and with those who look again at planted segments."""
    second, planted = params.audit_second_basis_points / 10_000, params.plant_basis_points / 10_000
    return rate * (1 + second) * (1 + planted) / params.segments


def profiles_of_genesis() -> list[Profile]:
    template = json.loads((ROOT / "genesis.json").read_text())
    return [Profile(name, template) for name in PROFILES]


def document() -> str:
    profiles = profiles_of_genesis()
    main_params = profiles[-1].params
    parts = ["### The numbers\n\n", numbers(profiles)]
    parts += ["\n### Cheats of a node whose vesting is full, profile `main`\n\n", cheats(main_params)]
    for profile in profiles:
        parts += [f"\n### By how much is forged, profile `{profile.name}`\n\n", shares(profile)]
    parts += ["\n### Honest first, profile `main`\n\n", lives(profiles[-1])]
    parts += ["\n### Auditors of its own, profile `main`\n\n", accomplices(main_params)]
    return "\n" + "".join(parts) + "\n"


TABLES = Tables("audit_table", "security.md", document)


def main(arguments: list[str]) -> None:
    TABLES.follow(arguments)
    for profile in profiles_of_genesis():
        params, terms = profile.params, terms_of(profile.params)
        for name, rate in (("warmup", 1.0), ("steady", terms.steady), ("floor", terms.floor)):
            one = in_proportion(1, params.segments)
            report(f"{profile.name}_detection_one_segment_{name}", rate * one.found_if_drawn, "of rounds")
            report(f"{profile.name}_verification_share_{name}", work_share(params, rate), "of training", 0.05)
        note = "what the cheapest cheat loses over what it saves, full vesting, floor rate, no stake"
        report(f"{profile.name}_least_loss_over_gain", worst_veteran(params, terms), "ratio", GOAL, note)
        stake = params.stake_minimum_nanos / NEURO
        report(f"{profile.name}_lazy_auditor_fine_over_gain", lazy_ratio(params, stake), "ratio", GOAL)
