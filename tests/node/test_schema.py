"""A data directory of an older layout is brought up to date; one that we cannot read is left as it is."""

from pathlib import Path

import pytest

from node import schema
from node.data_directory import DataDirectory
from node.errors import DataDirectoryError
from node.schema import SCHEMA


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A directory as the first release left it: schema 1, a round in training in one file."""
    root = tmp_path / "home"
    DataDirectory(root).create()
    (root / "schema").write_text("1")
    (root / "work" / "segment.safetensors").write_bytes(b"a state")
    (root / "work" / "round-7.jsonl").write_text("{}")
    (root / "payloads" / "kept").write_text("a payload")
    return root


def test_a_start_brings_the_first_release_up_to_date_and_keeps_what_cannot_be_made_again(old: Path) -> None:
    DataDirectory(old).create()
    assert (old / "schema").read_text() == str(SCHEMA)
    assert list((old / "work").iterdir()) == [] and (old / "payloads" / "kept").read_text() == "a payload"


def test_a_step_that_was_cut_short_is_done_again(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = schema.UPGRADES[1]

    def cut_short(root: Path) -> None:
        (root / "work" / "round-7.jsonl").unlink()
        raise KeyboardInterrupt

    monkeypatch.setitem(schema.UPGRADES, 1, cut_short)
    with pytest.raises(KeyboardInterrupt):
        DataDirectory(old).create()
    assert (old / "schema").read_text() == "1"
    monkeypatch.setitem(schema.UPGRADES, 1, step)
    DataDirectory(old).create()
    assert (old / "schema").read_text() == str(SCHEMA) and list((old / "work").iterdir()) == []


def test_a_command_that_only_reads_changes_no_layout(old: Path) -> None:
    with pytest.raises(DataDirectoryError, match=r"has schema 1 .* start the node once"):
        DataDirectory(old).check_schema()
    assert (old / "work" / "round-7.jsonl").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (str(SCHEMA + 1), "newer program"),
        ("999999", "newer program"),
        ("1000000", "damaged"),
        ("0", "cannot bring up"),
        ("", "damaged"),
        ("x", "damaged"),
        ("\u00b2", "damaged"),
    ],
)
def test_a_layout_that_we_cannot_read_is_refused_and_left_alone(old: Path, text: str, words: str) -> None:
    (old / "schema").write_text(text)
    with pytest.raises(DataDirectoryError, match=words):
        DataDirectory(old).create()
    assert (old / "schema").read_text() == text and (old / "work" / "round-7.jsonl").exists()


def test_every_older_layout_has_a_step() -> None:
    assert set(schema.UPGRADES) == set(range(1, SCHEMA))
