"""genesis.json: whole numbers that this program knows, all of them; what it gives is a network that checks out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chain.crypto.hashing import ZERO, merkle_root, tagged_hash
from chain.errors import InvalidGenesis
from chain.genesis import parse_network
from node.segment_store import Vectors
from node.settings import PROFILES
from node.template import Learning, create_network, read_template, template_path
from node.work_log import state_hash
from tests.node.lone_node import IDENTITY, TINY, tiny_network
from training.outer import roots

TEMPLATE = json.loads(template_path().read_text())
LAB = read_template(template_path(), "lab")


def written(folder: Path, name: str, value: Any) -> Path:
    """The template with one number of the lab profile changed."""
    content = json.loads(json.dumps(TEMPLATE))
    content["profiles"]["lab"][name] = value
    path = folder / "genesis.json"
    path.write_text(json.dumps(content))
    return path


def created(numbers: dict[str, int]) -> Any:
    return create_network({**LAB, "parameters": numbers}, "test", 1, (IDENTITY.bootstrap_validator(),))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_the_numbers_that_this_program_knows(profile: str) -> None:
    numbers = read_template(template_path(), profile)["parameters"]
    small = {name: value for name, value in TINY.items() if name.startswith("model.") and name != "model.context"}
    network = created(numbers | small)
    assert network.params.segments * network.params.segment_steps == network.params.inner_steps


def test_an_unknown_profile_is_refused_and_the_known_are_named() -> None:
    with pytest.raises(InvalidGenesis, match=r"'nosuch'.*dev, main, lab"):
        read_template(template_path(), "nosuch")


@pytest.mark.parametrize("value", [1.5, 1.0, -1, "1", None, True, [1]])
def test_a_number_that_is_not_whole_and_not_negative_is_refused_by_name(tmp_path: Path, value: Any) -> None:
    with pytest.raises(InvalidGenesis, match=r"chain\.seats must be a whole number"):
        read_template(written(tmp_path, "chain.seats", value), "lab")


def test_zero_is_a_number(tmp_path: Path) -> None:
    assert read_template(written(tmp_path, "chain.stamp_bits", 0), "lab")["parameters"]["chain.stamp_bits"] == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"5", b'{"parameters": {}}', b"\xff", b'{"parameters": 1}'])
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "genesis.json").write_bytes(content)
    with pytest.raises(InvalidGenesis, match=r"genesis\.json"):
        read_template(tmp_path / "genesis.json", "lab")


def test_a_missing_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidGenesis, match="cannot be read"):
        read_template(tmp_path / "genesis.json", "lab")


@pytest.mark.parametrize("name", ["chain.seats", "model.width", "inner.clip_milli", "outer.1.rate_milli", "outer.rule"])
def test_a_missing_number_is_refused(name: str) -> None:
    numbers = LAB["parameters"] | TINY
    del numbers[name]
    with pytest.raises(InvalidGenesis, match=name.rsplit(".", maxsplit=1)[-1]):
        created(numbers)


@pytest.mark.parametrize("name", ["chain.wisdom", "model.wisdom", "inner.wisdom", "outer.wisdom", "outer.1.wisdom"])
def test_a_number_unknown_to_this_program_is_refused(name: str) -> None:
    with pytest.raises(InvalidGenesis, match="wisdom"):
        created(LAB["parameters"] | TINY | {name: 1})


@pytest.mark.parametrize("name", ["model.width", "model.heads", "inner.rewarm_steps", "inner.beta1_milli"])
def test_numbers_that_describe_no_model_or_training_are_refused(name: str) -> None:
    value = 1000 if name.endswith("milli") else 0
    with pytest.raises(InvalidGenesis):
        created(LAB["parameters"] | TINY | {name: value})


@pytest.mark.parametrize(("name", "least", "most"), [("outer.rule", 1, 4), ("outer.length_eighths", 0, 8)])
def test_the_rule_of_the_outer_step_has_limits(name: str, least: int, most: int) -> None:
    for value in (least, most):
        created(LAB["parameters"] | TINY | {name: value})
    for value in {least - 1, most + 1} - {-1}:
        with pytest.raises(InvalidGenesis):
            created(LAB["parameters"] | TINY | {name: value})


def test_a_created_network_is_the_same_after_writing_and_reading() -> None:
    network = tiny_network()
    again = parse_network(network.file_bytes())
    assert again == network and again.chain_id == network.chain_id
    assert Learning.of(again) == Learning.of(network)


def test_its_model_roots_are_those_of_the_model_born_from_its_seed() -> None:
    network = tiny_network()
    learning = Learning.of(network)
    assert network.start == learning.outcome(ZERO, learning.born())


def test_the_ledger_finds_the_same_outer_root_and_start_state_as_training() -> None:
    learning = Learning.of(tiny_network())
    born = learning.born()
    outcome, zeros = learning.outcome(ZERO, born), np.zeros_like(born.weights)
    assert outcome.outer_root == roots(born, learning.fragment_sizes, merkle_root, tagged_hash).outer_root
    assert outcome.start_state == state_hash(Vectors(born.weights, zeros, zeros).parts())


def test_another_seed_gives_another_chain_and_another_model() -> None:
    numbers, validators = LAB["parameters"] | TINY, (IDENTITY.bootstrap_validator(),)
    other = create_network({**LAB, "parameters": numbers, "model_seed": "00" * 32}, "tiny", 1, validators)
    same = created(numbers)
    assert other.start.model_root != same.start.model_root and other.chain_id != same.chain_id


def test_sequences_as_long_as_the_context_are_allowed_and_longer_ones_refused() -> None:
    numbers = dict(LAB["parameters"]) | TINY
    fits = {"chain.sequence_length": 64, "model.context": 64}
    assert Learning.of(created(numbers | fits)).inner.length == 64
    with pytest.raises(InvalidGenesis, match="exceed the context"):
        created(numbers | fits | {"chain.sequence_length": 65})


def test_a_model_that_no_machine_holds_is_refused_before_it_is_born() -> None:
    numbers = dict(LAB["parameters"]) | TINY
    for name, value in (("model.layers", 4097), ("model.layers", 2**40), ("model.ffn_width", 2**40)):
        with pytest.raises(InvalidGenesis, match="more than any machine holds"):
            created(numbers | {name: value})
