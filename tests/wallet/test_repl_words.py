"""How a typed line becomes words."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallet.repl.words import quoted, split

LINES = st.text(st.sampled_from("ab -'\"\\\t1é"), max_size=30)


@given(LINES)
def test_a_line_has_the_words_that_a_shell_sees(line):
    found = split(line)
    try:
        wanted = shlex.split(line)
    except ValueError:
        assert found and not found[-1].is_whole
    else:
        assert [word.text for word in found] == wanted and all(word.is_whole for word in found)


@given(LINES)
def test_words_stand_where_they_say_and_nothing_but_blanks_between(line):
    rest, before = line, 0
    for word in split(line):
        assert before <= word.start < word.end <= len(line)
        rest = rest[: word.start] + " " * (word.end - word.start) + rest[word.end :]
        before = word.end
    assert not rest.strip(" \t\r\n")


@given(st.text(max_size=20))
def test_a_quoted_word_is_read_as_it_was(text):
    assert [word.text for word in split(quoted(text))] == [text]


@pytest.mark.parametrize(("line", "last"), [("send 'al", "al"), ('note "a b', "a b"), ("send \\", "")])
def test_what_is_not_finished_is_a_word_that_is_not_whole(line, last):
    assert split(line)[-1].text == last and not split(line)[-1].is_whole
