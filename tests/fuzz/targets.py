"""What must hold for any bytes at all. Each target takes choices, raises AssertionError where a promise is broken, and
lets every exception through that is not of the NeuroError family."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any, cast

from chain.address import from_text, to_text
from chain.block import Block
from chain.codec import Wire
from chain.errors import NeuroError
from chain.genesis import parse_network
from chain.transactions import Transaction
from chain.tree import StateProof, is_proven, prove
from consensus.committee import Committee
from tests.builders import ALICE
from tests.chain.golden_chain import example
from tests.chain.wire_strategies import wire_types
from tests.fuzz.mutation import Chance, Donors, damaged, mutated, rebuilt
from tests.fuzz.stages import NETWORK, body_signed_again, built, donor_objects, executed, judged, signed_again, stages
from tests.fuzz.wallet_files import wallet_files


@cache
def kinds() -> tuple[type[Wire], ...]:
    return tuple(wire_types())


@cache
def donors() -> Donors:
    return Donors.of(donor_objects())


@cache
def valid_bytes(kind: type[Wire]) -> tuple[bytes, ...]:
    """Encodings of objects of this type."""
    if kind is Committee:
        return tuple(stage.records[b"s" + bytes(8)] for stage in stages()[:1])
    given = [each for each in donor_objects() if type(each) is kind]
    return tuple(each.encode() for each in (example(kind), *given))


# ---- Promises


def decodes_to_itself_or_not_at_all(kind: type[Wire], data: bytes) -> bool:
    """Whether the bytes are an object. What is one is written as it was read, however it is put together."""
    try:
        value = kind.decode(data)
    except NeuroError:
        return False
    assert value.encode() == data
    assert rebuilt(value) == value and rebuilt(value).encode() == data
    return True


def is_accepted(stage_number: int, block: Block, reveal_checked: bool = False) -> bool:
    """Whether the ledger takes a stranger's block. If so, it is the one block that the ledger itself makes of it."""
    stage = stages()[stage_number]
    data = block.encode()
    try:
        received = Block.decode(data)
        applied = judged(stage, received, reveal_checked)
    except NeuroError:
        return False
    assert applied.block == received and rebuilt(received).encode() == data
    assert applied.state.supply.circulating == applied.state.supply.owned
    return True


# ---- Targets


def decoding(chance: Chance) -> None:
    kind = kinds()[chance.below(len(kinds()))]
    known = valid_bytes(kind)
    other = valid_bytes(kinds()[chance.below(len(kinds()))])[0]
    decodes_to_itself_or_not_at_all(kind, damaged(known[chance.below(len(known))], other, chance))


def raw_decoding(chance: Chance) -> None:
    kind = kinds()[chance.below(len(kinds()))]
    decodes_to_itself_or_not_at_all(kind, chance.raw(chance.below(400)))


def network_files(chance: Chance) -> None:
    data = damaged(NETWORK.file_bytes(), stages()[0].block.encode(), chance)
    try:
        network = parse_network(data)
    except NeuroError:
        return
    assert network.file_bytes() == data


def addresses(chance: Chance) -> None:
    text = damaged(to_text(ALICE.address).encode(), b"tneuro1qpzry9x8gf", chance).decode("latin-1")
    try:
        address = from_text(text)
    except NeuroError:
        return
    assert to_text(address) == text.lower()


def state_proofs(chance: Chance) -> None:
    stage = stages()[chance.below(len(stages()))]
    keys = sorted(stage.records)
    key = keys[chance.below(len(keys))]
    proof = prove(stage.parent.state_root, key, stage.nodes.__getitem__)
    assert is_proven(stage.parent.state_root, key, stage.records[key], proof)
    changed = mutated(proof, Donors.of([proof]), chance)
    claimed = [stage.records[key], None, chance.raw(8)][chance.below(3)]
    shown = is_proven(stage.parent.state_root, key, claimed, cast(StateProof, changed))
    assert not shown or (changed, claimed) == (proof, stage.records[key])


def a_changed_transaction(chance: Chance, kind: type[Wire] | None = None) -> Transaction:
    """One of the valid transactions, of a type if one is named, with up to three fields changed."""
    known = [each for each in stages()[0].block.body.transactions if kind in (None, type(each.action))]
    changed: Any = known[chance.below(len(known))]
    for _ in range(1 + chance.below(3)):
        # Rather in the action than in the fields around it.
        around = chance.below(4) == 0
        changed = (
            mutated(changed, donors(), chance)
            if around
            else replace(changed, action=mutated(changed.action, donors(), chance))
        )
    return cast(Transaction, changed)


def transactions(chance: Chance, kind: type[Wire] | None = None) -> bool:
    """Whether a changed transaction, mostly signed again, was accepted."""
    stage = stages()[0]
    changed = a_changed_transaction(chance, kind)
    if chance.below(5):
        changed = signed_again(stage, changed, nonce=bool(chance.below(8)))
    data = changed.encode()
    try:
        received = Transaction.decode(data)
        draft = executed(stage, received)
    except NeuroError:
        return False
    assert rebuilt(received).encode() == data
    assert draft.supply.circulating == draft.supply.owned
    return True


def blocks(chance: Chance, stage_number: int | None = None) -> bool:
    """Whether a changed block was accepted, as it came or after everybody signed it again."""
    number = chance.below(len(stages())) if stage_number is None else stage_number
    stage = stages()[number]
    block: Any = stage.block
    for _ in range(1 + chance.below(2)):
        around = chance.below(6) == 0
        block = (
            mutated(block, donors(), chance) if around else replace(block, body=mutated(block.body, donors(), chance))
        )
    as_it_came = is_accepted(number, block, reveal_checked=bool(chance.below(2)))
    signed = replace(block, body=body_signed_again(stage, block.body))
    try:
        made = built(stage, signed)
    except NeuroError:
        return as_it_came
    assert is_accepted(number, made.block, reveal_checked=True)
    return True


def block_bytes(chance: Chance) -> None:
    number = chance.below(len(stages()))
    valid, other = stages()[number].block.encode(), stages()[chance.below(len(stages()))].block.encode()
    try:
        block = Block.decode(damaged(valid, other, chance))
    except NeuroError:
        return
    if is_accepted(number, block):
        # Nobody can make another valid block without keys, but one of another time: that is the validators' to judge.
        untouched = stages()[number].block
        assert replace(block, header=replace(block.header, time_ms=untouched.header.time_ms)) == untouched


TARGETS: dict[str, Callable[[Chance], Any]] = {
    "decoding": decoding,
    "raw-decoding": raw_decoding,
    "network-files": network_files,
    "addresses": addresses,
    "state-proofs": state_proofs,
    "transactions": transactions,
    "blocks": blocks,
    "block-bytes": block_bytes,
    "wallet-files": wallet_files,
}
