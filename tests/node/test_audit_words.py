"""What a node has found is on its disk before anybody hears of it, and is never another afterwards."""

from dataclasses import replace
from pathlib import Path

import pytest

from chain.audit_messages import MISMATCH, PASS
from chain.state import AUDITING, DISPUTED, AuditName
from node.audit_words import Word, Words
from tests.builders import named

NODE = named("node")
WORD = Word(7, NODE, AUDITING, 1, PASS, named("mix"), named("one") + named("two"), True, "trained again")


def test_a_word_is_the_same_after_a_restart(tmp_path: Path) -> None:
    assert Words(tmp_path).keep(WORD) == WORD
    assert Words(tmp_path).find(WORD.key) == WORD and WORD.hashes == (named("one"), named("two"))


def test_a_word_once_kept_is_never_another(tmp_path: Path) -> None:
    words = Words(tmp_path)
    words.keep(WORD)
    assert words.keep(replace(WORD, finding=MISMATCH)) == WORD
    assert Words(tmp_path).keep(replace(WORD, finding=MISMATCH)) == WORD


def test_words_of_other_attempts_and_questions_are_others(tmp_path: Path) -> None:
    words = Words(tmp_path)
    others = [replace(WORD, attempt=2), replace(WORD, question=DISPUTED), replace(WORD, round=8)]
    for word in (WORD, *others):
        words.keep(word)
    assert all(Words(tmp_path).find(word.key) == word for word in (WORD, *others))


def test_what_was_replayed_once_on_one_data_order_is_known(tmp_path: Path) -> None:
    words = Words(tmp_path)
    words.keep(WORD)
    assert words.replayed(7, NODE, named("mix")) == WORD
    assert words.replayed(7, NODE, named("other mix")) is None
    assert words.replayed(8, NODE, named("mix")) is None


def test_words_about_audits_that_are_over_are_forgotten(tmp_path: Path) -> None:
    words = Words(tmp_path)
    later = replace(WORD, round=8)
    words.keep(WORD)
    words.keep(later)
    words.prune(lambda: [AuditName(8, NODE)])
    for found in (words, Words(tmp_path)):
        assert found.find(WORD.key) is None and found.find(later.key) == later


def test_a_word_that_is_kept_while_others_are_forgotten_stays(tmp_path: Path) -> None:
    words, newer = Words(tmp_path), replace(WORD, round=9)
    words.keep(WORD)

    def read() -> list[AuditName]:
        words.keep(newer)
        return []

    words.prune(read)
    assert words.find(WORD.key) is None and words.find(newer.key) == newer


def test_a_folder_that_somebody_removed_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "verdicts"
    folder.mkdir()
    words = Words(folder)
    folder.rmdir()
    assert words.keep(WORD) == WORD and Words(folder).find(WORD.key) == WORD


def test_a_word_that_the_disk_refuses_is_none(tmp_path: Path) -> None:
    words = Words(tmp_path / "missing" / "verdicts")
    with pytest.raises(OSError, match="missing"):
        words.keep(WORD)
    assert words.find(WORD.key) is None


@pytest.mark.parametrize("content", [b"", b"rubbish", b'{"kind": "Word"}', b"[" * 9_999])
def test_a_damaged_word_is_none(tmp_path: Path, content: bytes) -> None:
    Words(tmp_path).keep(WORD)
    [path] = tmp_path.iterdir()
    path.write_bytes(content)
    assert Words(tmp_path).find(WORD.key) is None
