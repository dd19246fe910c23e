"""An overlay spares its parent, and what it remembers is never older than what it holds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from chain.block import Validator, validators_root
from chain.state import Account, State, ValidatorSet, set_key

KEY, OTHER = b"a key", b"another"


def overlay(**records: int) -> State:
    """A state over records that hold accounts with these balances."""
    stored = {name.encode(): Account(balance).encode() for name, balance in records.items()}
    return State(stored.get)


def balance(state: State, key: bytes = KEY) -> int | None:
    found = state.find(Account, key)
    return None if found is None else found.balance


def test_a_draft_is_seen_by_its_parent_once_it_is_merged():
    parent = overlay()
    parent.put(KEY, Account(1))
    draft = parent.fork()
    draft.put(KEY, Account(2))
    assert (balance(parent), balance(draft)) == (1, 2)
    parent.merge(draft)
    assert balance(parent) == 2


def test_a_draft_that_is_dropped_leaves_nothing():
    parent = overlay()
    parent.put(KEY, Account(1))
    before = dict(parent.changes)
    draft = parent.fork()
    draft.delete(KEY)
    draft.put(OTHER, Account(3))
    assert parent.changes == before
    assert (balance(parent), balance(parent, OTHER)) == (1, None)


def test_a_deleted_record_is_gone_whatever_was_read_before():
    parent = overlay()
    parent.put(KEY, Account(1))
    draft = parent.fork()
    assert balance(draft) == 1
    draft.delete(KEY)
    assert balance(draft) is None
    draft.put(KEY, Account(4))
    assert balance(draft) == 4
    parent.merge(draft)
    assert balance(parent) == 4


def test_bytes_laid_over_a_state_are_what_it_holds():
    state = overlay()
    state.put(KEY, Account(1))
    assert balance(state) == 1
    state.changes.update({KEY: Account(9).encode(), OTHER: Account(8).encode()})
    assert (balance(state), balance(state, OTHER)) == (9, 8)


def test_a_state_over_a_store_shows_what_the_store_has_now():
    stored = {KEY: Account(1).encode()}
    state = State(stored.get)
    assert balance(state) == 1
    stored[KEY] = Account(2).encode()
    assert balance(state) == 2


def test_a_draft_reads_each_record_of_its_parent_once():
    asked = []

    def read(key: bytes) -> bytes | None:
        asked.append(key)
        return Account(5).encode()

    draft = State(read).fork()
    assert [balance(draft), balance(draft), balance(draft, OTHER), balance(draft, OTHER)] == [5] * 4
    assert asked == [KEY, OTHER]


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "fork", "merge", "drop"]), st.sampled_from([KEY, OTHER, b"3"])),
    max_size=30,
)


@settings(max_examples=100, deadline=None, database=None)
@given(STEPS)
def test_overlays_of_any_depth_read_like_plain_dictionaries(steps):
    state, model = overlay(), [{}]
    stack = [state]
    for i, (verb, key) in enumerate(steps):
        if verb == "put":
            stack[-1].put(key, Account(i))
            model[-1][key] = i
        elif verb == "delete":
            stack[-1].delete(key)
            model[-1].pop(key, None)
        elif verb == "fork":
            stack.append(stack[-1].fork())
            model.append(dict(model[-1]))
        elif len(stack) > 1:
            draft, content = stack.pop(), model.pop()
            if verb == "merge":
                stack[-1].merge(draft)
                model[-1] = content
        for each in (KEY, OTHER, b"3"):
            assert balance(stack[-1], each) == model[-1].get(each)


def test_the_root_of_a_set_is_that_of_its_members():
    state = overlay()
    for epoch, size in ((0, 1), (1, 3)):
        members = tuple(Validator(bytes((i,)) * 48, i + 1) for i in range(size))
        state.put(set_key(epoch), ValidatorSet(members))
        assert state.validators(epoch).members == members
        assert state.validators_root(epoch) == validators_root(members)
