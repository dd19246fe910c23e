"""What node and trainer process say to each other: one JSON object per line, bytes as hex; bulk goes through files."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from node.errors import TrainerError


@dataclass(frozen=True, slots=True)
class Train:
    """Train a round from the outer state in file `base`; go on from work/ if it holds segments of this round.

    The ledger lets us begin with the second moments of root `averages_root`, `averages_steps` old; ZERO: with none.
    `plant_secret` says which segments read other data (`chain.plants`); ZERO: none of them.
    """

    round: int
    mix: bytes
    base: str
    averages_root: bytes
    averages_steps: int
    plant_secret: bytes


@dataclass(frozen=True, slots=True)
class Validate:
    """Measure the loss of the outer state in file `base`, the model after `round` rounds, on the held-out text."""

    round: int
    base: str


@dataclass(frozen=True, slots=True)
class Remake:
    """Train a past round again and keep the states around `segment` and the last one: an audit wants them.

    The first six fields are as in `Train`. `segments` were proven; `first` and `last` are the state hashes of the
    first and the last of them.
    """

    round: int
    mix: bytes
    base: str
    averages_root: bytes
    averages_steps: int
    plant_secret: bytes
    segment: int
    segments: int
    first: bytes
    last: bytes


@dataclass(frozen=True, slots=True)
class WrapUp:
    """The deadline is near: end the round at the next segment boundary."""

    round: int


@dataclass(frozen=True, slots=True)
class Abandon:
    """The round has ended on the ledger: stop training it."""

    round: int


@dataclass(frozen=True, slots=True)
class Ready:
    device: str
    reason: str
    threads: int
    bigram_loss: float


@dataclass(frozen=True, slots=True)
class Tokenising:
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Validated:
    round: int
    loss: float


@dataclass(frozen=True, slots=True)
class Stepped:
    """Progress of the round, a few times a second."""

    round: int
    step: int
    loss: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class SegmentDone:
    """A finished segment; `distance` in units of 2⁻²⁴, `loss_milli` in thousandths of a nat per token.

    `averages_root`: of the second moments with which its round really began; ZERO if it began fresh.
    """

    round: int
    segment: int
    state_after: bytes
    loss_milli: int
    distance: int
    time_ms: int
    threads: int
    averages_root: bytes


@dataclass(frozen=True, slots=True)
class RoundDone:
    """The payload lies in payloads/ under its root; the last three roots are the parts of the last state's hash."""

    round: int
    segments: int
    payload_root: bytes
    payload_bytes: int
    theta_root: bytes
    m_root: bytes
    v_root: bytes


@dataclass(frozen=True, slots=True)
class BegunFresh:
    """The round begins without the second moments that the ledger would let it begin with."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Remade:
    """What came of `Remake`; an empty `reason`: the states are here again."""

    round: int
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The trainer cannot go on; `message` says what to do."""

    message: str


Command = Train | Validate | Remake | WrapUp | Abandon
TrainerEvent = Ready | Tokenising | Validated | Stepped | SegmentDone | RoundDone | BegunFresh | Remade | Failed
KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        Train,
        Validate,
        Remake,
        WrapUp,
        Abandon,
        Ready,
        Tokenising,
        Validated,
        Stepped,
        SegmentDone,
        RoundDone,
        BegunFresh,
        Remade,
        Failed,
    )
}
LINE_MAXIMUM = 65_536
STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')


def to_line(message: Any) -> bytes:
    content = {name: value.hex() if isinstance(value, bytes) else value for name, value in asdict(message).items()}
    return json.dumps({"kind": type(message).__name__, **content}).encode() + b"\n"


def from_line(line: bytes, kinds: Mapping[str, type] = KINDS) -> Any:
    """A message of one of these kinds. Raises TrainerError if the line is none."""
    try:
        bare = STRINGS.sub(b"", line)
        if b"[" in bare or bare.count(b"{") != 1:
            # Messages are flat; deep nesting would overflow the parser's stack.
            raise ValueError("nested")
        content = json.loads(line)
        kind = kinds[content.pop("kind")]
        hints = get_type_hints(kind)
        values = {f.name: _value(content[f.name], hints[f.name]) for f in fields(kind)}
        message = kind(**values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainerError(f"this is no message between node and trainer: {line[:200]!r}") from error
    return message


def _value(found: Any, wanted: type) -> Any:
    """Exactly of the wanted type. A whole number may stand for a float."""
    if wanted is bytes:
        return bytes.fromhex(found)
    if wanted is float and type(found) is int:
        return float(found)
    if type(found) is not wanted:
        raise TypeError(f"{found!r} is no {wanted.__name__}")
    return found
