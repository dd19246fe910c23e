"""An operator's text files become documents that are the file again when put in a row."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.errors import CorpusError
from training.pieces import PIECE_BYTES, PIECE_MAXIMUM, check_text, pieces, sizes, split_name, stored_pieces

LETTERS = st.text(st.sampled_from("aé漢\n "), max_size=40)


def written(folder: Path, content: bytes) -> Path:
    path = folder / "text.txt"
    path.write_bytes(content)
    return path


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LETTERS, st.integers(1, 4000)), min_size=1, max_size=8))
def test_pieces_in_a_row_are_the_file_and_each_is_utf_8(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[str, int]]
) -> None:
    content = "".join(text * count for text, count in parts).encode() or b"a"
    path = written(tmp_path_factory.mktemp("pieces"), content)
    digest, length = check_text(path)
    found = list(pieces(path, digest))
    assert b"".join(text for _, text in found) == content and length == len(content)
    assert all(text.decode() and len(text) <= PIECE_MAXIMUM for _, text in found)
    assert sizes(name for name, _ in found) == {digest.hex(): len(content)}


@pytest.mark.parametrize(
    ("content", "lengths"),
    [
        (b"a" * PIECE_BYTES, [PIECE_BYTES]),
        (b"a" * PIECE_BYTES + b"\n\nb", [PIECE_BYTES + 2, 1]),
        (b"a" * PIECE_BYTES + b"\nb\n\nc", [PIECE_BYTES + 4, 1]),
        (b"a" * PIECE_BYTES + b"\nbc", [PIECE_BYTES + 1, 2]),
        (b"a" * PIECE_MAXIMUM, [PIECE_MAXIMUM]),
        (b"a" * (PIECE_MAXIMUM + 1), [PIECE_MAXIMUM, 1]),
        (b"a" * (PIECE_MAXIMUM - 1) + "é".encode(), [PIECE_MAXIMUM - 1, 2]),
    ],
)
def test_a_piece_ends_at_a_blank_line_else_a_line_else_before_a_character(
    tmp_path: Path, content: bytes, lengths: list[int]
) -> None:
    path = written(tmp_path, content)
    assert [len(text) for _, text in pieces(path, check_text(path)[0])] == lengths


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), (b"ab\0", "zero byte at 2"), (b"a\xff", "not UTF-8"), ("é".encode()[:1], "not UTF-8")],
)
def test_what_is_no_text_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(CorpusError, match=rf"text\.txt .*{words}"):
        check_text(written(tmp_path, content))


def test_a_stored_file_gives_its_documents_by_name(tmp_path: Path) -> None:
    path = written(tmp_path, b"a" * PIECE_BYTES + b"\n\nrest")
    digest = check_text(path)[0]
    path.rename(tmp_path / digest.hex())
    read = stored_pieces(tmp_path)
    assert read(f"{digest.hex()}.{PIECE_BYTES + 2}-{PIECE_BYTES + 6}") == b"rest"
    with pytest.raises(CorpusError, match="is not in"):
        read(f"{'0' * 64}.0-5")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "../x.0-1",
        "a" * 64,
        f"{'a' * 64}.1-1",
        f"{'a' * 64}.0-{PIECE_MAXIMUM + 1}",
        f"{'A' * 64}.0-1",
        f"{'a' * 64}.-1-5",
    ],
)
def test_a_name_that_leads_elsewhere_names_no_document(name: str) -> None:
    with pytest.raises(CorpusError, match="names no document"):
        split_name(name)
    assert split_name(f"{'a' * 64}.0-{PIECE_MAXIMUM}") == ("a" * 64, 0, PIECE_MAXIMUM)
