"""Whatever a stranger sends is an object written in its one way, or an error of our family; nothing else happens."""

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chain import codec
from chain.codec import Wire
from chain.errors import NeuroError
from chain.transactions import ACTIONS
from consensus.committee import Committee
from tests.chain.wire_strategies import wire_types
from tests.fuzz import targets
from tests.fuzz.mutation import Seeded, damaged, mutated, rebuilt
from tests.fuzz.stages import executed, judged, signed_again, stages
from tests.fuzz.targets import decodes_to_itself_or_not_at_all, donors, is_accepted, valid_bytes

ROOT = Path(__file__).parents[2]
KINDS = wire_types()
STAGES = range(6)


class Drawn:
    """The choices that hypothesis makes, so that it can make a failure smaller."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def below(self, limit: int) -> int:
        return self.data.draw(st.integers(0, limit - 1))

    def raw(self, size: int) -> bytes:
        return self.data.draw(st.binary(min_size=size, max_size=size))


def with_chances(number: int, promise: Any) -> None:
    """Let hypothesis choose so many times. A promise that is broken raises."""

    @settings(max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def keeps(data):
        promise(Drawn(data))

    keeps()


def named(kinds: list[type]) -> dict[str, Any]:
    return {"argvalues": kinds, "ids": [kind.__name__ for kind in kinds]}


# ---- Decoders


@pytest.mark.parametrize("kind", **named(KINDS))
def test_any_bytes_are_one_object_or_a_refusal(kind):
    def promise(chance):
        decodes_to_itself_or_not_at_all(kind, chance.raw(chance.below(300)))

    with_chances(25, promise)


@pytest.mark.parametrize("kind", **named(KINDS))
def test_damaged_bytes_and_spliced_bytes_are_one_object_or_a_refusal(kind):
    def promise(chance):
        known, other = valid_bytes(kind), valid_bytes(KINDS[chance.below(len(KINDS))])[0]
        decodes_to_itself_or_not_at_all(kind, damaged(known[chance.below(len(known))], other, chance))

    with_chances(25, promise)


@pytest.mark.parametrize("kind", **named(KINDS))
def test_every_truncation_and_every_extension_of_an_object_is_refused(kind):
    for data in valid_bytes(kind)[:2]:
        assert decodes_to_itself_or_not_at_all(kind, data)
        for size in range(0, len(data), 1 + len(data) // 200):
            assert not decodes_to_itself_or_not_at_all(kind, data[:size])
        for more in (b"\0", b"\xff", data or b"\1"):
            assert not decodes_to_itself_or_not_at_all(kind, data + more)


@pytest.mark.parametrize("kind", **named([kind for kind in KINDS if kind is not Committee]))
def test_an_object_with_the_fields_of_others_is_written_and_read_alike(kind):
    def promise(chance):
        value = kind.decode(valid_bytes(kind)[0])
        for _ in range(3):
            value = mutated(value, donors(), chance)
        assert decodes_to_itself_or_not_at_all(kind, rebuilt(value).encode())

    with_chances(25, promise)


@pytest.mark.parametrize("target", ["network-files", "addresses", "state-proofs"])
def test_files_texts_and_proofs_with_damage_are_refused_or_say_the_same_thing(target):
    with_chances(60, targets.TARGETS[target])


# ---- The ledger


def test_there_is_a_valid_transaction_of_every_type_and_a_block_for_every_phase():
    transactions = stages()[0].block.body.transactions
    assert {type(transaction.action) for transaction in transactions} == set(ACTIONS.values())
    for number in STAGES:
        assert is_accepted(number, stages()[number].block)
    phases = {type(item).__name__ for stage in stages() for item in stage.block.body.rounds}
    assert phases == {"PayloadCommit", "PayloadReveal", "AvailabilityVote", "ResultVote"}
    assert stages()[0].block.body.proofs and len(stages()) == len(STAGES)


@pytest.mark.parametrize("kind", **named(list(ACTIONS.values())))
def test_a_valid_transaction_of_each_type_is_accepted_and_no_bit_of_its_bytes_can_flip(kind):
    stage = stages()[0]
    [valid] = [each for each in stage.block.body.transactions if type(each.action) is kind]
    valid = signed_again(stage, valid)
    assert executed(stage, valid).changes
    data = valid.encode()
    for bit in range(0, 8 * len(data), 1 + len(data) // 20):
        flipped = (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
        with pytest.raises(NeuroError):
            executed(stage, type(valid).decode(flipped))


@pytest.mark.parametrize("kind", **named(list(ACTIONS.values())))
def test_changed_transactions_of_each_type_are_refused_by_the_family_or_keep_the_books_balanced(kind):
    with_chances(80, lambda chance: targets.transactions(chance, kind))


@pytest.mark.parametrize("number", STAGES)
def test_changed_blocks_of_each_phase_are_refused_by_the_family_and_leave_the_parent_as_it_was(number):
    with_chances(30, lambda chance: targets.blocks(chance, number))


def test_damaged_bytes_of_a_block_are_refused_by_the_family_or_differ_in_their_time_only():
    with_chances(120, targets.block_bytes)


@pytest.mark.parametrize("number", STAGES)
def test_every_field_of_a_header_that_follows_from_the_rules_is_compared(number):
    stage = stages()[number]
    for name, kind in codec._layout(type(stage.block.header)):
        if name == "time_ms":
            continue
        value = getattr(stage.block.header, name)
        changed = value + 1 if isinstance(kind, codec.Int) else bytes((value[0] ^ 1,)) + value[1:]
        with pytest.raises(NeuroError):
            judged(stage, replace(stage.block, header=replace(stage.block.header, **{name: changed})))


def test_enough_changed_transactions_get_past_the_signatures_for_this_to_mean_something():
    accepted = sum(targets.transactions(Seeded(seed)) for seed in range(150))
    assert 40 < accepted < 140


# ---- Memory


def fullest(kind: Any, items: int) -> Any:
    """An object of small values with lists as long as allowed, up to `items`."""
    match kind:
        case codec.Int():
            return 0
        case codec.AddressField() | codec.Fixed():
            return bytes(kind.size)
        case codec.Bool():
            return False
        case codec.Var():
            return b""
        case codec.Many():
            return tuple(fullest(kind.item, 2) for _ in range(min(items, kind.maximum)))
        case codec.OneOf():
            return full_object(min(kind.kinds.values(), key=lambda each: len(full_object(each, 1).encode())), 1)
        case codec.Nested():
            return full_object(kind.kind, items)
    raise TypeError(kind)


def full_object(kind: type[Wire], items: int) -> Wire:
    return kind(*(fullest(field, items) for _, field in codec._layout(kind)))


@pytest.mark.parametrize("kind", **named([kind for kind in KINDS if kind is not Committee]))
def test_an_object_in_memory_is_at_most_so_many_times_as_large_as_its_bytes(kind):
    data = full_object(kind, 1_000).encode()
    kind.decode(data)
    tracemalloc.start()
    try:
        value = kind.decode(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert value.encode() == data
    assert peak < 16 * len(data) + 4_000


def test_decoders_and_ledger_need_no_memory_for_what_is_only_announced():
    command = [sys.executable, "-m", "tests.fuzz.memory"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 10_000
