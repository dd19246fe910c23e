"""Both databases keep the same promises: atomic writes, ordered reads by prefix, everything there after reopening."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.errors import StoreError
from node.key_value import KeyValue, LevelDb, Lmdb, open_key_value

BACK_ENDS = pytest.mark.parametrize("kind", [LevelDb, Lmdb], ids=lambda kind: kind.name, indirect=True)
pytestmark = BACK_ENDS

Open = Callable[[], KeyValue]


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> type[KeyValue]:
    chosen: type[KeyValue] = request.param
    return chosen


@pytest.fixture
def open_one(kind: type[KeyValue], tmp_path: Path) -> Iterator[Open]:
    """Opens the same database each time it is called; whatever is left open is closed."""
    opened: list[KeyValue] = []
    folder = tmp_path / "ledger"
    folder.mkdir()

    def open_it() -> KeyValue:
        opened.append(kind(folder))  # type: ignore[call-arg]
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


def test_what_was_never_written_is_not_there(open_one: Open) -> None:
    assert open_one().get(b"key") is None


def test_a_written_value_is_read_back_an_empty_one_too(open_one: Open) -> None:
    database = open_one()
    database.write({b"one": b"1", b"empty": b""})
    assert (database.get(b"one"), database.get(b"empty")) == (b"1", b"")


def test_the_last_value_counts_and_none_deletes(open_one: Open) -> None:
    database = open_one()
    database.write({b"kept": b"old", b"gone": b"old"})
    database.write({b"kept": b"new", b"gone": None, b"never": None})
    assert dict(database.items(b"")) == {b"kept": b"new"}


def test_items_have_the_prefix_and_come_in_order_of_bytes(open_one: Open) -> None:
    database = open_one()
    keys = [b"a", b"p\x00", b"p\x01\xff", b"p\xff", b"p\xff\xff", b"q"]
    database.write({key: key for key in reversed(keys)})
    assert list(database.items(b"p")) == [(key, key) for key in keys[1:5]]
    assert [key for key, _ in database.items(b"p\xff")] == [b"p\xff", b"p\xff\xff"]
    assert list(database.items(b"r")) == []
    assert [key for key, _ in database.items(b"")] == keys


def test_a_write_is_whole_or_not_at_all(open_one: Open) -> None:
    database = open_one()
    database.write({b"one": b"1"})
    with pytest.raises((TypeError, StoreError)):
        database.write({b"one": b"2", b"two": "no bytes"})  # type: ignore[dict-item]
    assert dict(database.items(b"")) == {b"one": b"1"}


def test_everything_is_there_after_reopening(open_one: Open) -> None:
    database = open_one()
    database.write({bytes((i,)): bytes(i) for i in range(50)})
    database.write({b"\x07": None})
    database.close()
    assert dict(open_one().items(b"")) == {bytes((i,)): bytes(i) for i in range(50) if i != 7}


def test_a_second_opening_is_refused_and_does_no_harm(open_one: Open) -> None:
    database = open_one()
    database.write({b"one": b"1"})
    with pytest.raises(StoreError, match="cannot open the ledger"):
        open_one()
    database.write({b"two": b"2"})
    assert dict(database.items(b"")) == {b"one": b"1", b"two": b"2"}


def test_the_engine_that_made_a_database_opens_it_again(
    kind: type[KeyValue], open_one: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NEUROSHARD_STORE", raising=False)
    database = open_one()
    database.write({b"one": b"1"})
    database.close()
    again = open_key_value(tmp_path / "ledger")
    found = again.name, again.get(b"one")
    again.close()
    assert found == (kind.name, b"1")


def test_a_file_in_its_place_is_refused_in_words(kind: type[KeyValue], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StoreError, match="cannot open the ledger"):
        kind(tmp_path / "file")  # type: ignore[call-arg]


def test_a_damaged_database_is_told_in_words(kind: type[KeyValue], open_one: Open, tmp_path: Path) -> None:
    database = open_one()
    database.write({bytes((i,)): bytes((i,)) * 900 for i in range(60)})
    database.close()
    for path in (tmp_path / "ledger").iterdir():
        if path.suffix in (".log", ".ldb", ".mdb") and path.name != "lock.mdb":
            content = bytearray(path.read_bytes()[: 1 << 20])
            content[: len(content)] = bytes(byte ^ 0x5A for byte in content)
            path.write_bytes(content)
    with pytest.raises(StoreError, match=r"cannot open the ledger|damaged"):
        list(open_one().items(b""))


def test_records_come_from_the_highest_down_between_two_keys_the_upper_one_left_out(open_one: Open) -> None:
    database = open_one()
    database.write({bytes((i,)): bytes((i,)) for i in (1, 3, 5, 7)})
    assert [key[0] for key, _ in database.descending(b"\x03", b"\x07")] == [5, 3]
    assert [key[0] for key, _ in database.descending(b"\x00", b"\xff")] == [7, 5, 3, 1]
    assert [key[0] for key, _ in database.descending(b"\x02", b"\x06")] == [5, 3]
    assert list(database.descending(b"\x08", b"\xff")) == list(database.descending(b"\x00", b"\x01")) == []


def test_a_snapshot_does_not_see_what_is_written_after_it(open_one: Open) -> None:
    database = open_one()
    database.write({b"kept": b"old", b"gone": b"old"})
    snapshot = database.snapshot()
    database.write({b"kept": b"new", b"gone": None, b"later": b"new"})
    seen = snapshot.get(b"kept"), dict(snapshot.items(b"")), dict(snapshot.descending(b"", b"z"))
    snapshot.close()
    assert seen == (b"old", {b"kept": b"old", b"gone": b"old"}, {b"kept": b"old", b"gone": b"old"})
    assert dict(database.items(b"")) == {b"kept": b"new", b"later": b"new"}


def test_compaction_gives_the_space_of_deleted_records_back_and_loses_nothing(open_one: Open, tmp_path: Path) -> None:
    database = open_one()
    database.write({i.to_bytes(2, "big"): random.Random(i).randbytes(4_000) for i in range(1_000)})
    database.close()
    database = open_one()
    database.write({i.to_bytes(2, "big"): None for i in range(20, 1_000)})
    kept, before = dict(database.items(b"")), size_of(tmp_path / "ledger")
    database.compact()
    assert dict(database.items(b"")) == kept and len(kept) == 20
    assert before > 3_000_000 and size_of(tmp_path / "ledger") < before // 10
    database.write({b"after": b"1"})
    database.close()
    assert dict(open_one().items(b"")) == {**kept, b"after": b"1"}


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
