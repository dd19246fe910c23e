"""One object, one encoding: what the decoder accepts is what the encoder writes, and nothing else."""

import tracemalloc
from dataclasses import dataclass
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import ROUND_INPUTS, Block, Body
from chain.codec import U8, U16, Address, Flag, Hash, OneOf, Var, Wire
from chain.errors import DecodeError, NeuroError
from chain.transactions import ACTIONS
from consensus.committee import Committee
from tests.builders import ALICE, a_proof, a_registration, a_training_chain, a_transfer
from tests.chain.wire_strategies import objects_of, wire_types

# A committee must be in order of its keys, which arbitrary ones are not; its own tests build it.
KINDS = [kind for kind in wire_types() if kind is not Committee]
OBJECTS = {kind: objects_of(kind) for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Item(Wire):
    small: U8
    flag: Flag


@dataclass(frozen=True, slots=True)
class Other(Wire):
    number: U16


@dataclass(frozen=True, slots=True)
class Everything(Wire):
    name: Annotated[bytes, Var(3)]
    items: Annotated[tuple[Item, ...], 2]
    root: Hash
    choice: Annotated[Item | Other, OneOf({1: Item, 7: Other})]


VALUE = Everything(b"abc", (Item(1, True), Item(255, False)), bytes(32), Other(513))
BYTES = (
    bytes.fromhex("00000003") + b"abc" + bytes.fromhex("00000002" + "0101" + "ff00") + bytes(32) + b"\x07\x01\x02\x01"
)


def changed(at: int, value: int) -> bytes:
    return BYTES[:at] + bytes((value,)) + BYTES[at + 1 :]


def refused(kind: type[Wire], data: bytes, message: str | None = None) -> None:
    with pytest.raises(DecodeError, match=message):
        kind.decode(data)


def test_the_layout_is_fixed_big_endian_and_in_order_of_the_fields():
    assert VALUE.encode() == BYTES
    assert Everything.decode(BYTES) == VALUE


def test_a_truth_value_is_zero_or_one():
    assert Item.decode(b"\x05\x00") == Item(5, False)
    refused(Item, b"\x05\x02", "truth value")


def test_bytes_up_to_the_maximum_pass_and_one_more_is_refused():
    refused(Everything, changed(3, 4), "at most 3 bytes")
    with pytest.raises(DecodeError, match="at most 3 bytes"):
        Everything(b"abcd", (), bytes(32), Other(0)).encode()


def test_a_list_up_to_the_maximum_passes_and_one_more_is_refused():
    refused(Everything, changed(10, 3), "3 items announced")
    with pytest.raises(DecodeError, match="at most 2 items"):
        Everything(b"", (Item(0, False),) * 3, bytes(32), Other(0)).encode()


def test_unknown_types_and_versions_are_refused():
    refused(Everything, changed(len(BYTES) - 4, 2), "type 2 version 1")
    refused(Everything, changed(len(BYTES) - 3, 2), "type 7 version 2")


def test_every_truncation_and_every_trailing_byte_is_refused():
    for size in range(len(BYTES)):
        refused(Everything, BYTES[:size])
    refused(Everything, BYTES + b"\x00", "1 bytes follow")


def test_a_field_of_the_wrong_width_is_not_written():
    with pytest.raises(DecodeError, match="32 bytes wanted"):
        Everything(b"", (), bytes(31), Other(0)).encode()
    with pytest.raises(OverflowError):
        Other(2**16).encode()
    with pytest.raises(OverflowError):
        Other(-1).encode()


def test_an_address_of_another_version_than_zero_has_no_encoding():
    @dataclass(frozen=True, slots=True)
    class Payee(Wire):
        address: Address

    assert Payee.decode(ALICE.address).encode() == ALICE.address
    refused(Payee, b"\x01" + ALICE.address[1:], "version")
    with pytest.raises(DecodeError, match="version"):
        Payee(b"\x01" + ALICE.address[1:]).encode()


@pytest.mark.parametrize("kind", [Body, Everything])
def test_an_announced_length_beyond_the_data_allocates_nothing(kind):
    tracemalloc.start()
    try:
        for count in (4096, 2**31, 2**32 - 1):
            refused(kind, count.to_bytes(4, "big") * 4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 200_000


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes near `data`: some replaced, inserted or removed."""
    place = st.integers(0, len(data))
    return st.lists(st.tuples(place, st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3).map(
        lambda edits: edited(data, edits)
    )


def edited(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    for at, removed, inserted in edits:
        data = data[:at] + inserted + data[at + removed :]
    return data


def decodes_to_itself_or_not_at_all(kind: type[Wire], data: bytes) -> None:
    try:
        value = kind.decode(data)
    except NeuroError:
        return
    assert value.encode() == data


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_object_survives_the_wire_and_damaged_bytes_decode_to_what_encodes_to_them_or_not_at_all(kind):
    @settings(max_examples=12, deadline=None, database=None)
    @given(st.data())
    def strict(data):
        value = data.draw(OBJECTS[kind])
        encoded = value.encode()
        assert kind.decode(encoded) == value
        decodes_to_itself_or_not_at_all(kind, data.draw(mutations(encoded)))
        decodes_to_itself_or_not_at_all(kind, data.draw(st.binary(max_size=200)))

    strict()


@pytest.fixture(scope="module")
def real_block() -> bytes:
    chain = a_training_chain()
    chain.fund(ALICE, 10**9)
    return chain.build([a_transfer(chain, 1), a_registration(chain, node=ALICE, nonce=2)]).encode()


@settings(max_examples=150, deadline=None, database=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, 1300), st.integers(0, 3), st.binary(max_size=3)), min_size=1, max_size=3)
)
def test_a_damaged_block_decodes_to_what_encodes_to_it_or_not_at_all(real_block, edits):
    decodes_to_itself_or_not_at_all(Block, edited(real_block, edits))


def test_type_numbers_are_as_they_were_published():
    assert {number: kind.__name__ for number, kind in ACTIONS.items()} == {
        1: "Transfer",
        2: "MultiTransfer",
        3: "RegisterNode",
        4: "RetireNode",
        5: "Bond",
        6: "Unbond",
        7: "Withdraw",
        8: "Unjail",
        9: "Evidence",
        13: "ServicePayment",
    }
    assert {number: kind.__name__ for number, kind in ROUND_INPUTS.items()} == {
        2: "PayloadCommit",
        3: "PayloadReveal",
        4: "AvailabilityVote",
        5: "ResultVote",
        6: "SegmentOpening",
        7: "VerdictCommit",
        8: "VerdictReveal",
        9: "PlantReveal",
        10: "AuditVote",
        11: "StorageProof",
        12: "DataReceipt",
    }


def test_sizes_on_the_wire_are_as_published():
    chain = a_training_chain()
    assert len(a_proof(chain).encode()) == 319
    assert len(a_transfer(chain, 1).encode()) == 160
    assert len(chain.build().header.encode()) == 516
