"""The state root depends on the set of keys and values, and on nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from chain.crypto.hashing import ZERO
from chain.tree import Update

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
