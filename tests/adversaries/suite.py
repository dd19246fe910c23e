"""The attacks by name, from those that hurt robust rules most to those that only cost a share of the pay."""

from dataclasses import dataclass
from typing import Literal

from tests.adversaries.alie import alie
from tests.adversaries.aligned import aligned
from tests.adversaries.echo import echo
from tests.adversaries.free_rider import copied, stale, zero
from tests.adversaries.ipm import ipm
from tests.adversaries.label_flip import label_flip
from tests.adversaries.mimic import mimic
from tests.adversaries.min_max import min_max
from tests.adversaries.noise import noise
from tests.adversaries.scene import Attack
from tests.adversaries.sign_flip import sign_flip
from tests.adversaries.sleeper import sleeper
from tests.adversaries.split import split


@dataclass(frozen=True, slots=True)
class Adversary:
    """An attack, and what the liars have to train for it: nothing, what they should, or wrong labels."""

    publish: Attack
    training: Literal["none", "honest", "flipped"] = "none"


SUITE = {
    "min_max": Adversary(min_max("mean")),
    "min_max_spread": Adversary(min_max("spread")),
    "alie": Adversary(alie()),
    "alie_1.5": Adversary(alie(1.5)),
    "ipm_0.5": Adversary(ipm(0.5)),
    "ipm_2": Adversary(ipm(2.0)),
    "sign_flip": Adversary(sign_flip(1.0)),
    "sign_flip_10": Adversary(sign_flip(10.0)),
    "noise": Adversary(noise(10.0)),
    "label_flip": Adversary(label_flip, "flipped"),
    "sleeper": Adversary(sleeper(aligned(0.7)), "honest"),
    "sleeper_flip": Adversary(sleeper(sign_flip(10.0)), "honest"),
    "echo": Adversary(echo),
    "mimic": Adversary(mimic),
    "zero": Adversary(zero),
    "stale": Adversary(stale),
    "copied": Adversary(copied),
    "aligned": Adversary(aligned(0.7)),
    "aligned_back": Adversary(aligned(0.7, "back")),
    "split": Adversary(split(0.5)),
}
