"""Finality among validators in ten regions of the world: real protocols, made-up signatures, a simulated clock.

The delays are the average round trips between the ten regions of IBM Cloud from 17 August to 15 September 2024, as IBM
publishes them in the documentation of its virtual private cloud; half of one is taken for one way.
"""

from collections.abc import Sequence

from bench.consensus_live import Add, share
from bench.consensus_village import Village, everybody, made_up, some

REGIONS = (
    *("Dallas", "Toronto", "Washington DC", "Frankfurt", "London"),
    *("Madrid", "Osaka", "Sydney", "Tokyo", "São Paulo"),
)
ROUND_TRIPS_MS = (  # row by row, each to the regions after it
    (34, 31, 123, 113, 117, 150, 185, 143, 145),
    (19, 92, 82, 109, 169, 215, 161, 130),
    (91, 76, 88, 173, 214, 166, 118),
    (13, 29, 232, 250, 228, 197),
    (27, 244, 261, 242, 187),
    (259, 275, 256, 207),
    (122, 9, 292),
    (115, 327),
    (284,),
)
WITHIN_MS = 2  # between two data centres of one region
GOAL_MS = 350
DIALLED = 8  # as `network.switch_config` has it


def round_trip_ms(one: int, two: int) -> int:
    """Between two regions, by number."""
    first, second = min(one, two), max(one, two)
    return WITHIN_MS if first == second else ROUND_TRIPS_MS[first][second - first - 1]


def delay_us(one: int, two: int) -> int:
    """One way between two validators, which live in the regions in turn."""
    return 500 * round_trip_ms(one % len(REGIONS), two % len(REGIONS))


def measure(members: int, blocks: int, links: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """Finality of each block at each validator, and how many views were given up."""
    with made_up():
        village = Village(members, links, delay_us)
        village.run(blocks)
        return village.times(), village.given_up()


def regions(members: int, blocks: int, add: Add) -> None:
    """With every validator connected with every other, and as nodes connect by themselves."""
    tell(measure(members, blocks, everybody(members)), members, "", "all connected with each other", add)
    # Here every vote is passed on and checked alone by everybody, which takes this process long.
    found = measure(members, max(2, blocks // 4), some(members, DIALLED))
    tell(found, members, f"_dialling_{DIALLED}", f"each dials {DIALLED} others", add)


def tell(found: tuple[list[int], int], members: int, suffix: str, words: str, add: Add) -> None:
    times, nullified = found
    note = f"virtual time, zero compute: {members} validators in {len(REGIONS)} regions, {words}, "
    note += f"{len(times) // members} blocks, {nullified} views given up"
    add(f"regions_{members}{suffix}_p50_ms", share(times, 50), "ms", GOAL_MS, note + "; reference: the goal")
    add(f"regions_{members}{suffix}_p99_ms", share(times, 99), "ms")
