"""The state root depends on the set of keys and values, and on nothing else."""

from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from chain.errors import DecodeError
from chain.tree import Leaf, StateProof, Step, Update, is_proven, key_hash, prove

KEYS = st.binary(max_size=2)
BATCHES = st.lists(st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=12), max_size=8)


def rebuilt(content: dict[bytes, bytes]) -> bytes:
    return Update(lambda _: None).apply(ZERO, content)


class Kept:
    """A store of tree nodes that forgets what an update supersedes, as the node's store does."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.root = ZERO

    def apply(self, changes: dict[bytes, bytes | None]) -> bytes:
        update = Update(self.nodes.get)
        self.root = update.apply(self.root, changes)
        for digest in update.stale:
            del self.nodes[digest]
        self.nodes.update(update.fresh)
        return self.root


def test_an_empty_tree_is_zero():
    assert rebuilt({}) == ZERO


@given(BATCHES)
def test_batches_in_any_division_give_the_root_of_a_rebuild_and_leave_no_stale_node(batches):
    kept, content = Kept(), {}
    for changes in batches:
        kept.apply(changes)
        content.update(changes)
        content = {key: value for key, value in content.items() if value is not None}
        assert kept.root == rebuilt(content)
        assert len(kept.nodes) == max(0, 2 * len(content) - 1)


@given(st.permutations(range(20)))
def test_insertion_order_does_not_reach_the_root(order):
    kept = Kept()
    for i in order:
        kept.apply({bytes((i,)): bytes((i,))})
    assert kept.root == rebuilt({bytes((i,)): bytes((i,)) for i in range(20)})


def test_an_empty_value_is_not_an_absent_one():
    assert rebuilt({b"k": b""}) != ZERO
    assert rebuilt({b"k": b"", b"l": b"1"}) != rebuilt({b"l": b"1"})


# ---- Proofs

CONTENTS = st.dictionaries(KEYS, st.binary(max_size=3), max_size=12)


def filled(content: dict[bytes, bytes]) -> Kept:
    kept = Kept()
    kept.apply(dict(content))
    return kept


@given(CONTENTS, KEYS)
def test_every_key_is_proven_to_hold_its_value_or_nothing_and_never_anything_else(content, key):
    kept = filled(content)
    proof = StateProof.decode(prove(kept.root, key, kept.nodes.get).encode())
    found = content.get(key)
    assert is_proven(kept.root, key, found, proof)
    for other in {None, b"", b"other"} - {found}:
        assert not is_proven(kept.root, key, other, proof)


@given(CONTENTS, KEYS, KEYS)
def test_the_proof_of_one_key_proves_no_other_value_of_another_key(content, key, other):
    kept = filled(content)
    proof = prove(kept.root, key, kept.nodes.get)
    wrong = [None, b"x"] if other in content else [b"", b"x"]
    for value in wrong:
        if content.get(other) != value:
            assert not is_proven(kept.root, other, value, proof)


SEVEN = {bytes((i,)): bytes((i,)) for i in range(7)}


@pytest.mark.parametrize(("key", "value"), [(b"\x03", b"\x03"), (b"absent", None)], ids=["inclusion", "absence"])
def test_a_proof_with_any_byte_changed_proves_nothing(key, value):
    kept = filled(SEVEN)
    proof = prove(kept.root, key, kept.nodes.get)
    encoded = proof.encode()
    assert is_proven(kept.root, key, value, proof)
    for at in range(len(encoded)):
        forged = encoded[:at] + bytes((encoded[at] ^ 1,)) + encoded[at + 1 :]
        try:
            decoded = StateProof.decode(forged)
        except DecodeError:
            continue
        assert not is_proven(kept.root, key, value, decoded), at


def test_a_truncated_proof_proves_nothing_and_has_no_encoding():
    kept = filled(SEVEN)
    proof = prove(kept.root, b"\x03", kept.nodes.get)
    assert len(proof.steps) >= 2
    for cut in (proof.steps[1:], proof.steps[:-1], ()):
        assert not is_proven(kept.root, b"\x03", b"\x03", replace(proof, steps=cut))
    assert not is_proven(kept.root, b"\x03", None, replace(proof, leaf=()))
    for size in range(len(proof.encode())):
        with pytest.raises(DecodeError):
            StateProof.decode(proof.encode()[:size])


def test_a_proof_under_another_root_proves_nothing():
    kept = filled(SEVEN)
    proof = prove(kept.root, b"\x03", kept.nodes.get)
    other = filled({**SEVEN, b"\x03": b"changed"})
    assert not is_proven(other.root, b"\x03", b"\x03", proof)
    assert not is_proven(ZERO, b"\x03", b"\x03", proof) and not is_proven(ZERO, b"\x03", None, proof)


def test_the_empty_tree_proves_every_absence_and_nothing_else():
    proof = prove(ZERO, b"k", {}.get)
    assert proof == StateProof((), ()) and is_proven(ZERO, b"k", None, proof)
    assert not is_proven(ZERO, b"k", b"", proof)
    assert not is_proven(filled(SEVEN).root, b"k", None, proof)
    assert not is_proven(ZERO, b"k", None, StateProof((Step(0, ZERO),), ()))


def test_the_steps_of_a_proof_go_down_one_bit_at_least():
    leaf = Leaf(key_hash(b"k"), sha256(b"v").digest())
    for bits in ((4, 4), (5, 4)):
        proof = StateProof(tuple(Step(bit, bytes(32)) for bit in bits), (leaf,))
        digest = sha256(b"\x00" + leaf.key + leaf.value).digest()
        for step in reversed(proof.steps):
            side = leaf.key[0] >> (7 - step.bit) & 1
            pair = bytes(32) + digest if side else digest + bytes(32)
            digest = sha256(b"\x01" + bytes((step.bit,)) + pair).digest()
        assert not is_proven(digest, b"k", b"v", proof)
