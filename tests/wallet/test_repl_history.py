"""What the prompt remembers, and what it must not."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.mnemonic import to_words
from wallet.repl.history import MAX_BYTES, MAX_LINE, SECRET_WORDS, FileOfLines, may_hold_mnemonic

WORDS = to_words(bytes(range(16)))


@pytest.fixture
def kept(tmp_path):
    return FileOfLines(tmp_path / "wallet-history", lambda line: line.split()[0] in ("send", "balance", "restore"))


def again(history):
    return list(FileOfLines(history.path, history.is_command).load_history_strings())


def test_lines_come_back_newest_first_and_for_their_owner_only(kept):
    kept.append_string("balance")
    kept.append_string("send alice 1")
    assert again(kept) == ["send alice 1", "balance"]
    assert stat.S_IMODE(kept.path.stat().st_mode) == 0o600


def test_the_same_line_twice_is_one(kept):
    kept.append_string("balance")
    kept.append_string("balance")
    assert again(kept) == ["balance"]


@pytest.mark.parametrize(
    "line", [WORDS, f"restore {WORDS}", f'restore "{WORDS}"', WORDS.upper(), ", ".join(WORDS.split())]
)
def test_words_of_a_mnemonic_are_kept_nowhere(kept, line):
    kept.append_string(line)
    assert kept.get_strings() == [] and not kept.path.exists()


@given(st.binary(min_size=16, max_size=16), st.integers(0, 6))
def test_half_of_a_mnemonic_is_a_secret_too(entropy, start):
    words = to_words(entropy).split()
    assert may_hold_mnemonic(" ".join(words[start : start + SECRET_WORDS]))


def test_fewer_words_of_the_list_are_no_secret(kept):
    line = "send " + " ".join(WORDS.split()[: SECRET_WORDS - 1])
    kept.append_string(line)
    assert again(kept) == [line]


def test_what_is_no_command_is_remembered_but_not_written(kept):
    kept.append_string("hunter2hunter2")
    assert kept.get_strings() == ["hunter2hunter2"] and not kept.path.exists()


def test_a_long_file_is_cut_and_the_newest_stay(kept):
    kept.path.write_text("".join(f"send alice {number}\n" for number in range(30_000)))
    assert kept.path.stat().st_size > MAX_BYTES
    assert again(kept)[0] == "send alice 29999"
    assert kept.path.stat().st_size < MAX_BYTES and again(kept)[0] == "send alice 29999"
    assert [name.name for name in kept.path.parent.iterdir()] == ["wallet-history"]


@given(st.binary(max_size=2000))
def test_a_file_of_anything_is_read_without_a_fault(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("history") / "wallet-history"
    path.write_bytes(content)
    for line in FileOfLines(path, lambda _: True).load_history_strings():
        assert line.isprintable() and len(line) <= MAX_LINE


def test_a_disk_that_refuses_costs_the_history_only(kept):
    kept.path.symlink_to("/dev/full")
    kept.append_string("balance")
    assert kept.get_strings() == ["balance"] and "cannot be written" in kept.trouble


def test_a_folder_in_its_place_is_told(kept):
    kept.path.mkdir()
    assert again(kept) == []
    kept.append_string("balance")
    assert "cannot be written" in kept.trouble
