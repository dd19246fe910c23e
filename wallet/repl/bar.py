"""The bar below the prompt: as much of the facts as the terminal is wide."""

from dataclasses import dataclass

from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.utils import get_cwidth

from wallet.amounts import neuro
from wallet.repl.facts import Facts, Link

STYLES = {Link.ASKED: "class:bar.wait", Link.THERE: "class:bar.there", Link.AWAY: "class:bar.away"}
BETWEEN, PLAIN_BETWEEN = " · ", " | "
SHORT_DIGITS = 4  # behind the point: the bar is for a glance, `balance` tells all digits


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the bar. Where not all fit, those with the highest rank go first."""

    rank: int
    text: str
    style: str = ""


def line(facts: Facts, lock: str, columns: int, is_unicode: bool = True) -> StyleAndTextTuples:
    """The bar in at most so many columns. `lock` says whether the keys are at hand."""
    between = BETWEEN if is_unicode else PLAIN_BETWEEN
    parts = _parts(facts, lock)
    while len(parts) > 1 and _width(parts, between) > columns:
        parts.remove(max(parts, key=lambda part: part.rank))
    fragments: StyleAndTextTuples = [("", " ")]
    for place, part in enumerate(parts):
        fragments += [("", between)] if place else []
        fragments.append((part.style, part.text))
    return fragments


def _parts(facts: Facts, lock: str) -> list[Part]:
    """In the order in which they stand."""
    parts = [Part(0, facts.link.value, STYLES.get(facts.link, "class:bar.away"))]
    if facts.balance_nanos is not None:
        parts.append(Part(1, short(facts.balance_nanos), "class:bar.money"))
    if facts.vesting_nanos:
        parts.append(Part(3, f"+{short(facts.vesting_nanos).removesuffix(' NEURO')} vesting"))
    if facts.round is not None and facts.round_phase:
        parts.append(Part(2, f"round {facts.round} {facts.round_phase}"))
    if facts.height is not None:
        parts.append(Part(4, f"height {facts.height}"))
    if lock:
        parts.append(Part(5, lock))
    if facts.network:
        parts.append(Part(6, facts.network))
    if facts.phase:
        parts.append(Part(7, facts.phase))
    return parts


def _width(parts: list[Part], between: str) -> int:
    return 2 + sum(get_cwidth(part.text) for part in parts) + get_cwidth(between) * (len(parts) - 1)


def short(nanos: int) -> str:
    """An amount with few digits, rounded down: nobody has more than it says."""
    whole, point, parts = neuro(nanos).removesuffix(" NEURO").partition(".")
    parts = parts[:SHORT_DIGITS].rstrip("0")
    return f"{whole}{point if parts else ''}{parts} NEURO"
