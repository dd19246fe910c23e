"""Between node and trainer: every message comes back as it was, and nothing else is taken for one."""

import json
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import TrainerError
from node.trainer_messages import KINDS, LINE_MAXIMUM, SegmentDone, from_line, to_line

VALUES: dict[type, st.SearchStrategy[Any]] = {
    int: st.integers(min_value=0, max_value=2**64),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=100),
    bytes: st.binary(max_size=32),
}
SEGMENT = SegmentDone(1, 0, b"\x01" * 32, 9000, 5, 1_700_000_000_000, 2, b"\x02" * 32)


def messages(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{field.name: VALUES[hints[field.name]] for field in fields(kind)})


@given(st.sampled_from(sorted(KINDS)).flatmap(lambda name: messages(KINDS[name])))
def test_every_message_comes_back_from_its_one_line(message: Any) -> None:
    line = to_line(message)
    assert line.endswith(b"\n") and line.count(b"\n") == 1
    assert from_line(line) == message


@given(st.binary(max_size=300))
def test_junk_is_refused_as_a_trainer_error(line: bytes) -> None:
    with pytest.raises(TrainerError):
        from_line(line)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(KINDS)), st.data())
def test_a_field_of_another_type_is_refused_or_stands_for_the_same(kind: str, data: st.DataObject) -> None:
    content = json.loads(to_line(data.draw(messages(KINDS[kind]))))
    name = data.draw(st.sampled_from(sorted(content)))
    content[name] = data.draw(JSON)
    try:
        message = from_line(json.dumps(content).encode())
    except TrainerError:
        return
    hints = get_type_hints(type(message))
    assert all(type(getattr(message, field)) is hints[field] for field in hints)


@pytest.mark.parametrize("change", [{"round": "1"}, {"round": True}, {"round": 1.0}, {"state_after": 7}, {"kind": []}])
def test_a_number_as_text_or_a_truth_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(TrainerError):
        from_line(json.dumps(json.loads(to_line(SEGMENT)) | change).encode())


def test_a_missing_field_and_an_unknown_kind_are_refused() -> None:
    content = json.loads(to_line(SEGMENT))
    del content["distance"]
    for wrong in (content, {"kind": "Nonsense"}, {}, [], None):
        with pytest.raises(TrainerError):
            from_line(json.dumps(wrong).encode())


def test_a_line_nested_as_deep_as_a_line_can_be_is_refused() -> None:
    for line in (b"[" * LINE_MAXIMUM, b'{"kind":' * (LINE_MAXIMUM // 8)):
        with pytest.raises(TrainerError):
            from_line(line)
