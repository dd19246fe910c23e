"""What node and auditor process say to each other: lines as between node and trainer; bulk goes through files."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """Train a segment of another's round again, and compare. Files hold flat fp32 numbers; no path: all are zero."""

    number: int  # of the question
    round: int
    node: bytes
    segment: int
    mix: bytes
    averages_steps: int
    distance: int
    base: str
    before_theta: str
    before_m: str
    before_v: str
    after_theta: str
    after_m: str
    after_v: str
    last_theta: str
    payload: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it: a finding of `chain.audit_messages`, and the roots of the weights after each step."""

    number: int
    finding: int
    inner: bytes
    reason: str  # for people
    seconds: float


@dataclass(frozen=True, slots=True)
class Unable:
    """Nothing came of it, for a reason of this machine: that says nothing of the audited node."""

    number: int
    reason: str


KINDS: dict[str, type] = {kind.__name__: kind for kind in (Replay, Replayed, Unable)}
