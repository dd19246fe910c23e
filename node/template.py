"""From the template genesis.json, which alone holds every number of the protocol, to a network and its learning."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from chain.block import Outcome
from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.errors import InvalidGenesis
from chain.genesis import BootstrapValidator, Network, Parameter, check_network
from chain.state import NO_OUTCOME
from node.errors import NodeError
from node.setting_kinds import shown
from training.birth import birth
from training.errors import ConfigError, TrainingError
from training.layout import ModelConfig, parameter_layout
from training.outer import OuterRate, OuterSpec, OuterState, genesis_state, roots
from training.robust import MEAN
from training.schedule import InnerSpec

NUMBER_DIGITS_MAXIMUM = 38  # of 2^128


def template_path() -> Path:
    """genesis.json: beside the packages in a checkout, inside `chain` in a wheel."""
    inside = Path(str(files("chain"))) / "genesis.json"
    return inside if inside.exists() else inside.parent.parent / "genesis.json"


def read_template(path: Path, profile: str) -> dict[str, Any]:
    """The template's identity and the numbers of one profile. Raises InvalidGenesis."""
    try:
        content = json.loads(path.read_text())
        profiles = content["profiles"]
        if profile not in profiles:
            raise InvalidGenesis(f"{path} has no profile {profile!r}; it knows {', '.join(profiles)}")
        numbers = {**content["parameters"], **profiles[profile]}
    except KeyError as error:
        raise InvalidGenesis(f"{path} lacks {error}") from error
    except (OSError, ValueError, TypeError) as error:
        raise InvalidGenesis(f"{path} cannot be read: {error}") from error
    wrong = [name for name, value in numbers.items() if type(value) is not int or value < 0]
    if wrong:
        raise InvalidGenesis(f"{path}: {wrong[0]} must be a whole number, zero or more")
    return {**content, "parameters": numbers}


def with_numbers(template: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, Any]:
    """The template with some numbers of its parameters changed. Raises NodeError."""
    numbers: dict[str, int] = dict(template["parameters"])
    seen: set[str] = set()
    for text in wanted:
        name, equals, value = text.partition("=")
        if name not in numbers:
            raise NodeError(f"--set {shown(text)}: no parameter has this name; docs/protocol.md lists them")
        if name in seen:
            raise NodeError(f"--set {name} is given twice")
        if not equals or not (value.isascii() and value.isdigit() and len(value) <= NUMBER_DIGITS_MAXIMUM):
            raise NodeError(f"--set {shown(text)}: NAME=N is wanted, N a whole number from 0 on")
        seen.add(name)
        numbers[name] = int(value)
    return {**template, "parameters": numbers}


def create_network(
    template: Mapping[str, Any], name: str, created_ms: int, validators: tuple[BootstrapValidator, ...]
) -> Network:
    """A new network from a template: its model is born here once, so that its roots stand in the genesis."""
    numbers: dict[str, int] = template["parameters"]
    parameters = tuple(Parameter(key.encode("ascii"), numbers[key]) for key in sorted(numbers))
    seed = bytes.fromhex(template["model_seed"])
    tokenizer, corpus = (bytes.fromhex(template[key]) for key in ("tokenizer_sha256", "corpus_root"))
    draft = Network(name.encode(), created_ms, seed, tokenizer, corpus, NO_OUTCOME, parameters, validators)
    learning = Learning.of(draft)
    network = Network(
        name.encode(),
        created_ms,
        seed,
        tokenizer,
        corpus,
        learning.outcome(ZERO, learning.born()),
        parameters,
        validators,
    )
    check_network(network)
    return network


@dataclass(frozen=True, slots=True)
class Learning:
    """A network's numbers as training wants them."""

    model: ModelConfig
    inner: InnerSpec
    outer: OuterSpec
    seed: bytes

    @classmethod
    def of(cls, network: Network) -> "Learning":
        """Raises InvalidGenesis if a number is missing, unknown or out of bounds."""
        chain, inner = network.section("chain"), network.section("inner")
        shared = {
            "round_steps": chain["inner_steps"],
            "segment_steps": chain["segment_steps"],
            "sequences": chain["sequences"],
            "length": chain["sequence_length"],
        }
        try:
            model = ModelConfig(**network.section("model"))
            if shared["length"] > model.context:
                raise ConfigError(f"sequences of {shared['length']} tokens exceed the context of {model.context}")
            return cls(model, InnerSpec(**shared, **inner), _outer(network), network.model_seed)
        except (TypeError, TrainingError) as error:
            raise InvalidGenesis(f"the network's training numbers are not those of this program: {error}") from error

    @property
    def fragment_sizes(self) -> tuple[int, ...]:
        return tuple(fragment.count for fragment in parameter_layout(self.model))

    @property
    def parameters(self) -> int:
        return sum(self.fragment_sizes)

    def born(self) -> OuterState:
        """The outer state before the first round."""
        return genesis_state(birth(self.model, self.seed))

    def outcome(self, counted_root: bytes, state: OuterState) -> Outcome:
        """What the ledger records of an outer state."""
        found = roots(state, self.fragment_sizes, merkle_root, tagged_hash)
        return Outcome(
            counted_root,
            found.model_root,
            found.weights_root,
            found.momentum_root,
            found.aggregate_root,
            found.trust_root,
        )


def _outer(network: Network) -> OuterSpec:
    """`outer.rule`, `outer.length_eighths`, and for some N `outer.N.rate_milli` and `outer.N.momentum_milli`."""
    section = network.section("outer")
    counts = sorted({int(head) for name in section if (head := name.split(".")[0]).isdecimal()})
    wanted = {f"{n}.{name}" for n in counts for name in ("rate_milli", "momentum_milli")}
    if section.keys() != wanted | {"rule", "length_eighths"} or 1 not in counts:
        raise InvalidGenesis(
            f"outer.* must be rule, length_eighths, and from N = 1 on N.rate_milli and N.momentum_milli: "
            f"{sorted(section)}"
        )
    if section["rule"] == MEAN:
        raise InvalidGenesis("outer.rule: the mean holds no liar off; it is for experiments only")
    rates = tuple(OuterRate(n, section[f"{n}.rate_milli"], section[f"{n}.momentum_milli"]) for n in counts)
    return OuterSpec(network.section("chain")["inner_steps"], rates, section["rule"], section["length_eighths"])
