"""What a node does between the last inner step of a round and the first of the next, from the meters of a network.

`shares` is the figure; `phases` says what is waited for. Times are of one machine's clock.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median

from bench.diloco_net import Line, Seen
from chain.state import HOLDING, OPENED, RESULT, REVEALING
from chain.state import TRAINING as TRAINING_PHASE

PHASES = ("encode", "others", "commit", "reveal", "hold", "result", "mix", "start")


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
