"""What a node does between the last inner step of a round and the first of the next, from the meters of a network.

`shares` is the figure; `phases` says what is waited for. Times are of one machine's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from bench.diloco_net import KILLED_ROUND, Line, Seen
from bench.figure import report
from chain.state import HOLDING, OPENED, RESULT, REVEALING
from chain.state import TRAINING as TRAINING_PHASE

GOAL = 0.05
ENDS = {"RoundClosed", "RoundVoid"}
PHASES = {
    "encode": "from the last inner step until the payload is encoded and on disk",
    "others": "until the slowest trainer has got so far",
    "commit": "until the block that takes the last commitment is final",
    "reveal": "until all payloads are revealed",
    "hold": "until validators have fetched and judged the payloads, and said so in a block",
    "result": "until the outer step is computed, signed and in a block: the next round is open",
    "mix": "until the block whose mix fixes the data of the next round is final",
    "start": "until the first inner step: the model's file, and what the trainer does before",
}


@dataclass(frozen=True, slots=True)
class Passed:
    """One round of one node. All in seconds of the wall clock; `phases` are durations, see `PHASES`."""

    node: int
    round: int
    begun: float
    ended: float
    next_begun: float
    phases: dict[str, float]

    @property
    def length(self) -> float:
        return self.next_begun - self.begun

    @property
    def share(self) -> float:
        """Of the round, in which this node did not train."""
        return (self.next_begun - self.ended) / self.length

    @property
    def own_share(self) -> float:
        """The same without waiting for nodes that train more slowly."""
        waited = self.phases["others"]
        return (self.next_begun - self.ended - waited) / (self.length - waited)


def training(seen: Seen, node: int) -> dict[int, tuple[float, float]]:
    """By round, when the first inner step began and the last one ended.

    The trainer says a few times a second how many steps it has made and at which speed since the first began.
    """
    steps: dict[int, list[Line]] = {}
    for line in seen.of(node, "trainer", "Stepped"):
        steps.setdefault(line["round"], []).append(line)
    found = {}
    for number, lines in steps.items():
        seconds = [line["step"] * seen.batch_tokens / line["tokens_per_second"] for line in lines]
        begun = median(line["t"] - passed for line, passed in zip(lines, seconds, strict=True))
        last, passed = lines[-1], seconds[-1]
        left = (seen.inner_steps - last["step"]) * passed / last["step"]
        found[number] = begun, last["t"] + left
    return found


def phase_times(seen: Seen, node: int) -> dict[tuple[int, int], float]:
    """When a node first had a final block in which this round was in this phase or a later one."""
    found: dict[tuple[int, int], float] = {}
    for line in seen.of(node, "block"):
        if line["round"] is None:
            continue
        number, phase = line["round"]
        for earlier in range(OPENED, phase + 1):
            found.setdefault((number, earlier), line["t"])
        for earlier in range(OPENED, RESULT + 1):
            found.setdefault((number - 1, earlier), line["t"])
    return found


def passed_rounds(seen: Seen) -> list[Passed]:
    """All rounds but the first that each node trained whole, and whose successor it began."""
    payloads = [{line["round"]: line["t"] for line in seen.of(n, "trainer", "RoundDone")} for n in nodes(seen)]
    found = []
    for node in nodes(seen):
        times, phases, done = training(seen, node), phase_times(seen, node), payloads[node]
        for number in sorted(times):
            after = number + 1
            wanted = [(number, p) for p in (REVEALING, HOLDING, RESULT)] + [(after, OPENED), (after, TRAINING_PHASE)]
            # The first round began at different times: nodes were still being registered.
            if number == 1 or after not in times or number not in done or any(key not in phases for key in wanted):
                continue
            marks = [phases[key] for key in wanted]
            ready = max(each[number] for each in payloads if number in each)
            ended, begun_next = times[number][1], times[after][0]
            places = [ended, done[number], max(done[number], ready), *marks, begun_next]
            durations = [max(0.0, end - start) for start, end in pairwise(places)]
            named = dict(zip(PHASES, durations, strict=True))
            found.append(Passed(node, number, times[number][0], ended, begun_next, named))
    return found


def nodes(seen: Seen) -> range:
    return range(len(seen.lines))


def mean_phases(rounds: Iterable[Passed]) -> dict[str, float]:
    """Mean seconds of each phase."""
    listed = list(rounds)
    return {name: mean(each.phases[name] for each in listed) for name in PHASES}


def tell(seen: Seen) -> None:
    """The figures."""
    rounds = passed_rounds(seen)
    load = f"load average {seen.load[0]:.1f} to {seen.load[1]:.1f}"
    note = (
        f"{seen.wish.profile}, H = {seen.inner_steps}, {seen.wish.nodes} trainers on this machine, {seen.hosts}, {load}"
    )
    if not rounds:
        report("idle_share", None, "", note=f"no whole round was seen; {note}")
        return
    shares = sorted(each.share for each in rounds)
    report("idle_share", mean(shares), "", GOAL, f"{shares[0]:.3f} to {shares[-1]:.3f}, {len(shares)} rounds; {note}")
    report("idle_share_own", mean(each.own_share for each in rounds), "", GOAL, "without waiting for slower trainers")
    report("round_seconds", mean(each.length for each in rounds), "s")
    for name, seconds in mean_phases(rounds).items():
        report(f"idle_{name}_seconds", seconds, "s", note=PHASES[name])


def tell_killed(seen: Seen) -> None:
    """How long the round takes in which a trainer is killed, beside those before and after it."""
    ends = {line["round"][0] - 1: line["t"] for line in seen.of(0, "block") if set(line["receipts"]) & ENDS}
    lengths = {number: ends[number] - ends[number - 1] for number in ends if number - 1 in ends}
    void = sum("RoundVoid" in line["receipts"] for line in seen.of(0, "block"))
    others = [length for number, length in lengths.items() if number != KILLED_ROUND]
    if KILLED_ROUND not in lengths or not others:
        report("killed_round_seconds", None, "s", note="no such round was seen")
        return
    note = f"{seen.wish.profile}: a trainer is killed in the middle of one; reference: the other rounds; {void} void"
    report("killed_round_seconds", lengths[KILLED_ROUND], "s", mean(others), note)
    after = {number: round(length, 1) for number, length in sorted(lengths.items())}
    report("killed_next_round_seconds", lengths.get(KILLED_ROUND + 1), "s", mean(others), f"all rounds: {after}")
